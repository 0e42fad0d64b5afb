"""Oracles of indicators of whole bars: trend, channels, volume. Lists; None where there is no value."""

from __future__ import annotations

from tests.support.judges.naive.indicators import (
    Bars,
    Series,
    after,
    atr,
    ema,
    highest,
    lowest,
    smoothed,
    typical,
)


def directions(bars: Bars) -> list[tuple[float, float, float]]:
    """+DM, -DM and true range of each bar but the first."""
    found = []
    rows = list(zip(bars["high"], bars["low"], bars["close"], strict=True))
    for (last_high, last_low, last), (high, low, _) in zip(rows, rows[1:], strict=False):
        up, down = high - last_high, last_low - low
        plus = up if up > max(down, 0) else 0.0
        minus = down if down > max(up, 0) else 0.0
        found.append((plus, minus, max(high - low, abs(high - last), abs(low - last))))
    return found


def wilder_sums(values: list[float], period: int) -> Series:
    """Wilder's sums, as TA-Lib begins them: the sum of period - 1 values, then smoothed."""
    total = sum(values[: period - 1])
    out: Series = [None] * min(period - 1, len(values))
    for x in values[period - 1 :]:
        total += x - total / period
        out.append(total)
    return out


def di(bars: Bars, period: int, which: int) -> Series:
    moves = directions(bars)
    above = wilder_sums([m[which] for m in moves], period)
    below = wilder_sums([m[2] for m in moves], period)
    return [None] + [None if b is None else (100 * a / b if b else 0.0) for a, b in zip(above, below, strict=True)]


def plus_di(bars: Bars, period: int) -> Series:
    return di(bars, period, 0)


def minus_di(bars: Bars, period: int) -> Series:
    return di(bars, period, 1)


def adx(bars: Bars, period: int) -> Series:
    pairs = zip(plus_di(bars, period), minus_di(bars, period), strict=True)
    index = [100 * abs(p - m) / (p + m) if p + m else 0.0 for p, m in pairs if p is not None and m is not None]
    return after(period, smoothed(index, period, 1 / period))[: len(bars["close"])]


def aroon(bars: Bars, period: int) -> tuple[Series, Series, Series]:
    def place(values: list[float]) -> Series:
        out: Series = [None] * period
        for i in range(period, len(values)):
            window = values[i - period : i + 1]
            newest = max(k for k, x in enumerate(window) if x == max(window))
            out.append(100 * newest / period)
        return out

    up, down = place(bars["high"]), place([-x for x in bars["low"]])
    return up, down, [None if u is None else u - d for u, d in zip(up, down, strict=True)]


def psar(bars: Bars, acceleration: float, maximum: float) -> Series:
    """Wilder's rules with an upside-down market for the short side."""
    highs, lows, acceleration = bars["high"], bars["low"], min(acceleration, maximum)
    fall, rise = lows[0] - lows[1], highs[1] - highs[0]
    long = not fall > max(rise, 0)
    stop, extreme, factor = (lows[0], highs[1], acceleration) if long else (highs[0], lows[1], acceleration)
    out: Series = [None]
    for i in range(1, len(highs)):
        first = max(i - 1, 1)  # the first stop knows the second bar only
        floor, ceiling = min(lows[first], lows[i]), max(highs[first], highs[i])
        if (lows[i] <= stop) if long else (highs[i] >= stop):
            long = not long
            stop = min(extreme, floor) if long else max(extreme, ceiling)
            out.append(stop)
            extreme, factor = (highs[i] if long else lows[i]), acceleration
        else:
            out.append(stop)
            if (highs[i] > extreme) if long else (lows[i] < extreme):
                extreme, factor = (highs[i] if long else lows[i]), min(factor + acceleration, maximum)
        stop += factor * (extreme - stop)
        stop = min(stop, floor) if long else max(stop, ceiling)
    return out


def supertrend(bars: Bars, period: int, multiplier: float) -> tuple[Series, Series]:
    ranges = atr(bars, period)
    lines: Series = []
    sides: Series = []
    upper = lower = side = None
    for i, spread in enumerate(ranges):
        if spread is None:
            lines.append(None)
            sides.append(None)
            continue
        middle, close, before = (bars["high"][i] + bars["low"][i]) / 2, bars["close"][i], bars["close"][i - 1]
        if side is None or middle + multiplier * spread < upper or before > upper:
            upper = middle + multiplier * spread
        if side is None or middle - multiplier * spread > lower or before < lower:
            lower = middle - multiplier * spread
        if side is None:
            side = 1.0 if close >= middle else -1.0
        side = 1.0 if close > (lower if side > 0 else upper) else -1.0
        lines.append(lower if side > 0 else upper)
        sides.append(side)
    return lines, sides


def keltner(bars: Bars, period: int, spread: int, multiplier: float) -> tuple[Series, Series, Series]:
    rows = list(zip(ema(bars["close"], period), atr(bars, spread), strict=True))
    good = [m is not None and a is not None for m, a in rows]
    middle = [m if g else None for (m, _), g in zip(rows, good, strict=True)]
    upper = [m + multiplier * a if g else None for (m, a), g in zip(rows, good, strict=True)]
    lower = [m - multiplier * a if g else None for (m, a), g in zip(rows, good, strict=True)]
    return upper, middle, lower


def donchian(bars: Bars, period: int) -> tuple[Series, Series, Series]:
    upper, lower = highest(bars["high"], period), lowest(bars["low"], period)
    return upper, [None if u is None else (u + d) / 2 for u, d in zip(upper, lower, strict=True)], lower


def ultimate(bars: Bars, *periods: int) -> Series:
    highs, lows, closes = bars["high"], bars["low"], bars["close"]
    pressure = [0.0] + [closes[i] - min(lows[i], closes[i - 1]) for i in range(1, len(closes))]
    ranges = [0.0] + [max(highs[i], closes[i - 1]) - min(lows[i], closes[i - 1]) for i in range(1, len(closes))]
    out: Series = []
    for i in range(len(closes)):
        if i < max(periods):
            out.append(None)
            continue
        total = 0.0
        for weight, period in zip((4, 2, 1), sorted(periods), strict=True):
            whole = sum(ranges[i + 1 - period : i + 1])
            total += weight * sum(pressure[i + 1 - period : i + 1]) / whole if whole else 0.0
        out.append(100 * total / 7)
    return out


def mfi(bars: Bars, period: int) -> Series:
    prices = typical(bars)
    flows = [p * v for p, v in zip(prices, bars["volume"], strict=True)]
    out: Series = []
    for i in range(len(prices)):
        rows = range(i + 1 - period, i + 1)
        if i < period:
            out.append(None)
            continue
        rising = sum(flows[k] for k in rows if prices[k] > prices[k - 1])
        falling = sum(flows[k] for k in rows if prices[k] < prices[k - 1])
        out.append(100 * rising / (rising + falling) if rising + falling else 0.0)
    return out


def obv(bars: Bars) -> Series:
    closes, volumes = bars["close"], bars["volume"]
    out: Series = volumes[:1]
    for i in range(1, len(closes)):
        sign = (closes[i] > closes[i - 1]) - (closes[i] < closes[i - 1])
        out.append(out[-1] + sign * volumes[i])
    return out


def flows(bars: Bars) -> list[float]:
    rows = zip(bars["high"], bars["low"], bars["close"], bars["volume"], strict=True)
    return [((c - d) - (h - c)) / (h - d) * v if h > d else 0.0 for h, d, c, v in rows]


def ad(bars: Bars) -> Series:
    out, total = [], 0.0
    for flow in flows(bars):
        total += flow
        out.append(total)
    return out


def cmf(bars: Bars, period: int) -> Series:
    found, volumes = flows(bars), bars["volume"]
    out: Series = []
    for i in range(len(found)):
        volume = sum(volumes[max(i + 1 - period, 0) : i + 1])
        flow = sum(found[max(i + 1 - period, 0) : i + 1])
        out.append(None if i + 1 < period else (flow / volume if volume else 0.0))
    return out


def chaikin(bars: Bars, fast: int, slow: int) -> Series:
    line = ad(bars)

    def spread(period: int) -> list[float]:
        out = [line[0]]
        for x in line[1:]:
            out.append(out[-1] + 2 / (period + 1) * (x - out[-1]))
        return out

    lookback = max(fast, slow) - 1
    return [None if i < lookback else f - s for i, (f, s) in enumerate(zip(spread(fast), spread(slow), strict=True))]

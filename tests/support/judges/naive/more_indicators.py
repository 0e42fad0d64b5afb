"""Oracles of further indicators: averages, oscillators, volatility, trend. Lists; None where there is no value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from statistics import fmean, linear_regression, pstdev, pvariance, stdev, variance

from tests.support.judges.naive.indicators import (
    Bars,
    Series,
    after,
    bbands,
    ema,
    emas,
    highest,
    lowest,
    rsi,
    sma,
    smoothed,
    weighted,
)


def windows(values: Sequence[float], period: int) -> list[list[float] | None]:
    return [list(values[i + 1 - period : i + 1]) if i + 1 >= period else None for i in range(len(values))]


def middles(bars: Bars) -> list[float]:
    return [(h + low) / 2 for h, low in zip(bars["high"], bars["low"], strict=True)]


def vwma(bars: Bars, period: int) -> Series:
    pairs = zip(windows(bars["close"], period), windows(bars["volume"], period), strict=True)
    return [None if prices is None else weighted(prices, volumes) for prices, volumes in pairs]


def zlema(values: Sequence[float], period: int) -> Series:
    lag = (period - 1) // 2
    return after(lag, ema([2 * x - old for x, old in zip(values[lag:], values, strict=False)], period))


def t3(values: Sequence[float], period: int, v: float) -> Series:
    """(1 + v) EMA - v EMA of EMA, applied three times: its powers, multiplied out."""
    weights = (-(v**3), 3 * v**2 * (1 + v), -3 * v * (1 + v) ** 2, (1 + v) ** 3)
    chain = zip(*reversed(emas(values, period, 6)), strict=True)
    return [None if row[0] is None else sum(w * x for w, x in zip(weights, row, strict=False)) for row in chain]


def alma(values: Sequence[float], period: int, offset: float, sigma: float) -> Series:
    weights = [math.exp(-((k - offset * (period - 1)) ** 2) / (2 * (period / sigma) ** 2)) for k in range(period)]
    return [
        None if w is None else sum(a * b for a, b in zip(weights, w, strict=True)) / sum(weights)
        for w in windows(values, period)
    ]


def cmo(values: Sequence[float], period: int) -> Series:
    changes = [b - a for a, b in zip(values, values[1:], strict=False)]
    ups = smoothed([max(c, 0) for c in changes], period, 1 / period)
    downs = smoothed([max(-c, 0) for c in changes], period, 1 / period)
    return [None] + [
        None if u is None else (100 * (u - d) / (u + d) if u + d else 0.0) for u, d in zip(ups, downs, strict=True)
    ]


def fisher(bars: Bars, period: int) -> tuple[Series, Series]:
    prices = middles(bars)
    values: Series = [None] * min(period - 1, len(prices))
    smooth = value = 0.0
    for i in range(period - 1, len(prices)):
        window = prices[i + 1 - period : i + 1]
        spread = max(window) - min(window)
        place = (prices[i] - min(window)) / spread - 0.5 if spread else 0.0
        smooth = 0.33 * 2 * place + 0.67 * smooth
        smooth = math.copysign(0.999, smooth) if abs(smooth) > 0.99 else smooth
        value = math.log((1 + smooth) / (1 - smooth)) / 2 + value / 2
        values.append(value)
    return [None] * period + values[period:], [None] * period + values[period - 1 : -1]


def connorsrsi(values: Sequence[float], period: int, streak: int, rank: int) -> Series:
    runs = [0.0]
    for before, now in zip(values, values[1:], strict=False):
        if now == before:
            runs.append(0.0)
        elif now > before:
            runs.append(max(runs[-1], 0) + 1)
        else:
            runs.append(min(runs[-1], 0) - 1)
    changes = [b / a - 1 for a, b in zip(values, values[1:], strict=False)]
    out: Series = []
    for i, (one, two) in enumerate(zip(rsi(values, period), rsi(runs, streak), strict=True)):
        if one is None or two is None or i < rank + 1:
            out.append(None)
            continue
        below = sum(c < changes[i - 1] for c in changes[i - 1 - rank : i - 1])
        out.append((one + two + 100 * below / rank) / 3)
    return out


def awesome(bars: Bars, fast: int, slow: int) -> Series:
    pairs = zip(sma(middles(bars), fast), sma(middles(bars), slow), strict=True)
    return [None if f is None or s is None else f - s for f, s in pairs]


def ichimoku(bars: Bars, short: int, base: int, span: int) -> tuple[Series, Series, Series, Series]:
    def line(period: int) -> Series:
        pairs = zip(highest(bars["high"], period), lowest(bars["low"], period), strict=True)
        return [None if h is None else (h + low) / 2 for h, low in pairs]

    conversion, middle, slow = line(short), line(base), line(span)
    leading = [None if a is None or b is None else (a + b) / 2 for a, b in zip(conversion, middle, strict=True)]
    begin = max(short, base, span) - 1 + base
    found = conversion, middle, after(base, leading), after(base, slow)
    return tuple(after(begin, series[begin : len(conversion)]) for series in found)


def vortex(bars: Bars, period: int) -> tuple[Series, Series]:
    highs, lows, closes = bars["high"], bars["low"], bars["close"]
    rows = range(1, len(highs))
    plus = [abs(highs[i] - lows[i - 1]) for i in rows]
    minus = [abs(lows[i] - highs[i - 1]) for i in rows]
    ranges = [max(highs[i], closes[i - 1]) - min(lows[i], closes[i - 1]) for i in rows]

    def share(moves: list[float]) -> Series:
        pairs = zip(windows(moves, period), windows(ranges, period), strict=True)
        return [None] + [None if m is None else (math.fsum(m) / math.fsum(r) if any(r) else 0.0) for m, r in pairs]

    return share(plus), share(minus)


def linreg(values: Sequence[float], period: int) -> tuple[Series, Series, Series, Series]:
    ends: Series = []
    slopes: Series = []
    begins: Series = []
    shares: Series = []
    for window in windows(values, period):
        if window is None:
            line: tuple[float | None, ...] = (None, None, None, None)
        else:
            slope, begin = linear_regression(range(period), [x - window[0] for x in window])
            spread = pvariance([x - window[0] for x in window])
            explained = slope**2 * (period**2 - 1) / 12 / spread if spread else 0.0
            line = (window[0] + begin + slope * (period - 1), slope, window[0] + begin, explained)
        for series, x in zip((ends, slopes, begins, shares), line, strict=True):
            series.append(x)
    return ends, slopes, begins, shares


def percentb(values: Sequence[float], period: int, width: float) -> Series:
    found: Series = []
    for x, window in zip(values, windows(values, period), strict=True):
        deviation = pstdev(map(Fraction, window)) if window else None
        exact = None if window is None else float(Fraction(x) - sum(map(Fraction, window)) / period)
        found.append(None if exact is None else (exact / (2 * width * deviation) + 0.5 if deviation else 0.5))
    return found


def bbwidth(values: Sequence[float], period: int, width: float) -> Series:
    return [None if u is None else (u - d) / m for u, m, d in zip(*bbands(values, period, width), strict=True)]


def chaikinvol(bars: Bars, period: int, change: int) -> Series:
    means = ema([h - low for h, low in zip(bars["high"], bars["low"], strict=True)], period)
    ratios = [
        None if a is None or b is None else 100 * (b / a - 1) for a, b in zip(means, means[change:], strict=False)
    ]
    return after(change, ratios)


def log_returns(values: Sequence[float]) -> list[float]:
    return [math.log(b / a) for a, b in zip(values, values[1:], strict=False)]


def hv(values: Sequence[float], period: int) -> Series:
    return [None] + [None if w is None else stdev(w) for w in windows(log_returns(values), period)]


def parkinson(bars: Bars, period: int) -> Series:
    spreads = [math.log(h / low) ** 2 for h, low in zip(bars["high"], bars["low"], strict=True)]
    return [None if w is None else math.sqrt(fmean(w) / (4 * math.log(2))) for w in windows(spreads, period)]


def garmanklass(bars: Bars, period: int) -> Series:
    rows = zip(*(bars[name] for name in ("open", "high", "low", "close")), strict=True)
    terms = [math.log(h / d) ** 2 / 2 - (2 * math.log(2) - 1) * math.log(c / o) ** 2 for o, h, d, c in rows]
    return [None if w is None else math.sqrt(max(math.fsum(w) / period, 0)) for w in windows(terms, period)]


def yangzhang(bars: Bars, period: int) -> Series:
    opens, closes = bars["open"], bars["close"]
    rows = list(zip(opens, bars["high"], bars["low"], closes, strict=True))[1:]
    jumps = [math.log(o / c) for o, c in zip(opens[1:], closes, strict=False)]
    moves = [math.log(c / o) for o, _, _, c in rows]
    terms = [math.log(h / c) * math.log(h / o) + math.log(d / c) * math.log(d / o) for o, h, d, c in rows]
    k = 0.34 / (1.34 + (period + 1) / (period - 1))
    found = zip(*(windows(series, period) for series in (jumps, moves, terms)), strict=True)
    return [None] + [
        None if j is None or m is None or t is None else math.sqrt(variance(j) + k * variance(m) + (1 - k) * fmean(t))
        for j, m, t in found
    ]


def ulcer(values: Sequence[float], period: int) -> Series:
    def index(window: list[float]) -> float:
        return math.sqrt(sum((100 * (x / max(window[: k + 1]) - 1)) ** 2 for k, x in enumerate(window)) / period)

    return [None if w is None else index(w) for w in windows(values, period)]


def rv(values: Sequence[float], period: int) -> Series:
    return [None] + [None if w is None else math.fsum(x * x for x in w) for w in windows(log_returns(values), period)]


def bipower(values: Sequence[float], period: int) -> Series:
    returns = log_returns(values)
    products = [abs(a * b) for a, b in zip(returns, returns[1:], strict=False)]
    return after(2, [None if w is None else math.pi / 2 * math.fsum(w) for w in windows(products, period)])


def roll(values: Sequence[float], period: int) -> Series:
    changes = [b - a for a, b in zip(values, values[1:], strict=False)]
    out: Series = after(2, [])
    for older, newer in zip(windows(changes, period), windows(changes[1:], period), strict=False):
        if older is None or newer is None:
            out.append(None)
            continue
        a, b = fmean(older), fmean(newer)
        covariance = sum((x - a) * (y - b) for x, y in zip(older, newer, strict=True)) / period
        out.append(2 * math.sqrt(max(-covariance, 0)))
    return out

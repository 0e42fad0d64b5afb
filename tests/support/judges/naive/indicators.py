"""Oracles of indicators: the definitions on lists, whole history at once. None where there is no value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

Series = list[float | None]
Bars = dict[str, list[float]]


def mean(values: Sequence[float]) -> float:
    return float(sum(map(Fraction, values)) / len(values))


def sma(values: Sequence[float], period: int) -> Series:
    return [mean(values[i + 1 - period : i + 1]) if i + 1 >= period else None for i in range(len(values))]


def smoothed(values: Sequence[float], period: int, alpha: float) -> Series:
    """Exponential mean seeded by the simple mean of the first `period` values."""
    out: Series = [None] * min(period - 1, len(values))
    for i in range(period - 1, len(values)):
        before = out[-1] if i >= period else None
        out.append(mean(values[:period]) if before is None else before + alpha * (values[i] - before))
    return out


def ema(values: Sequence[float], period: int) -> Series:
    return smoothed(values, period, 2 / (period + 1))


def rsi(values: Sequence[float], period: int) -> Series:
    changes = [b - a for a, b in zip(values, values[1:], strict=False)]
    gains = smoothed([max(c, 0) for c in changes], period, 1 / period)
    losses = smoothed([max(-c, 0) for c in changes], period, 1 / period)
    out: Series = [None]
    for gain, loss in zip(gains, losses, strict=True):
        if gain is None or loss is None:
            out.append(None)
        else:
            out.append(100 * gain / (gain + loss) if gain + loss else 0.0)
    return out


def macd(values: Sequence[float], fast: int, slow: int, signal: int) -> tuple[Series, Series, Series]:
    fast, slow = min(fast, slow), max(fast, slow)
    skipped = slow - fast
    quick: Series = [None] * skipped + ema(values[skipped:], fast)
    lines = [q - s for q, s in zip(quick, ema(values, slow), strict=True) if q is not None and s is not None]
    signals: Series = [None] * (slow - 1) + ema(lines, signal)
    shown: Series = [None] * (slow - 1) + list(lines)
    line = [x if s is not None else None for x, s in zip(shown, signals, strict=True)]
    hist = [x - s if x is not None and s is not None else None for x, s in zip(line, signals, strict=True)]
    return line, signals, hist


def bbands(values: Sequence[float], period: int, width: float) -> tuple[Series, Series, Series]:
    middle = sma(values, period)
    upper: Series = []
    lower: Series = []
    for i, centre in enumerate(middle):
        if centre is None:
            upper.append(None)
            lower.append(None)
            continue
        window = [Fraction(x) for x in values[i + 1 - period : i + 1]]
        exact = sum(window) / period
        deviation = math.sqrt(sum((x - exact) ** 2 for x in window) / period)
        upper.append(centre + width * deviation)
        lower.append(centre - width * deviation)
    return upper, middle, lower


def atr(bars: Bars, period: int) -> Series:
    rows = list(zip(bars["high"], bars["low"], bars["close"], strict=True))
    ranges = [
        max(high - low, abs(high - before), abs(low - before))
        for (_, _, before), (high, low, _) in zip(rows, rows[1:], strict=False)
    ]
    return [None, *smoothed(ranges, period, 1 / period)][: len(rows)]


def typical(bars: Bars) -> list[float]:
    return [(h + low + c) / 3 for h, low, c in zip(bars["high"], bars["low"], bars["close"], strict=True)]


def weighted(prices: Sequence[float], volumes: Sequence[float]) -> float:
    total = sum(map(Fraction, volumes))
    if not total:
        return prices[-1]
    return float(sum(Fraction(p) * Fraction(v) for p, v in zip(prices, volumes, strict=True)) / total)


def vwap(bars: Bars) -> Series:
    prices = typical(bars)
    return [weighted(prices[: i + 1], bars["volume"][: i + 1]) for i in range(len(prices))]


def vwap_rolling(bars: Bars, period: int) -> Series:
    prices = typical(bars)
    return [
        weighted(prices[i + 1 - period : i + 1], bars["volume"][i + 1 - period : i + 1]) if i + 1 >= period else None
        for i in range(len(prices))
    ]


def known(values: Series) -> list[float]:
    return [x for x in values if x is not None]


def after(lookback: int, values: Series) -> Series:
    return [None] * lookback + list(values)


def of(source: Series, indicator: Callable[..., Series], *parameters: float) -> Series:
    """An indicator of a series that begins later."""
    return after(len(source) - len(known(source)), indicator(known(source), *parameters))


def wma(values: Sequence[float], period: int) -> Series:
    weights = range(1, period + 1)
    return [
        float(sum(w * Fraction(x) for w, x in zip(weights, values[i + 1 - period : i + 1], strict=True)) / sum(weights))
        if i + 1 >= period
        else None
        for i in range(len(values))
    ]


def hma(values: Sequence[float], period: int) -> Series:
    raw = [
        None if slow is None or fast is None else 2 * fast - slow
        for slow, fast in zip(wma(values, period), wma(values, period // 2), strict=True)
    ]
    return of(raw, wma, math.isqrt(period))


def emas(values: Sequence[float], period: int, count: int) -> list[Series]:
    made = [ema(values, period)]
    while len(made) < count:
        made.append(of(made[-1], ema, period))
    return made


def dema(values: Sequence[float], period: int) -> Series:
    return [None if b is None else 2 * a - b for a, b in zip(*emas(values, period, 2), strict=True)]


def tema(values: Sequence[float], period: int) -> Series:
    return [None if c is None else 3 * a - 3 * b + c for a, b, c in zip(*emas(values, period, 3), strict=True)]


def trix(values: Sequence[float], period: int) -> Series:
    third = emas(values, period, 3)[2]
    return [None] + [None if a is None else 100 * (b / a - 1) for a, b in zip(third, third[1:], strict=False)]


def kama(values: Sequence[float], period: int, fast: int, slow: int) -> Series:
    out: Series = [None] * min(period, len(values))
    quick, lazy = 2 / (fast + 1), 2 / (slow + 1)
    for i in range(period, len(values)):
        before = out[-1] if i > period else values[i - 1]
        path = sum(abs(values[k] - values[k - 1]) for k in range(i + 1 - period, i + 1))
        moved = abs(values[i] - values[i - period])
        weight = (min(moved / path, 1) if path else 1) * (quick - lazy) + lazy
        out.append(before + weight**2 * (values[i] - before))
    return out


def roc(values: Sequence[float], period: int) -> Series:
    return after(period, [100 * (b / a - 1) for a, b in zip(values, values[period:], strict=False)])


def mom(values: Sequence[float], period: int) -> Series:
    return after(period, [b - a for a, b in zip(values, values[period:], strict=False)])


def natr(bars: Bars, period: int) -> Series:
    return [None if a is None else 100 * a / c for a, c in zip(atr(bars, period), bars["close"], strict=True)]


def highest(values: Sequence[float], period: int) -> Series:
    return [max(values[i + 1 - period : i + 1]) if i + 1 >= period else None for i in range(len(values))]


def lowest(values: Sequence[float], period: int) -> Series:
    return [min(values[i + 1 - period : i + 1]) if i + 1 >= period else None for i in range(len(values))]


def where_in_range(bars: Bars, period: int) -> Series:
    tops, bottoms = highest(bars["high"], period), lowest(bars["low"], period)
    return [
        None if top is None else (100 * (close - low) / (top - low) if top > low + 1e-10 else 0.0)
        for top, low, close in zip(tops, bottoms, bars["close"], strict=True)
    ]


def smoothed_twice(raw: Series, slow: int, signal: int) -> tuple[Series, Series]:
    k = of(raw, sma, slow)
    d = of(k, sma, signal)
    return [None if y is None else x for x, y in zip(k, d, strict=True)], d


def stoch(bars: Bars, period: int, slow: int, signal: int) -> tuple[Series, Series]:
    return smoothed_twice(where_in_range(bars, period), slow, signal)


def stochrsi(values: Sequence[float], strength: int, period: int, slow: int, signal: int) -> tuple[Series, Series]:
    found = rsi(values, strength)
    numbers = known(found)
    raw = where_in_range({"high": numbers, "low": numbers, "close": numbers}, period)
    return smoothed_twice(after(len(found) - len(numbers), raw), slow, signal)


def willr(bars: Bars, period: int) -> Series:
    tops, bottoms = highest(bars["high"], period), lowest(bars["low"], period)
    return [
        None if top is None else (-100 * (top - close) / (top - low) if top > low else 0.0)
        for top, low, close in zip(tops, bottoms, bars["close"], strict=True)
    ]


def cci(bars: Bars, period: int) -> Series:
    prices = typical(bars)
    out: Series = []
    for i, price in enumerate(prices):
        window = prices[i + 1 - period : i + 1]
        if i + 1 < period:
            out.append(None)
            continue
        centre = mean(window)
        away = sum(abs(x - centre) for x in window) / period
        out.append((price - centre) / (0.015 * away) if away else 0.0)
    return out


def ppo(values: Sequence[float], fast: int, slow: int, signal: int) -> tuple[Series, Series, Series]:
    fast, slow = min(fast, slow), max(fast, slow)
    pairs = zip(ema(values, fast), ema(values, slow), strict=True)
    line = [None if s is None or f is None else 100 * (f - s) / s for f, s in pairs]
    signals = of(line, ema, signal)
    shown = [None if s is None else x for x, s in zip(line, signals, strict=True)]
    return shown, signals, [None if s is None else x - s for x, s in zip(shown, signals, strict=True)]


def tsi(values: Sequence[float], slow: int, fast: int) -> Series:
    changes = [b - a for a, b in zip(values, values[1:], strict=False)]
    above = of(ema(changes, slow), ema, fast)
    below = of(ema([abs(x) for x in changes], slow), ema, fast)
    return [None] + [None if b is None else (100 * a / b if b else 0.0) for a, b in zip(above, below, strict=True)]

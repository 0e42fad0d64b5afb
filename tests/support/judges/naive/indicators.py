"""Oracles of indicators: the definitions on lists, whole history at once. None where there is no value."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


def vwap(bars: Bars, days: Sequence[int]) -> Series:
    prices = typical(bars)
    out: Series = []
    for i, day in enumerate(days):
        first = days.index(day)
        out.append(weighted(prices[first : i + 1], bars["volume"][first : i + 1]))
    return out


def vwap_rolling(bars: Bars, period: int) -> Series:
    prices = typical(bars)
    return [
        weighted(prices[i + 1 - period : i + 1], bars["volume"][i + 1 - period : i + 1]) if i + 1 >= period else None
        for i in range(len(prices))
    ]

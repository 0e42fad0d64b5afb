"""Ichimoku cloud (Hosoda): middles of ranges. Conversion, base, and the spans charted at this bar.

The spans are those of `base` bars ago, for a chart draws them so far ahead; the lagging span (the close drawn `base`
bars back) looks ahead and is left out. Stock.Indicators' Ichimoku.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import (
    HIGHEST_WORDS,
    RING_WORDS,
    highest_day_boundary,
    highest_size,
    highest_step,
    lowest_step,
    ring_day_boundary,
    ring_push,
    ring_size,
)
from trading_platform.jit.kernel import block


@block()
def middle_step(state: Any, at: int, window: Any, place: int, period: int, high: float, low: float) -> float:
    """Advance the middle between the highest high and the lowest low."""
    top = highest_step(state, at, window, place, period, high)
    bottom = lowest_step(state, at + HIGHEST_WORDS, window, place + highest_size(period), period, low)
    return 0.5 * top + 0.5 * bottom if not isnan(top) else nan


@block()
def middle_day_boundary(state: Any, at: int, window: Any, place: int, period: int) -> None:
    """Put both windows in order."""
    highest_day_boundary(state, at, window, place, period)
    highest_day_boundary(state, at + HIGHEST_WORDS, window, place + highest_size(period), period)


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float) -> tuple[float, float, float, float]:
    """Advance one bar. state: three ranges, rings of both spans."""
    short, base, long = int(constants[0]), int(constants[1]), int(constants[2])
    place = 0
    conversion = middle_step(state, 0, window, place, short, high, low)
    place += 2 * highest_size(short)
    line = middle_step(state, 6, window, place, base, high, low)
    place += 2 * highest_size(base)
    slow = middle_step(state, 12, window, place, long, high, low)
    place += 2 * highest_size(long)
    if isnan(conversion) or isnan(line) or isnan(slow):
        return nan, nan, nan, nan
    size = base + 1
    first = ring_push(state, 18, window, place, size, 0.5 * conversion + 0.5 * line)
    second = ring_push(state, 20, window, place + ring_size(size), size, slow)
    if state[18] < size:
        return nan, nan, nan, nan
    return conversion, line, window[first], window[second]


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    short, base, long = int(constants[0]), int(constants[1]), int(constants[2])
    middle_day_boundary(state, 0, window, 0, short)
    place = 2 * highest_size(short)
    middle_day_boundary(state, 6, window, place, base)
    place += 2 * highest_size(base)
    middle_day_boundary(state, 12, window, place, long)
    place += 2 * highest_size(long)
    ring_day_boundary(state, 18, window, place, base + 1)
    ring_day_boundary(state, 20, window, place + ring_size(base + 1), base + 1)


def _window(short: int, base: int, long: int) -> int:
    return int(2 * (highest_size(short) + highest_size(base) + highest_size(long)) + 2 * ring_size(base + 1))


ICHIMOKU = Indicator(
    name="ichimoku",
    title="Ichimoku cloud",
    source="Hosoda; Stock.Indicators Ichimoku",
    parameters=(
        Parameter("conversion", 9, 1, 10_000),
        Parameter("base", 26, 1, 10_000),
        Parameter("span", 52, 1, 10_000),
    ),
    inputs=(
        "high",
        "low",
    ),
    outputs=(
        "conversion",
        "base",
        "span_a",
        "span_b",
    ),
    lookback=lambda conversion, base, span: max(conversion, base, span) - 1 + base,
    step=step,
    words=6 * HIGHEST_WORDS + 2 * RING_WORDS,
    window=_window,
    constants=lambda conversion, base, span: (conversion, base, span),
    day_boundary=day_boundary,
)

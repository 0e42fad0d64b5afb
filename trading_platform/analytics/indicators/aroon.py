"""Aroon (Chande 1995): how many bars ago the highest high and the lowest low of the last `period` were.

`up` and `down` are 100 for the newest bar, 0 for the oldest of period + 1; of equal ones the newest counts. `osc` is
up - down. TA-Lib's AROON and AROONOSC.
"""

from __future__ import annotations

from math import nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import RING_WORDS, ring_day_boundary, ring_push, ring_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float) -> tuple[float, float, float]:
    """Advance one bar. state: rings of highs and lows."""
    size = int(constants[0]) + 1
    highs = ring_push(state, 0, window, 0, size, high)
    lows = ring_push(state, RING_WORDS, window, ring_size(size), size, low)
    if state[0] < size:
        return nan, nan, nan
    top = 0
    bottom = 0
    highest = window[highs]
    lowest = window[lows]
    for k in range(1, size):
        # Chosen, not branched: a guess is wrong too often here.
        x = window[highs + k]
        y = window[lows + k]
        top = k if x >= highest else top
        bottom = k if y <= lowest else bottom
        highest = max(highest, x)
        lowest = min(lowest, y)
    factor = 100.0 / constants[0]
    return factor * top, factor * bottom, factor * (top - bottom)


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the rings in order."""
    size = int(constants[0]) + 1
    ring_day_boundary(state, 0, window, 0, size)
    ring_day_boundary(state, RING_WORDS, window, ring_size(size), size)


AROON = Indicator(
    name="aroon",
    title="Aroon",
    source="TA-Lib AROON, AROONOSC",
    parameters=(Parameter("period", 25, 2, 10_000),),
    inputs=(
        "high",
        "low",
    ),
    outputs=(
        "up",
        "down",
        "osc",
    ),
    lookback=lambda period: period,
    step=step,
    words=2 * RING_WORDS,
    window=lambda period: 2 * ring_size(period + 1),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

"""Donchian channel: the highest high and lowest low of the last `period` bars, and their middle.

The newest bar is one of them, as in TA-Lib's MAX and MIN (Stock.Indicators leaves it out).
"""

from __future__ import annotations

from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import (
    HIGHEST_WORDS,
    highest_day_boundary,
    highest_size,
    highest_step,
    lowest_step,
)
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float) -> tuple[float, float, float]:
    """Advance one bar. state: highest, lowest."""
    period = int(constants[0])
    top = highest_step(state, 0, window, 0, period, high)
    bottom = lowest_step(state, HIGHEST_WORDS, window, highest_size(period), period, low)
    return top, 0.5 * top + 0.5 * bottom, bottom


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    period = int(constants[0])
    highest_day_boundary(state, 0, window, 0, period)
    highest_day_boundary(state, HIGHEST_WORDS, window, highest_size(period), period)


DONCHIAN = Indicator(
    name="donchian",
    title="Donchian channel",
    source="Donchian; TA-Lib MAX, MIN",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=(
        "high",
        "low",
    ),
    outputs=(
        "upper",
        "middle",
        "lower",
    ),
    lookback=lambda period: period - 1,
    step=step,
    words=2 * HIGHEST_WORDS,
    window=lambda period: 2 * highest_size(period),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

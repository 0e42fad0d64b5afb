"""Williams %R: how far the close is below the highest high, in the range of the period, -100 to 0. TA-Lib's WILLR.

Without a range it is 0.
"""

from __future__ import annotations

from math import isnan, nan
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
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float) -> float:
    """Advance one bar. state: highest, lowest."""
    period = int(constants[0])
    top = highest_step(state, 0, window, 0, period, high)
    bottom = lowest_step(state, 3, window, highest_size(period), period, low)
    if isnan(top):
        return nan
    return -100.0 * ((top - close) / (top - bottom)) if top != bottom else 0.0


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    period = int(constants[0])
    highest_day_boundary(state, 0, window, 0, period)
    highest_day_boundary(state, 3, window, highest_size(period), period)


WILLR = Indicator(
    name="willr",
    title="Williams %R",
    source="TA-Lib WILLR",
    parameters=(Parameter("period", 14, 1, 10_000),),
    inputs=(
        "high",
        "low",
        "close",
    ),
    outputs=("",),
    lookback=lambda period: period - 1,
    step=step,
    words=2 * HIGHEST_WORDS,
    window=lambda period: 2 * highest_size(period),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

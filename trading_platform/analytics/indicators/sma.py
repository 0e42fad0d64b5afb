"""Simple moving average: the mean of the last `period` values. TA-Lib's SMA.

Summed in two words and without subtraction: never outside the minimum and maximum of its window, and a constant
input gives that constant to the bit.
"""

from __future__ import annotations

from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import divide_pair
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_size, rolling_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar."""
    total, rest = rolling_step(state, 0, window, 0, int(constants[0]), close)
    return divide_pair(total, rest, constants[0])


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the window in order."""
    rolling_day_boundary(state, 0, window, 0, int(constants[0]))


SMA = Indicator(
    name="sma",
    title="Simple moving average",
    source="TA-Lib SMA",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: period - 1,
    constants=lambda period: (period,),
    step=step,
    words=ROLLING_WORDS,
    window=rolling_size,
    day_boundary=day_boundary,
)

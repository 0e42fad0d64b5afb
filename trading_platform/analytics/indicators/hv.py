"""Historical volatility: the sample deviation of the last `period` log returns, per bar.

Multiply it by the square root of the number of bars in a year to annualise it. A return from or
to a price of 0 or below counts 0.
"""

from __future__ import annotations

from math import isnan, nan, sqrt
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import PREVIOUS_WORDS, log_return_step
from trading_platform.analytics.windows import DEVIATION_WORDS, deviation_day_boundary, deviation_size, deviation_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: seen, previous close, deviation."""
    move = log_return_step(state, 0, close)
    if isnan(move):
        return nan
    mean, variance = deviation_step(state, PREVIOUS_WORDS, window, 0, int(constants[0]), move)
    return sqrt(variance * constants[1]) if not isnan(mean) else nan


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the window in order."""
    deviation_day_boundary(state, PREVIOUS_WORDS, window, 0, int(constants[0]))


HV = Indicator(
    name="hv",
    title="Historical volatility",
    source="sample deviation of log returns, per bar",
    parameters=(Parameter("period", 20, 2, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: period,
    step=step,
    words=PREVIOUS_WORDS + DEVIATION_WORDS,
    window=deviation_size,
    constants=lambda period: (period, period / (period - 1.0)),
    day_boundary=day_boundary,
)

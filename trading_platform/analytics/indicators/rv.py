"""Realized variance: the sum of the last `period` squared log returns of the close.

A return from or to a price of 0 or below counts 0.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import PREVIOUS_WORDS, log_return_step
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_size, rolling_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: seen, previous close, sum."""
    move = log_return_step(state, 0, close)
    if isnan(move):
        return nan
    total, rest = rolling_step(state, PREVIOUS_WORDS, window, 0, int(constants[0]), move * move)
    return total + rest


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the window in order."""
    rolling_day_boundary(state, PREVIOUS_WORDS, window, 0, int(constants[0]))


RV = Indicator(
    name="rv",
    title="Realized variance",
    source="sum of squared log returns",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: period,
    step=step,
    words=PREVIOUS_WORDS + ROLLING_WORDS,
    window=rolling_size,
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

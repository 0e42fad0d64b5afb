"""TRIX (Hutson 1983): the change of a triple exponential mean from bar to bar, in percent. TA-Lib's TRIX.

Where the mean before was 0 it is 0.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, PREVIOUS_WORDS, change_step, ema_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: three means, the last one's previous value."""
    once = ema_step(state, 0, constants[0], constants[1], close)
    if isnan(once):
        return nan
    twice = ema_step(state, EMA_SIZE, constants[0], constants[1], once)
    if isnan(twice):
        return nan
    thrice = ema_step(state, 2 * EMA_SIZE, constants[0], constants[1], twice)
    if isnan(thrice):
        return nan
    previous = state[3 * EMA_SIZE + 1]
    change = change_step(state, 3 * EMA_SIZE, thrice)
    if isnan(change):
        return nan
    return 100.0 * (change / previous) if previous != 0.0 else 0.0


TRIX = Indicator(
    name="trix",
    title="TRIX",
    source="TA-Lib TRIX",
    parameters=(Parameter("period", 18, 1, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: 3 * (period - 1) + 1,
    step=step,
    words=3 * EMA_SIZE + PREVIOUS_WORDS,
    constants=lambda period: (period, 2.0 / (period + 1.0)),
)

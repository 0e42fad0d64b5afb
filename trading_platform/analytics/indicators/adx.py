"""Average directional index (Wilder 1978): Wilder's mean of 100 · |+DI - -DI| / (+DI + -DI). TA-Lib's ADX.

The sums of directional movement and true range are `direction_step`'s; the seed is the mean of the first `period`
values. A bar without any direction counts 0 in the seed and leaves the mean as it is later, as TA-Lib has it.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import DIRECTION_WORDS, direction_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float) -> float:
    """Advance one bar. state: direction, values seen, their sum or mean."""
    plus, minus, spread = direction_step(state, 0, constants[0], high, low, close)
    if isnan(spread):
        return nan
    both = plus + minus
    moved = both != 0.0 and spread != 0.0
    index = 100.0 * (abs(plus - minus) / both) if moved else 0.0
    if state[7] < constants[0]:
        state[7] += 1.0
        state[8] += index
        if state[7] < constants[0]:
            return nan
        state[8] /= constants[0]
    elif moved:
        state[8] += (index - state[8]) / constants[0]
    return state[8]


ADX = Indicator(
    name="adx",
    title="Average directional index",
    source="TA-Lib ADX (Wilder)",
    parameters=(Parameter("period", 14, 2, 10_000),),
    inputs=(
        "high",
        "low",
        "close",
    ),
    outputs=("",),
    lookback=lambda period: 2 * period - 1,
    step=step,
    words=DIRECTION_WORDS + 2,
    constants=lambda period: (period,),
)

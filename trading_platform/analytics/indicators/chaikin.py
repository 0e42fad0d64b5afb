"""Chaikin oscillator: fast less slow exponential mean of the accumulation/distribution line. TA-Lib's ADOSC.

Both means start from the line's first value, as TA-Lib's do, and the line runs through days.
"""

from __future__ import annotations

from math import nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import money_flow
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float, volume: float) -> float:
    """Advance one bar. state: bars up to the lookback, the line, fast, slow."""
    line = state[1] + money_flow(high, low, close, volume)
    state[1] = line
    if state[0] == 0.0:
        state[2] = line
        state[3] = line
    else:
        state[2] += constants[0] * (line - state[2])
        state[3] += constants[1] * (line - state[3])
    if state[0] < constants[2]:
        state[0] += 1.0
    return state[2] - state[3] if state[0] == constants[2] else nan


CHAIKIN = Indicator(
    name="chaikin",
    title="Chaikin oscillator",
    source="TA-Lib ADOSC",
    parameters=(
        Parameter("fast", 3, 2, 10_000),
        Parameter("slow", 10, 2, 10_000),
    ),
    inputs=(
        "high",
        "low",
        "close",
        "volume",
    ),
    outputs=("",),
    lookback=lambda fast, slow: max(fast, slow) - 1,
    step=step,
    words=4,
    constants=lambda fast, slow: (2.0 / (fast + 1.0), 2.0 / (slow + 1.0), max(fast, slow)),
)

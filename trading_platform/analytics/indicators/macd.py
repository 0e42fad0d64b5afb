"""Moving average convergence/divergence: fast EMA less slow EMA, its EMA as signal, and their difference.

TA-Lib's MACD: the fast EMA is seeded by the mean of the values just before the slow EMA's first, and all three
outputs begin with the signal's first value. Given fast and slow the wrong way round it swaps them, as TA-Lib does.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, ema_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> tuple[float, float, float]:
    """Advance one bar. state: fast, slow, signal EMA, values that the fast one has let pass."""
    slow = ema_step(state, 3, constants[2], constants[3], close)
    fast = nan
    if state[9] < constants[2] - constants[0]:
        state[9] += 1.0
    else:
        fast = ema_step(state, 0, constants[0], constants[1], close)
    if isnan(slow):
        return nan, nan, nan
    line = fast - slow
    signal = ema_step(state, 6, constants[4], constants[5], line)
    if isnan(signal):
        return nan, nan, nan
    return line, signal, line - signal


def _constants(fast: int, slow: int, signal: int) -> tuple[float, ...]:
    fast, slow = sorted((fast, slow))
    return fast, 2.0 / (fast + 1.0), slow, 2.0 / (slow + 1.0), signal, 2.0 / (signal + 1.0)


MACD = Indicator(
    name="macd",
    title="Moving average convergence/divergence",
    source="TA-Lib MACD",
    parameters=(
        Parameter("fast", 12, 1, 10_000),
        Parameter("slow", 26, 2, 10_000),
        Parameter("signal", 9, 1, 10_000),
    ),
    inputs=("close",),
    outputs=("", "signal", "hist"),
    lookback=lambda fast, slow, signal: max(fast, slow) - 1 + signal - 1,
    constants=_constants,
    step=step,
    words=3 * EMA_SIZE + 1,
)

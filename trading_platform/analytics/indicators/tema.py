"""Triple exponential moving average (Mulloy 1994): 3 · EMA - 3 · EMA of EMA + EMA of that. TA-Lib's TEMA."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, ema_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: the EMA, its EMA, and that one's."""
    once = ema_step(state, 0, constants[0], constants[1], close)
    if isnan(once):
        return nan
    twice = ema_step(state, EMA_SIZE, constants[0], constants[1], once)
    if isnan(twice):
        return nan
    thrice = ema_step(state, 2 * EMA_SIZE, constants[0], constants[1], twice)
    return 3.0 * (once - twice) + thrice


TEMA = Indicator(
    name="tema",
    title="Triple exponential moving average",
    source="TA-Lib TEMA",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: 3 * (period - 1),
    step=step,
    words=3 * EMA_SIZE,
    constants=lambda period: (period, 2.0 / (period + 1.0)),
)

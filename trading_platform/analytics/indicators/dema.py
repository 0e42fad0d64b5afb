"""Double exponential moving average (Mulloy 1994): 2 · EMA - EMA of EMA. TA-Lib's DEMA."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, ema_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: the EMA, its EMA."""
    once = ema_step(state, 0, constants[0], constants[1], close)
    if isnan(once):
        return nan
    twice = ema_step(state, EMA_SIZE, constants[0], constants[1], once)
    return 2.0 * once - twice


DEMA = Indicator(
    name="dema",
    title="Double exponential moving average",
    source="TA-Lib DEMA",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: 2 * (period - 1),
    step=step,
    words=2 * EMA_SIZE,
    constants=lambda period: (period, 2.0 / (period + 1.0)),
)

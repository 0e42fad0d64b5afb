"""Exponential moving average, weight 2 / (period + 1), seeded by the simple mean of the first `period` values.

TA-Lib's EMA (default compatibility; its Metastock mode seeds with the first value instead).
"""

from __future__ import annotations

from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, ema_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar."""
    return ema_step(state, 0, constants[0], constants[1], close)


EMA = Indicator(
    name="ema",
    title="Exponential moving average",
    source="TA-Lib EMA",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: period - 1,
    constants=lambda period: (period, 2.0 / (period + 1.0)),
    step=step,
    words=EMA_SIZE,
)

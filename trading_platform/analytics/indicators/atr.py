"""Average true range (Wilder 1978): Wilder's mean of max(high, previous close) - min(low, previous close).

TA-Lib's ATR: the first bar has no previous close and gives no true range; the seed is the mean of the next `period`.
"""

from __future__ import annotations

from math import nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, ema_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float) -> float:
    """Advance one bar. state: seen, previous close, mean range."""
    previous = state[1]
    state[1] = close
    if state[0] == 0.0:
        state[0] = 1.0
        return nan
    true_range = max(high, previous) - min(low, previous)
    return ema_step(state, 2, constants[0], constants[1], true_range)


ATR = Indicator(
    name="atr",
    title="Average true range",
    source="TA-Lib ATR (Wilder)",
    parameters=(Parameter("period", 14, 1, 10_000),),
    inputs=("high", "low", "close"),
    outputs=("",),
    lookback=lambda period: period,
    constants=lambda period: (period, 1.0 / period),
    step=step,
    words=2 + EMA_SIZE,
)

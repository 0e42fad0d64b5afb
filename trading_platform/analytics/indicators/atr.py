"""Average true range (Wilder 1978): Wilder's mean of max(high, previous close) - min(low, previous close).

TA-Lib's ATR: the first bar has no previous close and gives no true range; the seed is the mean of the next `period`.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, PREVIOUS_WORDS, ema_step, true_range_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float) -> float:
    """Advance one bar. state: seen, previous close, mean range."""
    true_range = true_range_step(state, 0, high, low, close)
    if isnan(true_range):
        return nan
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
    words=PREVIOUS_WORDS + EMA_SIZE,
)

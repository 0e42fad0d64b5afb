"""Accumulation/distribution line (Chaikin): the running total of `money_flow`. TA-Lib's AD.

Stored below 1d it begins anew at 00:00 UTC.
"""

from __future__ import annotations

from typing import Any

from trading_platform.analytics.indicator import Indicator
from trading_platform.analytics.steps import money_flow
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float, volume: float) -> float:
    """Advance one bar."""
    state[0] += money_flow(high, low, close, volume)
    return state[0]


AD = Indicator(
    name="ad",
    title="Accumulation/distribution line",
    source="TA-Lib AD (Chaikin)",
    parameters=(),
    inputs=(
        "high",
        "low",
        "close",
        "volume",
    ),
    outputs=("",),
    lookback=lambda: 0,
    step=step,
    words=1,
    restarts_daily=True,
)

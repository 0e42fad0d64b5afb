"""Cumulative volume delta: the running total of `delta`. It runs through days."""

from __future__ import annotations

from typing import Any

from trading_platform.analytics.indicator import Indicator
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, volume: float, taker_buy_volume: float) -> float:
    """Advance one bar."""
    state[0] += 2.0 * taker_buy_volume - volume
    return state[0]


CVD = Indicator(
    name="cvd",
    title="Cumulative volume delta",
    source="taker volumes",
    parameters=(),
    inputs=(
        "volume",
        "taker_buy_volume",
    ),
    outputs=("",),
    lookback=lambda: 0,
    step=step,
    words=1,
)

"""Delta: takers' buys less takers' sells of the bar, in base units."""

from __future__ import annotations

from typing import Any

from trading_platform.analytics.indicator import Indicator
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, volume: float, taker_buy_volume: float) -> float:
    """Advance one bar."""
    return 2.0 * taker_buy_volume - volume


DELTA = Indicator(
    name="delta",
    title="Delta",
    source="taker volumes",
    parameters=(),
    inputs=(
        "volume",
        "taker_buy_volume",
    ),
    outputs=("",),
    lookback=lambda: 0,
    step=step,
)

"""Anchored VWAP: volume-weighted mean of the typical price (high + low + close) / 3 from the first row on.

The anchor is where the rows begin: cut the frame there. Stored, it is the symbol's first bar. While no volume has
been seen it is the newest typical price.
"""

from __future__ import annotations

from typing import Any

from trading_platform.analytics.indicator import Indicator
from trading_platform.analytics.steps import vwap_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float, volume: float) -> float:
    """Advance one bar. state: turnover and volume, two words each."""
    return vwap_step(state, 0, high, low, close, volume)


AVWAP = Indicator(
    name="avwap",
    title="Anchored VWAP",
    source="VWAP from the first row on",
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
    words=4,
)

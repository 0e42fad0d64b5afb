"""Price volume trend: the running total of volume times the close's change as a fraction, from 0. StockCharts' VPT.

A change from a close of 0 counts 0. Stored below 1d it begins anew at 00:00 UTC.
"""

from __future__ import annotations

from math import isnan
from typing import Any

from trading_platform.analytics.indicator import Indicator
from trading_platform.analytics.steps import change_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float, volume: float) -> float:
    """Advance one bar. state: seen, previous close, total."""
    previous = state[1]
    change = change_step(state, 0, close)
    if not isnan(change) and previous != 0.0:
        state[2] += volume * (change / previous)
    return state[2]


PVT = Indicator(
    name="pvt",
    title="Price volume trend",
    source="StockCharts VPT",
    parameters=(),
    inputs=(
        "close",
        "volume",
    ),
    outputs=("",),
    lookback=lambda: 0,
    step=step,
    words=3,
    restarts_daily=True,
)

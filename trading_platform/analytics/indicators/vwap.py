"""Session VWAP: volume-weighted mean of the typical price (high + low + close) / 3 since 00:00 UTC.

StockCharts' convention. While no volume has been seen it is the newest typical price. The exact VWAP of one bar's
trades is the column ``vwap`` of the bars, not this.
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


VWAP = Indicator(
    name="vwap",
    title="Volume-weighted average price since 00:00 UTC",
    source="StockCharts VWAP",
    parameters=(),
    inputs=("high", "low", "close", "volume"),
    outputs=("",),
    lookback=lambda: 0,
    step=step,
    words=4,
    restarts_daily=True,
    needs_times=True,
)

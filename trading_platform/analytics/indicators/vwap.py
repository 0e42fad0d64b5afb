"""Session VWAP: volume-weighted mean of the typical price (high + low + close) / 3 since 00:00 UTC.

StockCharts' convention. While no volume has been seen it is the newest typical price. The exact VWAP of one bar's
trades is the column ``vwap`` of the bars, not this.
"""

from __future__ import annotations

from typing import Any

from trading_platform.analytics.indicator import Indicator
from trading_platform.analytics.steps import add_exact, divide_pairs, multiply_exact
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float, volume: float) -> float:
    """Advance one bar. state: turnover and volume, two words each."""
    typical = (high + low + close) / 3.0
    product, product_error = multiply_exact(typical, volume)
    turnover, error = add_exact(state[0], product)
    state[0] = turnover
    state[1] += error + product_error
    total, error = add_exact(state[2], volume)
    state[2] = total
    state[3] += error
    if total == 0.0:
        return typical
    return divide_pairs(turnover, state[1], total, state[3])


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

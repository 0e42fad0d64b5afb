"""Rolling VWAP: volume-weighted mean of the typical price (high + low + close) / 3 over the last `period` bars.

Where the window holds no volume it is the newest typical price.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import divide_pairs
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_size, rolling_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float, volume: float) -> float:
    """Advance one bar. state: rolling turnover, rolling volume."""
    period = int(constants[0])
    typical = (high + low + close) / 3.0
    turnover, turnover_rest = rolling_step(state, 0, window, 0, period, typical * volume)
    total, rest = rolling_step(state, 4, window, int(constants[1]), period, volume)
    if isnan(total):
        return nan
    if total == 0.0:
        return typical
    return divide_pairs(turnover, turnover_rest, total, rest)


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put both windows in order."""
    rolling_day_boundary(state, 0, window, 0, int(constants[0]))
    rolling_day_boundary(state, 4, window, int(constants[1]), int(constants[0]))


VWAP_ROLLING = Indicator(
    name="vwap",
    title="Rolling volume-weighted average price",
    source="StockCharts VWAP over a fixed window",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=("high", "low", "close", "volume"),
    outputs=("",),
    lookback=lambda period: period - 1,
    constants=lambda period: (period, rolling_size(period)),
    step=step,
    words=2 * ROLLING_WORDS,
    window=lambda period: 2 * rolling_size(period),
    day_boundary=day_boundary,
)

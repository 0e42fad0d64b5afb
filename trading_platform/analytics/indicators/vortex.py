"""Vortex (Botes and Siepman 2010): the sums of |high - last low| and |low - last high| by the sum of true ranges.

Without any range both are 0. StockCharts' and Stock.Indicators' Vortex.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import true_range_step
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_size, rolling_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float) -> tuple[float, float]:
    """Advance one bar. state: previous close, high, low, three sums."""
    period = int(constants[0])
    last_high = state[2]
    last_low = state[3]
    state[2] = high
    state[3] = low
    true_range = true_range_step(state, 0, high, low, close)
    if isnan(true_range):
        return nan, nan
    size = rolling_size(period)
    up, up_rest = rolling_step(state, 4, window, 0, period, abs(high - last_low))
    down, down_rest = rolling_step(state, 8, window, size, period, abs(low - last_high))
    total, rest = rolling_step(state, 12, window, 2 * size, period, true_range)
    if isnan(total):
        return nan, nan
    if total == 0.0:
        return 0.0, 0.0
    return (up + up_rest) / (total + rest), (down + down_rest) / (total + rest)


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    period = int(constants[0])
    rolling_day_boundary(state, 4, window, 0, period)
    rolling_day_boundary(state, 8, window, rolling_size(period), period)
    rolling_day_boundary(state, 12, window, 2 * rolling_size(period), period)


VORTEX = Indicator(
    name="vortex",
    title="Vortex indicator",
    source="StockCharts, Stock.Indicators Vortex",
    parameters=(Parameter("period", 14, 1, 10_000),),
    inputs=(
        "high",
        "low",
        "close",
    ),
    outputs=(
        "plus",
        "minus",
    ),
    lookback=lambda period: period,
    step=step,
    words=4 + 3 * ROLLING_WORDS,
    window=lambda period: 3 * rolling_size(period),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

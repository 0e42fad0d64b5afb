"""Volume-weighted moving average: closes of the last `period` bars weighted by volume. Stock.Indicators' Vwma.

Where the window holds no volume it is the newest close.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import divide_pairs
from trading_platform.analytics.windows import ROLLING_WORDS, pair_day_boundary, rolling_size, rolling_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float, volume: float) -> float:
    """Advance one bar. state: turnover, volume."""
    period = int(constants[0])
    turnover, turnover_rest = rolling_step(state, 0, window, 0, period, close * volume)
    total, rest = rolling_step(state, ROLLING_WORDS, window, rolling_size(period), period, volume)
    if isnan(total):
        return nan
    return divide_pairs(turnover, turnover_rest, total, rest) if total != 0.0 else close


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put both windows in order."""
    pair_day_boundary(state, window, int(constants[0]))


VWMA = Indicator(
    name="vwma",
    title="Volume-weighted moving average",
    source="Stock.Indicators Vwma",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=(
        "close",
        "volume",
    ),
    outputs=("",),
    lookback=lambda period: period - 1,
    step=step,
    words=2 * ROLLING_WORDS,
    window=lambda period: 2 * rolling_size(period),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

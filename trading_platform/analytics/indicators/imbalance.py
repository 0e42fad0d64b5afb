"""Trade imbalance: takers' buys less sells by all volume of the last `period` bars, -1 to 1.

Without volume it is 0.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_size, rolling_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, volume: float, taker_buy_volume: float) -> float:
    """Advance one bar. state: flow, volume."""
    period = int(constants[0])
    flow, flow_rest = rolling_step(state, 0, window, 0, period, 2.0 * taker_buy_volume - volume)
    total, rest = rolling_step(state, ROLLING_WORDS, window, rolling_size(period), period, volume)
    if isnan(total):
        return nan
    return (flow + flow_rest) / (total + rest) if total != 0.0 else 0.0


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put both windows in order."""
    period = int(constants[0])
    rolling_day_boundary(state, 0, window, 0, period)
    rolling_day_boundary(state, ROLLING_WORDS, window, rolling_size(period), period)


IMBALANCE = Indicator(
    name="imbalance",
    title="Trade imbalance",
    source="taker volumes",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=(
        "volume",
        "taker_buy_volume",
    ),
    outputs=("",),
    lookback=lambda period: period - 1,
    step=step,
    words=2 * ROLLING_WORDS,
    window=lambda period: 2 * rolling_size(period),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

"""Kyle's lambda (1985): how far the close moves for a unit of takers' net buying, over the last `period` bars.

The slope of the regression, with an intercept, of the close's change on buys less sells; 0 where these never differ.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import PREVIOUS_WORDS, change_step
from trading_platform.analytics.windows import (
    RING_WORDS,
    ROLLING_WORDS,
    ring_day_boundary,
    ring_push,
    ring_size,
    rolling_day_boundary,
    rolling_mean,
    rolling_size,
)
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float, volume: float, taker_buy_volume: float) -> float:
    """Advance one bar. state: previous close, two means, two rings."""
    period = int(constants[0])
    change = change_step(state, 0, close)
    if isnan(change):
        return nan
    flow = 2.0 * taker_buy_volume - volume
    size = rolling_size(period)
    mean_change = rolling_mean(state, 2, window, 0, period, change)
    mean_flow = rolling_mean(state, 6, window, size, period, flow)
    changes = ring_push(state, 10, window, 2 * size, period, change)
    flows = ring_push(state, 12, window, 2 * size + ring_size(period), period, flow)
    if isnan(mean_change):
        return nan
    together = 0.0
    around = 0.0
    for k in range(period):
        away = window[flows + k] - mean_flow
        together += away * (window[changes + k] - mean_change)
        around += away * away
    return together / around if around != 0.0 else 0.0


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    period = int(constants[0])
    size = rolling_size(period)
    rolling_day_boundary(state, 2, window, 0, period)
    rolling_day_boundary(state, 6, window, size, period)
    ring_day_boundary(state, 10, window, 2 * size, period)
    ring_day_boundary(state, 12, window, 2 * size + ring_size(period), period)


KYLE = Indicator(
    name="kyle",
    title="Kyle's lambda",
    source="Kyle 1985, by regression",
    parameters=(Parameter("period", 20, 2, 10_000),),
    inputs=(
        "close",
        "volume",
        "taker_buy_volume",
    ),
    outputs=("",),
    lookback=lambda period: period,
    step=step,
    words=PREVIOUS_WORDS + 2 * ROLLING_WORDS + 2 * RING_WORDS,
    window=lambda period: 2 * rolling_size(period) + 2 * ring_size(period),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

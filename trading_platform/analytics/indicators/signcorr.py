"""Autocorrelation at lag 1 of the sign of the bars' trade imbalance, over the last `period` pairs of bars.

The mean product of neighbouring signs (1 where takers bought more, -1 where they sold more, 0 equal), by the mean of
the newer ones' squares; not centred, for without order flow the mean sign is 0. 0 where no bar has a sign.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import PREVIOUS_WORDS
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_size, rolling_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, volume: float, taker_buy_volume: float) -> float:
    """Advance one bar. state: seen, previous sign, products, squares."""
    period = int(constants[0])
    flow = 2.0 * taker_buy_volume - volume
    sign = 1.0 if flow > 0.0 else (-1.0 if flow < 0.0 else 0.0)
    previous = state[1]
    state[1] = sign
    if state[0] == 0.0:
        state[0] = 1.0
        return nan
    products, _ = rolling_step(state, 2, window, 0, period, sign * previous)
    squares, _ = rolling_step(state, 6, window, rolling_size(period), period, sign * sign)
    if isnan(products):
        return nan
    return products / squares if squares != 0.0 else 0.0


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put both windows in order."""
    period = int(constants[0])
    rolling_day_boundary(state, 2, window, 0, period)
    rolling_day_boundary(state, 6, window, rolling_size(period), period)


SIGNCORR = Indicator(
    name="signcorr",
    title="Autocorrelation of trade signs",
    source="signs of bars; of trades: tp.order_flow",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=(
        "volume",
        "taker_buy_volume",
    ),
    outputs=("",),
    lookback=lambda period: period,
    step=step,
    words=PREVIOUS_WORDS + 2 * ROLLING_WORDS,
    window=lambda period: 2 * rolling_size(period),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

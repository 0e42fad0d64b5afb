"""Amihud's illiquidity (2002): the mean of |return| divided by quote volume over the last `period` bars.

A bar without volume, or after a close of 0, counts 0.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import PREVIOUS_WORDS, change_step
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_mean, rolling_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float, quote_volume: float) -> float:
    """Advance one bar. state: seen, previous close, mean."""
    previous = state[1]
    change = change_step(state, 0, close)
    if isnan(change):
        return nan
    traded = quote_volume != 0.0 and previous != 0.0
    moved = abs(change / previous) / quote_volume if traded else 0.0
    return rolling_mean(state, PREVIOUS_WORDS, window, 0, int(constants[0]), moved)


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the window in order."""
    rolling_day_boundary(state, PREVIOUS_WORDS, window, 0, int(constants[0]))


AMIHUD = Indicator(
    name="amihud",
    title="Amihud's illiquidity",
    source="Amihud 2002",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=(
        "close",
        "quote_volume",
    ),
    outputs=("",),
    lookback=lambda period: period,
    step=step,
    words=PREVIOUS_WORDS + ROLLING_WORDS,
    window=rolling_size,
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

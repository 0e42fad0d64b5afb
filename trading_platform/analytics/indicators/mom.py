"""Momentum: the change over `period` bars. TA-Lib's MOM."""

from __future__ import annotations

from math import nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import RING_WORDS, ring_day_boundary, ring_push, ring_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar."""
    size = int(constants[0]) + 1
    old = window[ring_push(state, 0, window, 0, size, close)]
    if state[0] < size:
        return nan
    return close - old


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the ring in order."""
    ring_day_boundary(state, 0, window, 0, int(constants[0]) + 1)


MOM = Indicator(
    name="mom",
    title="Momentum",
    source="TA-Lib MOM",
    parameters=(Parameter("period", 10, 1, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: period,
    step=step,
    words=RING_WORDS,
    window=lambda period: ring_size(period + 1),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

"""Ulcer index (Martin 1987): the root of the mean squared drawdown in percent.

Each close of the window is compared with the highest one up to it. A highest close of 0 counts no drawdown.
Stock.Indicators' UlcerIndex.
"""

from __future__ import annotations

from math import nan, sqrt
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import RING_WORDS, ring_day_boundary, ring_push, ring_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar."""
    period = int(constants[0])
    first = ring_push(state, 0, window, 0, period, close)
    if state[0] < period:
        return nan
    top = window[first]
    total = 0.0
    for k in range(first + 1, first + period):
        top = max(top, window[k])
        away = 100.0 * (window[k] - top) / top if top != 0.0 else 0.0
        total += away * away
    return sqrt(total / constants[0])


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the ring in order."""
    ring_day_boundary(state, 0, window, 0, int(constants[0]))


ULCER = Indicator(
    name="ulcer",
    title="Ulcer index",
    source="Martin; Stock.Indicators UlcerIndex",
    parameters=(Parameter("period", 14, 1, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: period - 1,
    step=step,
    words=RING_WORDS,
    window=ring_size,
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

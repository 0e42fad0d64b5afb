"""Roll's spread (1984): twice the root of minus the covariance of neighbouring changes of the close.

Over the last `period` pairs of changes, each side about its own mean; 0 where the covariance is above 0.
"""

from __future__ import annotations

from math import isnan, nan, sqrt
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import PREVIOUS_WORDS, change_step
from trading_platform.analytics.windows import RING_WORDS, ring_day_boundary, ring_push, ring_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: previous close, ring of changes."""
    size = int(constants[0]) + 1
    change = change_step(state, 0, close)
    if isnan(change):
        return nan
    first = ring_push(state, PREVIOUS_WORDS, window, 0, size, change)
    if state[PREVIOUS_WORDS] < size:
        return nan
    older = 0.0
    newer = 0.0
    for k in range(first, first + size - 1):
        older += window[k]
        newer += window[k + 1]
    older /= constants[0]
    newer /= constants[0]
    together = 0.0
    for k in range(first, first + size - 1):
        together += (window[k] - older) * (window[k + 1] - newer)
    return 2.0 * sqrt(max(-together / constants[0], 0.0))


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the ring in order."""
    ring_day_boundary(state, PREVIOUS_WORDS, window, 0, int(constants[0]) + 1)


ROLL = Indicator(
    name="roll",
    title="Roll's spread",
    source="Roll 1984",
    parameters=(Parameter("period", 20, 2, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: period + 1,
    step=step,
    words=PREVIOUS_WORDS + RING_WORDS,
    window=lambda period: ring_size(period + 1),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

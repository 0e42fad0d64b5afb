"""Commodity channel index (Lambert 1980): how far the typical price is from its mean, in 0.015 mean deviations.

The typical price is (high + low + close) / 3; the convention TA-Lib's CCI. Where nothing deviates it is 0.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
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
def deviations(window: Any, first: int, period: int, mean: float) -> float:
    """Return the sum of the distances from the mean, in four sums at once: each waits only for itself."""
    a = 0.0
    b = 0.0
    c = 0.0
    d = 0.0
    k = first
    while k + 3 < first + period:
        a += abs(window[k] - mean)
        b += abs(window[k + 1] - mean)
        c += abs(window[k + 2] - mean)
        d += abs(window[k + 3] - mean)
        k += 4
    while k < first + period:
        a += abs(window[k] - mean)
        k += 1
    return (a + b) + (c + d)


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float) -> float:
    """Advance one bar. state: mean, ring."""
    period = int(constants[0])
    typical = (high + low + close) / 3.0
    mean = rolling_mean(state, 0, window, 0, period, typical)
    first = ring_push(state, ROLLING_WORDS, window, rolling_size(period), period, typical)
    if isnan(mean):
        return nan
    total = deviations(window, first, period, mean)
    return (typical - mean) / (0.015 * (total / constants[0])) if total != 0.0 else 0.0


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    period = int(constants[0])
    rolling_day_boundary(state, 0, window, 0, period)
    ring_day_boundary(state, ROLLING_WORDS, window, rolling_size(period), period)


CCI = Indicator(
    name="cci",
    title="Commodity channel index",
    source="TA-Lib CCI",
    parameters=(Parameter("period", 20, 2, 10_000),),
    inputs=(
        "high",
        "low",
        "close",
    ),
    outputs=("",),
    lookback=lambda period: period - 1,
    step=step,
    words=ROLLING_WORDS + RING_WORDS,
    window=lambda period: rolling_size(period) + ring_size(period),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

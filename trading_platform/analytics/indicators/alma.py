"""Arnaud Legoux moving average (2009): the mean with the weights of a bell over the window. Stock.Indicators' Alma.

The bell's middle is at `offset` of the window (1: the newest bar), its deviation period / sigma.
"""

from __future__ import annotations

from math import exp, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import RING_WORDS, ring_day_boundary, ring_push, ring_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: ring, whether the weights are made; window: ring, weights (their sum is 1)."""
    period = int(constants[0])
    weights = ring_size(period)
    first = ring_push(state, 0, window, 0, period, close)
    if state[2] == 0.0:
        state[2] = 1.0
        total = 0.0
        for k in range(period):
            away = (k - constants[1]) / constants[2]
            window[weights + k] = exp(-0.5 * away * away)
            total += window[weights + k]
        for k in range(period):
            window[weights + k] /= total
    if state[0] < period:
        return nan
    mean = 0.0
    for k in range(period):
        mean += window[weights + k] * window[first + k]
    return mean


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the ring in order."""
    ring_day_boundary(state, 0, window, 0, int(constants[0]))


ALMA = Indicator(
    name="alma",
    title="Arnaud Legoux moving average",
    source="Stock.Indicators Alma",
    parameters=(
        Parameter("period", 9, 1, 10_000),
        Parameter("offset", 0.85, 0.0, 1.0),
        Parameter("sigma", 6, 0.1, 100.0),
    ),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period, offset, sigma: period - 1,
    step=step,
    words=RING_WORDS + 1,
    window=lambda period, offset, sigma: ring_size(period) + period,
    constants=lambda period, offset, sigma: (period, offset * (period - 1), period / sigma),
    day_boundary=day_boundary,
)

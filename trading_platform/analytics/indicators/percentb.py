"""Bollinger %B: where the close lies between the bands, 0 at the lower and 1 at the upper one; 0.5 where they meet.

The bands are those of `bbands`. Stock.Indicators' BollingerBands.
"""

from __future__ import annotations

from math import isnan, nan, sqrt
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import DEVIATION_WORDS, deviation_day_boundary, deviation_size, deviation_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar."""
    mean, variance = deviation_step(state, 0, window, 0, int(constants[0]), close)
    if isnan(mean):
        return nan
    width = constants[1] * sqrt(variance)
    return (close - (mean - width)) / (2.0 * width) if width != 0.0 else 0.5


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the window in order."""
    deviation_day_boundary(state, 0, window, 0, int(constants[0]))


PERCENTB = Indicator(
    name="percentb",
    title="Bollinger %B",
    source="Bollinger; Stock.Indicators BollingerBands",
    parameters=(
        Parameter("period", 20, 2, 10_000),
        Parameter("deviations", 2, 0.001, 100.0),
    ),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period, deviations: period - 1,
    step=step,
    words=DEVIATION_WORDS,
    window=lambda period, deviations: deviation_size(period),
    constants=lambda period, deviations: (period, deviations),
    day_boundary=day_boundary,
)

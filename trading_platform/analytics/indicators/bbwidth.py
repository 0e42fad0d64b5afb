"""Bollinger band width: upper less lower band, divided by the middle one; 0 where that is 0.

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
    return 2.0 * width / mean if mean != 0.0 else 0.0


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the window in order."""
    deviation_day_boundary(state, 0, window, 0, int(constants[0]))


BBWIDTH = Indicator(
    name="bbwidth",
    title="Bollinger band width",
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

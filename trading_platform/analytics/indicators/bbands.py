"""Bollinger bands: the simple mean, and as many population standard deviations above and below. TA-Lib's BBANDS."""

from __future__ import annotations

from math import sqrt
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import DEVIATION_WORDS, deviation_day_boundary, deviation_size, deviation_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> tuple[float, float, float]:
    """Advance one bar."""
    mean, variance = deviation_step(state, 0, window, 0, int(constants[0]), close)
    width = constants[1] * sqrt(variance)
    return mean + width, mean, mean - width


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the window in order."""
    deviation_day_boundary(state, 0, window, 0, int(constants[0]))


BBANDS = Indicator(
    name="bbands",
    title="Bollinger bands",
    source="TA-Lib BBANDS (simple mean, population deviation)",
    parameters=(Parameter("period", 20, 2, 10_000), Parameter("deviations", 2, 0.001, 100.0)),
    inputs=("close",),
    outputs=("upper", "middle", "lower"),
    lookback=lambda period, deviations: period - 1,
    constants=lambda period, deviations: (period, deviations),
    step=step,
    words=DEVIATION_WORDS,
    window=lambda period, deviations: deviation_size(period),
    day_boundary=day_boundary,
)

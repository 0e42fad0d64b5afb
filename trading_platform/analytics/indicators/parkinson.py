"""Parkinson volatility (1980) per bar: the square root of (mean of ln(high / low)²) / (4 ln 2)."""

from __future__ import annotations

from math import isnan, log, nan, sqrt
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import log_ratio
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_mean, rolling_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float) -> float:
    """Advance one bar."""
    spread = log_ratio(high, low)
    mean = rolling_mean(state, 0, window, 0, int(constants[0]), spread * spread)
    return sqrt(mean / constants[1]) if not isnan(mean) else nan


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the window in order."""
    rolling_day_boundary(state, 0, window, 0, int(constants[0]))


PARKINSON = Indicator(
    name="parkinson",
    title="Parkinson volatility",
    source="Parkinson 1980",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=(
        "high",
        "low",
    ),
    outputs=("",),
    lookback=lambda period: period - 1,
    step=step,
    words=ROLLING_WORDS,
    window=rolling_size,
    constants=lambda period: (period, 4.0 * log(2.0)),
    day_boundary=day_boundary,
)

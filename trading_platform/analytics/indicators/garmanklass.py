"""Garman-Klass volatility (1980) per bar: from the range and the move from open to close.

The root of the mean of ln(high / low)² / 2 - (2 ln 2 - 1) · ln(close / open)². A mean below 0, which prices outside
their bar's range can give, counts 0.
"""

from __future__ import annotations

from math import isnan, log, nan, sqrt
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import log_ratio
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_mean, rolling_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, opened: float, high: float, low: float, close: float) -> float:
    """Advance one bar."""
    spread = log_ratio(high, low)
    move = log_ratio(close, opened)
    mean = rolling_mean(state, 0, window, 0, int(constants[0]), 0.5 * spread * spread - constants[1] * move * move)
    return sqrt(max(mean, 0.0)) if not isnan(mean) else nan


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the window in order."""
    rolling_day_boundary(state, 0, window, 0, int(constants[0]))


GARMANKLASS = Indicator(
    name="garmanklass",
    title="Garman-Klass volatility",
    source="Garman and Klass 1980",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=(
        "open",
        "high",
        "low",
        "close",
    ),
    outputs=("",),
    lookback=lambda period: period - 1,
    step=step,
    words=ROLLING_WORDS,
    window=rolling_size,
    constants=lambda period: (period, 2.0 * log(2.0) - 1.0),
    day_boundary=day_boundary,
)

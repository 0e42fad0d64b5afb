"""Weighted moving average: the mean with weights 1 (oldest) to period (newest). TA-Lib's WMA."""

from __future__ import annotations

from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import WEIGHTED_WORDS, weighted_day_boundary, weighted_mean, weighted_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar."""
    return weighted_mean(state, 0, window, 0, int(constants[0]), close)


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the window in order."""
    weighted_day_boundary(state, 0, window, 0, int(constants[0]))


WMA = Indicator(
    name="wma",
    title="Weighted moving average",
    source="TA-Lib WMA",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: period - 1,
    step=step,
    words=WEIGHTED_WORDS,
    window=weighted_size,
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

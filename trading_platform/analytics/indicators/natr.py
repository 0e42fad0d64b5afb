"""Normalised average true range: 100 · ATR / close, 0 where the close is 0. TA-Lib's NATR."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, PREVIOUS_WORDS, ema_step, true_range_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float) -> float:
    """Advance one bar. state: true range, mean range."""
    true_range = true_range_step(state, 0, high, low, close)
    if isnan(true_range):
        return nan
    mean = ema_step(state, PREVIOUS_WORDS, constants[0], constants[1], true_range)
    if close == 0.0:
        return 0.0 * mean
    return 100.0 * (mean / close)


NATR = Indicator(
    name="natr",
    title="Normalised average true range",
    source="TA-Lib NATR",
    parameters=(Parameter("period", 14, 1, 10_000),),
    inputs=(
        "high",
        "low",
        "close",
    ),
    outputs=("",),
    lookback=lambda period: period,
    step=step,
    words=PREVIOUS_WORDS + EMA_SIZE,
    constants=lambda period: (period, 1.0 / period),
)

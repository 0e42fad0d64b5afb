"""Ease of movement (Arms): how far the bar's middle moved, by volume over range; its simple mean.

Volume is not scaled (StockCharts divides it by 100,000,000: multiply by that). Without volume a bar counts 0.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import PREVIOUS_WORDS, change_step
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_mean, rolling_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, volume: float) -> float:
    """Advance one bar. state: previous middle, mean."""
    moved = change_step(state, 0, (high + low) / 2.0)
    if isnan(moved):
        return nan
    ease = moved * (high - low) / volume if volume != 0.0 else 0.0
    return rolling_mean(state, PREVIOUS_WORDS, window, 0, int(constants[0]), ease)


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the window in order."""
    rolling_day_boundary(state, PREVIOUS_WORDS, window, 0, int(constants[0]))


EMV = Indicator(
    name="emv",
    title="Ease of movement",
    source="Arms; StockCharts, unscaled",
    parameters=(Parameter("period", 14, 1, 10_000),),
    inputs=(
        "high",
        "low",
        "volume",
    ),
    outputs=("",),
    lookback=lambda period: period,
    step=step,
    words=PREVIOUS_WORDS + ROLLING_WORDS,
    window=rolling_size,
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

"""Chaikin money flow: the period's `money_flow` by its volume, -1 to 1; 0 without volume. Stock.Indicators' Cmf."""

from __future__ import annotations

from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import money_flow
from trading_platform.analytics.windows import ROLLING_WORDS, pair_day_boundary, ratio_step, rolling_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float, volume: float) -> float:
    """Advance one bar. state: money flow, volume."""
    return ratio_step(state, window, int(constants[0]), money_flow(high, low, close, volume), volume)


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    pair_day_boundary(state, window, int(constants[0]))


CMF = Indicator(
    name="cmf",
    title="Chaikin money flow",
    source="Chaikin; Stock.Indicators Cmf",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=(
        "high",
        "low",
        "close",
        "volume",
    ),
    outputs=("",),
    lookback=lambda period: period - 1,
    step=step,
    words=2 * ROLLING_WORDS,
    window=lambda period: 2 * rolling_size(period),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

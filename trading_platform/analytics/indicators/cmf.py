"""Chaikin money flow: the period's `money_flow` by its volume, -1 to 1; 0 without volume. Stock.Indicators' Cmf."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import money_flow
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_size, rolling_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float, volume: float) -> float:
    """Advance one bar. state: money flow, volume."""
    period = int(constants[0])
    flow, rest = rolling_step(state, 0, window, 0, period, money_flow(high, low, close, volume))
    total, total_rest = rolling_step(state, ROLLING_WORDS, window, rolling_size(period), period, volume)
    if isnan(total):
        return nan
    return (flow + rest) / (total + total_rest) if total != 0.0 else 0.0


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    period = int(constants[0])
    rolling_day_boundary(state, 0, window, 0, period)
    rolling_day_boundary(state, ROLLING_WORDS, window, rolling_size(period), period)


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

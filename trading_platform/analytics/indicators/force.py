"""Force index (Elder 1993): EMA of the close's change times volume. StockCharts', Stock.Indicators' ForceIndex."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, PREVIOUS_WORDS, change_step, ema_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float, volume: float) -> float:
    """Advance one bar. state: previous close, mean."""
    change = change_step(state, 0, close)
    if isnan(change):
        return nan
    return ema_step(state, PREVIOUS_WORDS, constants[0], constants[1], change * volume)


FORCE = Indicator(
    name="force",
    title="Force index",
    source="Elder; Stock.Indicators ForceIndex",
    parameters=(Parameter("period", 13, 1, 10_000),),
    inputs=(
        "close",
        "volume",
    ),
    outputs=("",),
    lookback=lambda period: period,
    step=step,
    words=PREVIOUS_WORDS + EMA_SIZE,
    constants=lambda period: (period, 2.0 / (period + 1.0)),
)

"""Keltner channel (Linda Raschke's): the EMA of the close, and as many average true ranges above and below.

Wilder's ATR, as StockCharts and Stock.Indicators have it.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import ema_step, true_range_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float) -> tuple[float, float, float]:
    """Advance one bar. state: true range, mean range, mean close."""
    middle = ema_step(state, 5, constants[0], constants[1], close)
    true_range = true_range_step(state, 0, high, low, close)
    if isnan(true_range):
        return nan, nan, nan
    mean = ema_step(state, 2, constants[2], constants[3], true_range)
    if isnan(mean) or isnan(middle):
        return nan, nan, nan
    width = constants[4] * mean
    return middle + width, middle, middle - width


def _constants(ema: int, atr: int, multiplier: float) -> tuple[float, ...]:
    return ema, 2.0 / (ema + 1.0), atr, 1.0 / atr, multiplier


KELTNER = Indicator(
    name="keltner",
    title="Keltner channel",
    source="Raschke; StockCharts, Stock.Indicators Keltner",
    parameters=(
        Parameter("ema", 20, 1, 10_000),
        Parameter("atr", 10, 1, 10_000),
        Parameter("multiplier", 2, 0.001, 100.0),
    ),
    inputs=(
        "high",
        "low",
        "close",
    ),
    outputs=(
        "upper",
        "middle",
        "lower",
    ),
    lookback=lambda ema, atr, multiplier: max(ema - 1, atr),
    step=step,
    words=8,
    constants=_constants,
)

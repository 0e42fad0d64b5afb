"""SuperTrend (Olivier Seban): a stop at some average true ranges from the middle of the bar, following the trend.

The middle is (high + low) / 2, the range Wilder's ATR. A band moves only toward the market, unless the last close went
beyond it. Direction is 1 above the lower band and -1 below the upper one, at first by which side of the middle the
close is. Stock.Indicators' SuperTrend.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import ema_step, true_range_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float) -> tuple[float, float]:
    """Advance one bar. state: true range, mean range, started, upper, lower, direction."""
    previous = state[1]
    true_range = true_range_step(state, 0, high, low, close)
    if isnan(true_range):
        return nan, nan
    mean = ema_step(state, 2, constants[0], constants[1], true_range)
    if isnan(mean):
        return nan, nan
    middle = (high + low) / 2.0
    upper = middle + constants[2] * mean
    lower = middle - constants[2] * mean
    if state[5] == 0.0:
        state[5] = 1.0
        state[6] = upper
        state[7] = lower
        state[8] = 1.0 if close >= middle else -1.0
    if upper < state[6] or previous > state[6]:
        state[6] = upper
    if lower > state[7] or previous < state[7]:
        state[7] = lower
    state[8] = -1.0 if close <= (state[7] if state[8] > 0.0 else state[6]) else 1.0
    return (state[7] if state[8] > 0.0 else state[6]), state[8]


SUPERTREND = Indicator(
    name="supertrend",
    title="SuperTrend",
    source="Seban; Stock.Indicators SuperTrend",
    parameters=(
        Parameter("period", 10, 1, 10_000),
        Parameter("multiplier", 3, 0.001, 100.0),
    ),
    inputs=(
        "high",
        "low",
        "close",
    ),
    outputs=(
        "",
        "direction",
    ),
    lookback=lambda period, multiplier: period,
    step=step,
    words=9,
    constants=lambda period, multiplier: (period, 1.0 / period, multiplier),
)

"""T3 (Tillson 1998): six exponential means in a row, combined so that little lag is left. TA-Lib's T3."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, ema_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: six means."""
    period, alpha = constants[0], constants[1]
    one = ema_step(state, 0, period, alpha, close)
    if isnan(one):
        return nan
    two = ema_step(state, 3, period, alpha, one)
    if isnan(two):
        return nan
    three = ema_step(state, 6, period, alpha, two)
    if isnan(three):
        return nan
    four = ema_step(state, 9, period, alpha, three)
    if isnan(four):
        return nan
    five = ema_step(state, 12, period, alpha, four)
    if isnan(five):
        return nan
    six = ema_step(state, 15, period, alpha, five)
    return constants[2] * six + constants[3] * five + constants[4] * four + constants[5] * three


def _constants(period: int, v: float) -> tuple[float, ...]:
    cube, square = v**3, v**2
    weights = (-cube, 3.0 * (square + cube), -6.0 * square - 3.0 * (v + cube), 1.0 + 3.0 * v + cube + 3.0 * square)
    return (period, 2.0 / (period + 1.0), *weights)


T3 = Indicator(
    name="t3",
    title="T3",
    source="TA-Lib T3 (Tillson)",
    parameters=(
        Parameter("period", 5, 1, 10_000),
        Parameter("factor", 0.7, 0.0, 1.0),
    ),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period, factor: 6 * (period - 1),
    step=step,
    words=6 * EMA_SIZE,
    constants=_constants,
)

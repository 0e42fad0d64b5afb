"""True strength index (Blau 1991), -100 to 100: the twice smoothed change by the twice smoothed size of change.

EMA of the EMA, each seeded by the simple mean; 0 where nothing moved. Stock.Indicators' Tsi.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, PREVIOUS_WORDS, change_step, ema_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: previous close, the change's means, its size's means."""
    change = change_step(state, 0, close)
    if isnan(change):
        return nan
    once = ema_step(state, 2, constants[0], constants[1], change)
    size = ema_step(state, 5, constants[0], constants[1], abs(change))
    if isnan(once):
        return nan
    twice = ema_step(state, 8, constants[2], constants[3], once)
    whole = ema_step(state, 11, constants[2], constants[3], size)
    if isnan(twice):
        return nan
    return 100.0 * (twice / whole) if whole != 0.0 else 0.0


def _constants(slow: int, fast: int) -> tuple[float, ...]:
    return slow, 2.0 / (slow + 1.0), fast, 2.0 / (fast + 1.0)


TSI = Indicator(
    name="tsi",
    title="True strength index",
    source="Blau; Stock.Indicators Tsi",
    parameters=(
        Parameter("slow", 25, 1, 10_000),
        Parameter("fast", 13, 1, 10_000),
    ),
    inputs=("close",),
    outputs=("",),
    lookback=lambda slow, fast: slow + fast - 1,
    step=step,
    words=PREVIOUS_WORDS + 4 * EMA_SIZE,
    constants=_constants,
)

"""Percentage price oscillator: (fast EMA - slow EMA) / slow EMA in percent, its EMA as signal, and their difference.

TA-Lib's PPO with exponential means, each seeded by its own first values (MACD's fast one is not). Given fast and slow
the wrong way round it swaps them. All three outputs begin with the signal's first value; 0 where the slow mean is 0.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, ema_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> tuple[float, float, float]:
    """Advance one bar. state: fast, slow, signal."""
    fast = ema_step(state, 0, constants[0], constants[1], close)
    slow = ema_step(state, EMA_SIZE, constants[2], constants[3], close)
    if isnan(slow):
        return nan, nan, nan
    line = 100.0 * ((fast - slow) / slow) if slow != 0.0 else 0.0
    signal = ema_step(state, 2 * EMA_SIZE, constants[4], constants[5], line)
    if isnan(signal):
        return nan, nan, nan
    return line, signal, line - signal


def _constants(fast: int, slow: int, signal: int) -> tuple[float, ...]:
    fast, slow = sorted((fast, slow))
    return fast, 2.0 / (fast + 1.0), slow, 2.0 / (slow + 1.0), signal, 2.0 / (signal + 1.0)


PPO = Indicator(
    name="ppo",
    title="Percentage price oscillator",
    source="TA-Lib PPO (exponential), StockCharts",
    parameters=(
        Parameter("fast", 12, 1, 10_000),
        Parameter("slow", 26, 2, 10_000),
        Parameter("signal", 9, 1, 10_000),
    ),
    inputs=("close",),
    outputs=(
        "",
        "signal",
        "hist",
    ),
    lookback=lambda fast, slow, signal: max(fast, slow) - 1 + signal - 1,
    step=step,
    words=3 * EMA_SIZE,
    constants=_constants,
)

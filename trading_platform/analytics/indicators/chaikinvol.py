"""Chaikin volatility: the change of the mean bar range over `change` bars, in percent.

The mean is an EMA seeded by the simple mean (Achelis seeds with the first range); 0 where the old mean is 0.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, ema_step
from trading_platform.analytics.windows import RING_WORDS, ring_push, ring_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float) -> float:
    """Advance one bar. state: mean range, ring of means."""
    size = int(constants[2]) + 1
    mean = ema_step(state, 0, constants[0], constants[1], high - low)
    if isnan(mean):
        return nan
    old = window[ring_push(state, EMA_SIZE, window, 0, size, mean)]
    if state[EMA_SIZE] < size:
        return nan
    return 100.0 * ((mean - old) / old) if old != 0.0 else 0.0


CHAIKINVOL = Indicator(
    name="chaikinvol",
    title="Chaikin volatility",
    source="Chaikin (Achelis 2000)",
    parameters=(
        Parameter("period", 10, 1, 10_000),
        Parameter("change", 10, 1, 10_000),
    ),
    inputs=(
        "high",
        "low",
    ),
    outputs=("",),
    lookback=lambda period, change: period - 1 + change,
    step=step,
    words=EMA_SIZE + RING_WORDS,
    window=lambda period, change: ring_size(change + 1),
    constants=lambda period, change: (period, 2.0 / (period + 1.0), change),
)

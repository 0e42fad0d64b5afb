"""Awesome oscillator (Bill Williams): fast less slow simple mean of (high + low) / 2. Stock.Indicators' Awesome."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_mean, rolling_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float) -> float:
    """Advance one bar. state: two means."""
    fast, slow = int(constants[0]), int(constants[1])
    middle = (high + low) / 2.0
    quick = rolling_mean(state, 0, window, 0, fast, middle)
    lazy = rolling_mean(state, ROLLING_WORDS, window, rolling_size(fast), slow, middle)
    return quick - lazy if not (isnan(quick) or isnan(lazy)) else nan


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put both windows in order."""
    fast, slow = int(constants[0]), int(constants[1])
    rolling_day_boundary(state, 0, window, 0, fast)
    rolling_day_boundary(state, ROLLING_WORDS, window, rolling_size(fast), slow)


AWESOME = Indicator(
    name="awesome",
    title="Awesome oscillator",
    source="Bill Williams; Stock.Indicators Awesome",
    parameters=(
        Parameter("fast", 5, 1, 10_000),
        Parameter("slow", 34, 1, 10_000),
    ),
    inputs=(
        "high",
        "low",
    ),
    outputs=("",),
    lookback=lambda fast, slow: max(fast, slow) - 1,
    step=step,
    words=2 * ROLLING_WORDS,
    window=lambda fast, slow: rolling_size(fast) + rolling_size(slow),
    constants=lambda fast, slow: (fast, slow),
    day_boundary=day_boundary,
)

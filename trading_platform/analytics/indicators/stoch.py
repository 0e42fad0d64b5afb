"""Stochastic oscillator (Lane): where the close lies in the range of the period, 0 to 100. TA-Lib's STOCH.

`k` is the simple mean of the raw values over `slow`, `d` the simple mean of `k` over `signal`; both begin together.
Without a range the raw value is 0.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import (
    HIGHEST_WORDS,
    RING_WORDS,
    highest_day_boundary,
    highest_size,
    highest_step,
    lowest_step,
    ring_day_boundary,
    ring_mean,
    ring_size,
)
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float) -> tuple[float, float]:
    """Advance one bar. state: highest, lowest, two means."""
    period, slow, signal = int(constants[0]), int(constants[1]), int(constants[2])
    size = highest_size(period)
    top = highest_step(state, 0, window, 0, period, high)
    bottom = lowest_step(state, 3, window, size, period, low)
    if isnan(top):
        return nan, nan
    raw = 100.0 * ((close - bottom) / (top - bottom)) if top != bottom else 0.0
    k = ring_mean(state, 6, window, 2 * size, slow, raw)
    if isnan(k):
        return nan, nan
    d = ring_mean(state, 8, window, 2 * size + ring_size(slow), signal, k)
    return (k, d) if not isnan(d) else (nan, nan)


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    period, slow, signal = int(constants[0]), int(constants[1]), int(constants[2])
    size = highest_size(period)
    highest_day_boundary(state, 0, window, 0, period)
    highest_day_boundary(state, 3, window, size, period)
    ring_day_boundary(state, 6, window, 2 * size, slow)
    ring_day_boundary(state, 8, window, 2 * size + ring_size(slow), signal)


def _window(period: int, slow: int, signal: int) -> int:
    return int(2 * highest_size(period) + ring_size(slow) + ring_size(signal))


STOCH = Indicator(
    name="stoch",
    title="Stochastic oscillator",
    source="TA-Lib STOCH (simple means)",
    parameters=(
        Parameter("period", 14, 1, 10_000),
        Parameter("slow", 3, 1, 10_000),
        Parameter("signal", 3, 1, 10_000),
    ),
    inputs=(
        "high",
        "low",
        "close",
    ),
    outputs=(
        "k",
        "d",
    ),
    lookback=lambda period, slow, signal: period + slow + signal - 3,
    step=step,
    words=2 * HIGHEST_WORDS + 2 * RING_WORDS,
    window=_window,
    constants=lambda period, slow, signal: (period, slow, signal),
    day_boundary=day_boundary,
)

"""Stochastic RSI (Chande and Kroll 1994): where RSI lies in its own range of the period, 0 to 100.

`k` is the simple mean of the raw values over `slow`, `d` that of `k` over `signal`; both begin together. With
slow = 1 it is TA-Lib's STOCHRSI. Without a range the raw value is 0; a range below 1e-10 is none: where the price
rests, RSI moves by its own rounding.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import RSI_WORDS, rsi_step
from trading_platform.analytics.windows import (
    HIGHEST_WORDS,
    RING_WORDS,
    highest_size,
    highest_step,
    lowest_step,
    ring_mean,
    ring_size,
)
from trading_platform.jit.kernel import block

ROUNDING = 1e-10


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> tuple[float, float]:
    """Advance one bar. state: RSI, highest, lowest, two means."""
    period, slow, signal = int(constants[2]), int(constants[3]), int(constants[4])
    size = highest_size(period)
    strength = rsi_step(state, 0, constants[0], constants[1], close)
    if isnan(strength):
        return nan, nan
    top = highest_step(state, 8, window, 0, period, strength)
    bottom = lowest_step(state, 11, window, size, period, strength)
    if isnan(top):
        return nan, nan
    raw = 100.0 * ((strength - bottom) / (top - bottom)) if top - bottom > ROUNDING else 0.0
    k = ring_mean(state, 14, window, 2 * size, slow, raw)
    if isnan(k):
        return nan, nan
    d = ring_mean(state, 16, window, 2 * size + ring_size(slow), signal, k)
    return (k, d) if not isnan(d) else (nan, nan)


def _window(rsi: int, period: int, slow: int, signal: int) -> int:
    return int(2 * highest_size(period) + ring_size(slow) + ring_size(signal))


STOCHRSI = Indicator(
    name="stochrsi",
    title="Stochastic RSI",
    source="Chande and Kroll; TA-Lib STOCHRSI where slow is 1",
    parameters=(
        Parameter("rsi", 14, 2, 10_000),
        Parameter("period", 14, 1, 10_000),
        Parameter("slow", 3, 1, 10_000),
        Parameter("signal", 3, 1, 10_000),
    ),
    inputs=("close",),
    outputs=(
        "k",
        "d",
    ),
    lookback=lambda rsi, period, slow, signal: rsi + period + slow + signal - 3,
    step=step,
    words=RSI_WORDS + 2 * HIGHEST_WORDS + 2 * RING_WORDS,
    window=_window,
    constants=lambda rsi, period, slow, signal: (rsi, 1.0 / rsi, period, slow, signal),
)

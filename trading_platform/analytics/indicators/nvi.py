"""Negative volume index (Dysart, Fosback): follows the close in bars of less volume than the last; from 1000.

Achelis' convention. A change from a close of 0 counts 0. Stored below 1d it begins anew at 00:00 UTC.
"""

from __future__ import annotations

from math import isnan
from typing import Any

from trading_platform.analytics.indicator import Indicator
from trading_platform.analytics.steps import change_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float, volume: float) -> float:
    """Advance one bar. state: seen, previous close, previous volume, index."""
    previous = state[1]
    change = change_step(state, 0, close)
    if isnan(change):
        state[3] = 1000.0
    elif volume < state[2] and previous != 0.0:
        state[3] += state[3] * (change / previous)
    state[2] = volume
    return state[3]


NVI = Indicator(
    name="nvi",
    title="Negative volume index",
    source="Achelis (Fosback)",
    parameters=(),
    inputs=(
        "close",
        "volume",
    ),
    outputs=("",),
    lookback=lambda: 0,
    step=step,
    words=4,
    restarts_daily=True,
)

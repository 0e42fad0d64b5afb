"""Bipower variation (Barndorff-Nielsen and Shephard 2004): π / 2 times the sum of |return| · |return before|.

Of log returns, over the last `period` pairs; a single jump leaves it nearly as it is, where it adds to `rv`.
"""

from __future__ import annotations

from math import isnan, nan, pi
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import PREVIOUS_WORDS, log_return_step
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_size, rolling_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: seen, previous close, seen, size of the last return, sum."""
    move = log_return_step(state, 0, close)
    if isnan(move):
        return nan
    before = state[3]
    state[3] = abs(move)
    if state[2] == 0.0:
        state[2] = 1.0
        return nan
    total, rest = rolling_step(state, 4, window, 0, int(constants[0]), abs(move) * before)
    return constants[1] * (total + rest)


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the window in order."""
    rolling_day_boundary(state, 4, window, 0, int(constants[0]))


BIPOWER = Indicator(
    name="bipower",
    title="Bipower variation",
    source="Barndorff-Nielsen and Shephard 2004",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: period + 1,
    step=step,
    words=2 * PREVIOUS_WORDS + ROLLING_WORDS,
    window=rolling_size,
    constants=lambda period: (period, 0.5 * pi),
    day_boundary=day_boundary,
)

"""ConnorsRSI (Connors 2012): the mean of a short RSI, the RSI of the streak, and the rank of the last change.

The streak counts rises in a row (falls negative, 0 unchanged); the rank is the share of the last `rank` changes in
percent that are below the newest. Stock.Indicators' ConnorsRsi.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import PREVIOUS_WORDS, RSI_WORDS, change_step, rsi_step
from trading_platform.analytics.windows import RING_WORDS, ring_push, ring_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: RSI, RSI of the streak, previous close, streak, ring of changes."""
    rank = int(constants[4])
    strength = rsi_step(state, 0, constants[0], constants[1], close)
    previous = state[17]
    change = change_step(state, 16, close)
    if isnan(change):
        rsi_step(state, 8, constants[2], constants[3], 0.0)
        return nan
    streak = state[18]
    if change > 0.0:
        streak = max(streak, 0.0) + 1.0
    elif change < 0.0:
        streak = min(streak, 0.0) - 1.0
    else:
        streak = 0.0
    state[18] = streak
    run = rsi_step(state, 8, constants[2], constants[3], streak)
    now = change / previous if previous != 0.0 else 0.0
    first = ring_push(state, 19, window, 0, rank + 1, now)
    if isnan(strength) or isnan(run) or state[19] <= rank:
        return nan
    below = 0
    for k in range(first, first + rank):
        if window[k] < now:
            below += 1
    return (strength + run + 100.0 * below / rank) / 3.0


def _constants(rsi: int, streak: int, rank: int) -> tuple[float, ...]:
    return rsi, 1.0 / rsi, streak, 1.0 / streak, rank


CONNORSRSI = Indicator(
    name="connorsrsi",
    title="ConnorsRSI",
    source="Connors; Stock.Indicators ConnorsRsi",
    parameters=(
        Parameter("rsi", 3, 2, 10_000),
        Parameter("streak", 2, 2, 10_000),
        Parameter("rank", 100, 1, 10_000),
    ),
    inputs=("close",),
    outputs=("",),
    lookback=lambda rsi, streak, rank: max(rsi, streak, rank + 1),
    step=step,
    words=2 * RSI_WORDS + PREVIOUS_WORDS + 1 + RING_WORDS,
    window=lambda rsi, streak, rank: ring_size(rank + 1),
    constants=_constants,
)

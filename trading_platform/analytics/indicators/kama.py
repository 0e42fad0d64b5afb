"""Kaufman's adaptive moving average (Trading Systems and Methods, 1995). TA-Lib's KAMA where fast is 2 and slow 30.

Its weight is that of an EMA between slow and fast, squared; between them stands the efficiency: the change over the
period divided by the sum of the changes bar by bar, 1 where nothing moved. It starts from the close before its first
value.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import ring_push, ring_size, rolling_size, rolling_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: sum of changes, ring of closes, seen, previous close, the mean."""
    period = int(constants[0])
    previous = state[7]
    state[7] = close
    first = ring_push(state, 4, window, rolling_size(period), period + 1, close)
    if state[6] == 0.0:
        state[6] = 1.0
        return nan
    total, rest = rolling_step(state, 0, window, 0, period, abs(close - previous))
    if isnan(total):
        return nan
    if state[6] == 1.0:
        state[6] = 2.0
        state[8] = previous
    moved = abs(close - window[first])
    path = total + rest
    efficiency = moved / path if path > moved else 1.0
    weight = efficiency * (constants[1] - constants[2]) + constants[2]
    state[8] += weight * weight * (close - state[8])
    return state[8]


KAMA = Indicator(
    name="kama",
    title="Kaufman's adaptive moving average",
    source="TA-Lib KAMA",
    parameters=(
        Parameter("period", 10, 1, 10_000),
        Parameter("fast", 2, 1, 10_000),
        Parameter("slow", 30, 1, 10_000),
    ),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period, fast, slow: period,
    step=step,
    words=9,
    window=lambda period, fast, slow: rolling_size(period) + ring_size(period + 1),
    constants=lambda period, fast, slow: (period, 2.0 / (fast + 1.0), 2.0 / (slow + 1.0)),
)

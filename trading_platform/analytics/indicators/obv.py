"""On-balance volume (Granville 1963): volumes of rising closes less those of falling ones. TA-Lib's OBV.

It begins with the first bar's volume. Stored below 1d it begins anew at 00:00 UTC.
"""

from __future__ import annotations

from math import isnan
from typing import Any

from trading_platform.analytics.indicator import Indicator
from trading_platform.analytics.steps import change_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float, volume: float) -> float:
    """Advance one bar. state: seen, previous close, total."""
    change = change_step(state, 0, close)
    # A sum, not two branches: the processor guesses the direction of a price wrong half of the time.
    rose = 1.0 if change > 0.0 or isnan(change) else 0.0
    fell = 1.0 if change < 0.0 else 0.0
    state[2] += (rose - fell) * volume
    return state[2]


OBV = Indicator(
    name="obv",
    title="On-balance volume",
    source="TA-Lib OBV",
    parameters=(),
    inputs=(
        "close",
        "volume",
    ),
    outputs=("",),
    lookback=lambda: 0,
    step=step,
    words=3,
    restarts_daily=True,
)

"""Plus directional indicator (Wilder 1978): 100 · +DM / true range, both in Wilder's sums. TA-Lib's PLUS_DI.

Where there was no range it is 0.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import DIRECTION_WORDS, direction_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float) -> float:
    """Advance one bar."""
    plus, _minus, spread = direction_step(state, 0, constants[0], high, low, close)
    if isnan(spread):
        return nan
    return 100.0 * (plus / spread) if spread != 0.0 else 0.0


PLUS_DI = Indicator(
    name="plus_di",
    title="Plus directional indicator",
    source="TA-Lib PLUS_DI (Wilder)",
    parameters=(Parameter("period", 14, 2, 10_000),),
    inputs=(
        "high",
        "low",
        "close",
    ),
    outputs=("",),
    lookback=lambda period: period,
    step=step,
    words=DIRECTION_WORDS,
    constants=lambda period: (period,),
)

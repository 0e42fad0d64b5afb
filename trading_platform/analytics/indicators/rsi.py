"""Relative strength index, 0 to 100 (Wilder, New Concepts in Technical Trading Systems, 1978).

Gains and losses are smoothed by Wilder's mean, seeded by the simple mean of the first `period` changes: TA-Lib's
RSI. Where there was no change at all yet it is 0, as TA-Lib has it (TA-Lib also calls sums below 1e-14 none; here
only 0 is none, so that coins priced in billionths are not flat).
"""

from __future__ import annotations

from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import RSI_WORDS, rsi_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: seen, previous close, mean gain, mean loss."""
    return rsi_step(state, 0, constants[0], constants[1], close)


RSI = Indicator(
    name="rsi",
    title="Relative strength index",
    source="TA-Lib RSI (Wilder)",
    parameters=(Parameter("period", 14, 2, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: period,
    constants=lambda period: (period, 1.0 / period),
    step=step,
    words=RSI_WORDS,
)

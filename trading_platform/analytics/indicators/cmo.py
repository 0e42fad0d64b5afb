"""Chande momentum oscillator (1994), -100 to 100: (gains - losses) / (gains + losses) in percent. TA-Lib's CMO.

TA-Lib smooths gains and losses by Wilder's mean (Chande sums them over the period); 0 where nothing moved.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import RSI_WORDS, change_step, ema_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: previous close, mean gain, mean loss."""
    change = change_step(state, 0, close)
    if isnan(change):
        return nan
    gain = ema_step(state, 2, constants[0], constants[1], max(change, 0.0))
    loss = ema_step(state, 5, constants[0], constants[1], max(-change, 0.0))
    moved = gain + loss
    return 100.0 * ((gain - loss) / moved) if moved != 0.0 else 0.0


CMO = Indicator(
    name="cmo",
    title="Chande momentum oscillator",
    source="TA-Lib CMO",
    parameters=(Parameter("period", 14, 2, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: period,
    step=step,
    words=RSI_WORDS,
    constants=lambda period: (period, 1.0 / period),
)

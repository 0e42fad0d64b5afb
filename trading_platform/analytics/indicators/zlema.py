"""Zero-lag exponential moving average (Ehlers and Way): EMA of the close plus its change over half the period.

Half is (period - 1) / 2, rounded down: the lag of the EMA. Seeded by the simple mean, as the EMA is.
"""

from __future__ import annotations

from math import nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import EMA_SIZE, ema_step
from trading_platform.analytics.windows import RING_WORDS, ring_push, ring_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: the mean, ring of closes."""
    size = int(constants[2]) + 1
    old = window[ring_push(state, EMA_SIZE, window, 0, size, close)]
    if state[EMA_SIZE] < size:
        return nan
    return ema_step(state, 0, constants[0], constants[1], close + (close - old))


ZLEMA = Indicator(
    name="zlema",
    title="Zero-lag exponential moving average",
    source="Ehlers and Way",
    parameters=(Parameter("period", 20, 1, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: (period - 1) // 2 + period - 1,
    step=step,
    words=EMA_SIZE + RING_WORDS,
    window=lambda period: ring_size((period - 1) // 2 + 1),
    constants=lambda period: (period, 2.0 / (period + 1.0), (period - 1) // 2),
)

"""Hull moving average (Alan Hull 2005): WMA of 2 · WMA(period / 2) - WMA(period) over the square root of the period.

Half and root are rounded down, as Stock.Indicators does.
"""

from __future__ import annotations

from math import isnan, isqrt, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import WEIGHTED_WORDS, weighted_day_boundary, weighted_mean, weighted_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> float:
    """Advance one bar. state: the whole, the half, the root."""
    period, half, root = int(constants[0]), int(constants[1]), int(constants[2])
    slow = weighted_mean(state, 0, window, 0, period, close)
    fast = weighted_mean(state, WEIGHTED_WORDS, window, weighted_size(period), half, close)
    if isnan(slow):
        return nan
    place = weighted_size(period) + weighted_size(half)
    return weighted_mean(state, 2 * WEIGHTED_WORDS, window, place, root, 2.0 * fast - slow)


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    period, half, root = int(constants[0]), int(constants[1]), int(constants[2])
    weighted_day_boundary(state, 0, window, 0, period)
    weighted_day_boundary(state, WEIGHTED_WORDS, window, weighted_size(period), half)
    place = weighted_size(period) + weighted_size(half)
    weighted_day_boundary(state, 2 * WEIGHTED_WORDS, window, place, root)


def _constants(period: int) -> tuple[float, ...]:
    return period, period // 2, isqrt(period)


def _window(period: int) -> int:
    return sum(weighted_size(part) for part in (period, period // 2, isqrt(period)))


HMA = Indicator(
    name="hma",
    title="Hull moving average",
    source="Hull; Stock.Indicators Hma",
    parameters=(Parameter("period", 9, 2, 10_000),),
    inputs=("close",),
    outputs=("",),
    lookback=lambda period: period - 1 + isqrt(period) - 1,
    step=step,
    words=3 * WEIGHTED_WORDS,
    window=_window,
    constants=_constants,
    day_boundary=day_boundary,
)

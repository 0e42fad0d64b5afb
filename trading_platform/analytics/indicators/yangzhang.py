"""Yang-Zhang volatility (2000) per bar: independent of drift and of jumps between bars.

The root of the sample variance of ln(open / last close), plus k times that of ln(close / open), plus 1 - k times the
mean of Rogers' and Satchell's term, with k = 0.34 / (1.34 + (period + 1) / (period - 1)).
"""

from __future__ import annotations

from math import isnan, nan, sqrt
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import PREVIOUS_WORDS, log_ratio
from trading_platform.analytics.windows import (
    DEVIATION_WORDS,
    ROLLING_WORDS,
    deviation_day_boundary,
    deviation_size,
    deviation_step,
    rolling_day_boundary,
    rolling_mean,
    rolling_size,
)
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, opened: float, high: float, low: float, close: float) -> float:
    """Advance one bar. state: seen, previous close, two deviations, a mean."""
    period = int(constants[0])
    previous = state[1]
    state[1] = close
    if state[0] == 0.0:
        state[0] = 1.0
        return nan
    size = deviation_size(period)
    move = log_ratio(close, opened)
    up = log_ratio(high, opened)
    down = log_ratio(low, opened)
    first, jumps = deviation_step(state, 2, window, 0, period, log_ratio(opened, previous))
    second, moves = deviation_step(state, 7, window, size, period, move)
    ranges = rolling_mean(state, 12, window, 2 * size, period, up * (up - move) + down * (down - move))
    if isnan(first) or isnan(second) or isnan(ranges):
        return nan
    return sqrt(max(constants[1] * (jumps + constants[2] * moves) + (1.0 - constants[2]) * ranges, 0.0))


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    period = int(constants[0])
    deviation_day_boundary(state, 2, window, 0, period)
    deviation_day_boundary(state, 7, window, deviation_size(period), period)
    rolling_day_boundary(state, 12, window, 2 * deviation_size(period), period)


def _constants(period: int) -> tuple[float, ...]:
    return period, period / (period - 1.0), 0.34 / (1.34 + (period + 1.0) / (period - 1.0))


YANGZHANG = Indicator(
    name="yangzhang",
    title="Yang-Zhang volatility",
    source="Yang and Zhang 2000",
    parameters=(Parameter("period", 20, 2, 10_000),),
    inputs=(
        "open",
        "high",
        "low",
        "close",
    ),
    outputs=("",),
    lookback=lambda period: period,
    step=step,
    words=PREVIOUS_WORDS + 2 * DEVIATION_WORDS + ROLLING_WORDS,
    window=lambda period: 2 * deviation_size(period) + rolling_size(period),
    constants=_constants,
    day_boundary=day_boundary,
)

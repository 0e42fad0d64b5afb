"""Linear regression of the close on time over the last `period` bars: its newest value, slope, intercept and R².

The slope is per bar, the intercept the line's value at the oldest bar of the window: TA-Lib's LINEARREG,
LINEARREG_SLOPE and LINEARREG_INTERCEPT. R² is 0 where the closes do not differ.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import (
    RING_WORDS,
    ROLLING_WORDS,
    ring_day_boundary,
    ring_push,
    ring_size,
    rolling_day_boundary,
    rolling_mean,
    rolling_size,
)
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, close: float) -> tuple[float, float, float, float]:
    """Advance one bar. state: mean, ring."""
    period = int(constants[0])
    mean = rolling_mean(state, 0, window, 0, period, close)
    first = ring_push(state, ROLLING_WORDS, window, rolling_size(period), period, close)
    if isnan(mean):
        return nan, nan, nan, nan
    half = 0.5 * (constants[0] - 1.0)
    together = 0.0
    around = 0.0
    for k in range(period):
        away = window[first + k] - mean
        together += (k - half) * away
        around += away * away
    spread = constants[0] * (constants[0] * constants[0] - 1.0) / 12.0
    slope = together / spread
    explained = slope * together / around if around != 0.0 else 0.0
    return mean + slope * half, slope, mean - slope * half, min(explained, 1.0)


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    period = int(constants[0])
    rolling_day_boundary(state, 0, window, 0, period)
    ring_day_boundary(state, ROLLING_WORDS, window, rolling_size(period), period)


LINREG = Indicator(
    name="linreg",
    title="Linear regression",
    source="TA-Lib LINEARREG, LINEARREG_SLOPE, LINEARREG_INTERCEPT",
    parameters=(Parameter("period", 14, 2, 10_000),),
    inputs=("close",),
    outputs=(
        "",
        "slope",
        "intercept",
        "r2",
    ),
    lookback=lambda period: period - 1,
    step=step,
    words=ROLLING_WORDS + RING_WORDS,
    window=lambda period: rolling_size(period) + ring_size(period),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

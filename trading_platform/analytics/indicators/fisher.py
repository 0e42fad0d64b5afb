"""Fisher transform (Ehlers 2002) of where (high + low) / 2 lies in its range of the period, and its previous value.

The place is smoothed by two thirds of the last one, and 0.999 where it is beyond 0.99; half of the last value is added.
Ehlers' numbers, from the first full window on (Stock.Indicators begins with the first bar: equal once it is forgotten).
"""

from __future__ import annotations

from math import isnan, log, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import HIGHEST_WORDS, highest_size, highest_step, lowest_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float) -> tuple[float, float]:
    """Advance one bar. state: highest, lowest, smoothed place, values seen, value."""
    period = int(constants[0])
    middle = (high + low) / 2.0
    top = highest_step(state, 0, window, 0, period, middle)
    bottom = lowest_step(state, HIGHEST_WORDS, window, highest_size(period), period, middle)
    if isnan(top):
        return nan, nan
    place = (middle - bottom) / (top - bottom) - 0.5 if top != bottom else 0.0
    smooth = 0.66 * place + 0.67 * state[6]
    if abs(smooth) > 0.99:
        smooth = 0.999 if smooth > 0.0 else -0.999
    trigger = state[8]
    value = 0.5 * log((1.0 + smooth) / (1.0 - smooth)) + 0.5 * trigger
    first = state[7] == 0.0
    state[6] = smooth
    state[7] = 1.0
    state[8] = value
    return (nan, nan) if first else (value, trigger)


FISHER = Indicator(
    name="fisher",
    title="Fisher transform",
    source="Ehlers; Stock.Indicators FisherTransform",
    parameters=(Parameter("period", 10, 2, 10_000),),
    inputs=(
        "high",
        "low",
    ),
    outputs=(
        "",
        "trigger",
    ),
    lookback=lambda period: period,
    step=step,
    words=2 * HIGHEST_WORDS + 3,
    window=lambda period: 2 * highest_size(period),
    constants=lambda period: (period,),
)

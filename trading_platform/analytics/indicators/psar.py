"""Parabolic stop and reverse (Wilder 1978). TA-Lib's SAR.

It starts short where the second bar's low fell further than its high rose, else long; the stop
begins at the first bar's opposite extreme. It never enters the range of the last two bars.
"""

from __future__ import annotations

from math import nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.jit.kernel import block


@block()
def beyond(side: float, stop: float, last_high: float, last_low: float, high: float, low: float) -> float:
    """Keep the stop below the last two lows of a long market, above the last two highs of a short one."""
    return min(stop, last_low, low) if side > 0.0 else max(stop, last_high, high)


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float) -> float:
    """Advance one bar. state: bars (2 are enough), high, low, side (1 long, -1 short), extreme, acceleration, stop."""
    last_high = state[1]
    last_low = state[2]
    state[1] = high
    state[2] = low
    if state[0] == 0.0:
        state[0] = 1.0
        return nan
    if state[0] == 1.0:
        state[0] = 2.0
        down = last_low - low
        short = down > 0.0 and high - last_high < down
        state[3] = -1.0 if short else 1.0
        state[4] = low if short else high
        state[5] = constants[0]
        state[6] = last_high if short else last_low
        last_high = high
        last_low = low
    side = state[3]
    stop = state[6]
    if (low <= stop) if side > 0.0 else (high >= stop):
        # Turned: the stop jumps to the extreme of the side that ended, on the far side of the last two bars.
        extreme = high if side < 0.0 else low
        stop = beyond(-side, state[4], last_high, last_low, high, low)
        state[3] = -side
        state[4] = extreme
        state[5] = constants[0]
        state[6] = beyond(-side, stop + state[5] * (extreme - stop), last_high, last_low, high, low)
        return stop
    extreme = high if side > 0.0 else low
    if (extreme - state[4]) * side > 0.0:
        state[4] = extreme
        state[5] = min(state[5] + constants[0], constants[1])
    state[6] = beyond(side, stop + state[5] * (state[4] - stop), last_high, last_low, high, low)
    return stop


PSAR = Indicator(
    name="psar",
    title="Parabolic stop and reverse",
    source="TA-Lib SAR (Wilder)",
    parameters=(
        Parameter("acceleration", 0.02, 0.0001, 1.0),
        Parameter("maximum", 0.2, 0.0001, 1.0),
    ),
    inputs=(
        "high",
        "low",
    ),
    outputs=("",),
    lookback=lambda acceleration, maximum: 1,
    step=step,
    words=7,
    constants=lambda acceleration, maximum: (min(acceleration, maximum), maximum),
)

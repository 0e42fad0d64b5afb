"""Ultimate oscillator (Larry Williams 1976), 0 to 100: buying pressure by true range over three periods.

The shortest period weighs 4, the next 2, the longest 1, whatever their order. A period without any range counts 0.
TA-Lib's ULTOSC.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import PREVIOUS_WORDS, true_range_step
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_size, rolling_step
from trading_platform.jit.kernel import block


@block()
def share(state: Any, at: int, window: Any, place: int, period: int, part: float, whole: float) -> float:
    """Advance the sum of the parts by the sum of the wholes; 0 where that is 0, NaN until `period` are held."""
    above, rest = rolling_step(state, at, window, place, period, part)
    below, below_rest = rolling_step(state, at + ROLLING_WORDS, window, place + rolling_size(period), period, whole)
    return (above + rest) / (below + below_rest) if below != 0.0 else 0.0


@block()
def share_day_boundary(state: Any, at: int, window: Any, place: int, period: int) -> None:
    """Put both windows in order."""
    rolling_day_boundary(state, at, window, place, period)
    rolling_day_boundary(state, at + ROLLING_WORDS, window, place + rolling_size(period), period)


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float) -> float:
    """Advance one bar. state: previous close, then pressure and range of each period."""
    previous = state[1]
    true_range = true_range_step(state, 0, high, low, close)
    if isnan(true_range):
        return nan
    pressure = close - min(low, previous)
    short = share(state, 2, window, 0, int(constants[0]), pressure, true_range)
    place = 2 * rolling_size(int(constants[0]))
    medium = share(state, 10, window, place, int(constants[1]), pressure, true_range)
    place += 2 * rolling_size(int(constants[1]))
    long = share(state, 18, window, place, int(constants[2]), pressure, true_range)
    return 100.0 * ((4.0 * short + 2.0 * medium + long) / 7.0)


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    share_day_boundary(state, 2, window, 0, int(constants[0]))
    place = 2 * rolling_size(int(constants[0]))
    share_day_boundary(state, 10, window, place, int(constants[1]))
    place += 2 * rolling_size(int(constants[1]))
    share_day_boundary(state, 18, window, place, int(constants[2]))


ULTIMATE = Indicator(
    name="ultimate",
    title="Ultimate oscillator",
    source="TA-Lib ULTOSC (Williams)",
    parameters=(
        Parameter("short", 7, 1, 10_000),
        Parameter("medium", 14, 1, 10_000),
        Parameter("long", 28, 1, 10_000),
    ),
    inputs=(
        "high",
        "low",
        "close",
    ),
    outputs=("",),
    lookback=max,
    step=step,
    words=PREVIOUS_WORDS + 6 * ROLLING_WORDS,
    window=lambda *periods: 2 * sum(rolling_size(period) for period in periods),
    constants=lambda *periods: tuple(sorted(periods)),
    day_boundary=day_boundary,
)

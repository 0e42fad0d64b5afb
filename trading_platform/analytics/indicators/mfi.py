"""Money flow index (Quong and Soudack 1989), 0 to 100: the share of rising typical prices in price · volume.

An unchanged typical price counts on neither side. Without any flow it is 0, as in
TA-Lib's MFI (TA-Lib also calls flows below 1 none).
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.steps import PREVIOUS_WORDS, change_step
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_size, rolling_step
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, high: float, low: float, close: float, volume: float) -> float:
    """Advance one bar. state: previous typical price, rising and falling flow."""
    period = int(constants[0])
    typical = (high + low + close) / 3.0
    change = change_step(state, 0, typical)
    if isnan(change):
        return nan
    flow = typical * volume
    rising, _ = rolling_step(state, 2, window, 0, period, flow if change > 0.0 else 0.0)
    falling, _ = rolling_step(state, 6, window, rolling_size(period), period, flow if change < 0.0 else 0.0)
    if isnan(rising):
        return nan
    both = rising + falling
    return 100.0 * (rising / both) if both != 0.0 else 0.0


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the windows in order."""
    period = int(constants[0])
    rolling_day_boundary(state, 2, window, 0, period)
    rolling_day_boundary(state, 6, window, rolling_size(period), period)


MFI = Indicator(
    name="mfi",
    title="Money flow index",
    source="TA-Lib MFI",
    parameters=(Parameter("period", 14, 2, 10_000),),
    inputs=(
        "high",
        "low",
        "close",
        "volume",
    ),
    outputs=("",),
    lookback=lambda period: period,
    step=step,
    words=PREVIOUS_WORDS + 2 * ROLLING_WORDS,
    window=lambda period: 2 * rolling_size(period),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

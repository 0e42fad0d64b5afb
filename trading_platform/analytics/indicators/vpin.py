"""VPIN: the sizes of the bars' trade imbalances by all volume of the last `period` bars, 0 to 1.

Easley, López de Prado and O'Hara (2012) take buckets of equal volume: give it volume bars (``"10v"``). The sides
are the trades' own, not guessed from prices. Without volume it is 0.
"""

from __future__ import annotations

from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import ROLLING_WORDS, pair_day_boundary, ratio_step, rolling_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, volume: float, taker_buy_volume: float) -> float:
    """Advance one bar. state: flow, volume."""
    return ratio_step(state, window, int(constants[0]), abs(2.0 * taker_buy_volume - volume), volume)


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put both windows in order."""
    pair_day_boundary(state, window, int(constants[0]))


VPIN = Indicator(
    name="vpin",
    title="VPIN",
    source="Easley, López de Prado and O'Hara 2012",
    parameters=(Parameter("period", 50, 1, 10_000),),
    inputs=(
        "volume",
        "taker_buy_volume",
    ),
    outputs=("",),
    lookback=lambda period: period - 1,
    step=step,
    words=2 * ROLLING_WORDS,
    window=lambda period: 2 * rolling_size(period),
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)

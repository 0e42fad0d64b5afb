"""Mean size of the bar's body, |close - open|: an indicator that a user might write, in a file outside the package."""

from __future__ import annotations

from typing import Any

from trading_platform.analytics.indicator import Indicator, Parameter
from trading_platform.analytics.windows import ROLLING_WORDS, rolling_day_boundary, rolling_mean, rolling_size
from trading_platform.jit.kernel import block


@block()
def step(state: Any, window: Any, constants: Any, opened: float, close: float) -> float:
    """Advance one bar."""
    return rolling_mean(state, 0, window, 0, int(constants[0]), abs(close - opened))


@block()
def day_boundary(state: Any, window: Any, constants: Any) -> None:
    """Put the window in order."""
    rolling_day_boundary(state, 0, window, 0, int(constants[0]))


BODY = Indicator(
    name="body",
    title="Mean size of the body",
    source="this file",
    parameters=(Parameter("period", 10, 1, 10_000),),
    inputs=("open", "close"),
    outputs=("",),
    lookback=lambda period: period - 1,
    step=step,
    words=ROLLING_WORDS,
    window=rolling_size,
    constants=lambda period: (period,),
    day_boundary=day_boundary,
)


def naive(bars: dict[str, list[float]], period: int) -> list[float | None]:
    """Say the same on lists: the contract suite compares."""
    sizes = [abs(c - o) for o, c in zip(bars["open"], bars["close"], strict=True)]
    return [sum(sizes[i + 1 - period : i + 1]) / period if i + 1 >= period else None for i in range(len(sizes))]

"""The gate of indicators: one row a bar; each output is a finite number, or null in the lookback or where unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from quality.schemas.rules import Rule, RuleSet, grid
from trading_platform.store.lake.schema import indicators

RANGES: dict[str, tuple[float, float]] = {
    "rsi": (0, 100),
    "mfi": (0, 100),
    "stoch": (0, 100),
    "stochrsi": (0, 100),
    "ultimate": (0, 100),
    "willr": (-100, 0),
    "adx": (0, 100),
    "plus_di": (0, 100),
    "minus_di": (0, 100),
    "aroon": (-100, 100),
    "cmf": (-1, 1),
    "atr": (0, float("inf")),
    "natr": (0, float("inf")),
}
"""Indicator to the least and the greatest value that its formula can give."""

_ROUNDING = 1e-6
"""How far rounding may carry a value beyond its range, in its own unit."""


def _outputs(names: Sequence[str]) -> list[Rule]:
    return [rule for name in names for rule in _of(name)]


def _of(name: str) -> Iterator[Rule]:
    column = pl.col(name)
    yield Rule(f"{name} is a finite number or null", column.is_finite().fill_null(value=True))
    key = max((key for key in RANGES if name == key or name.startswith(f"{key}_")), key=len, default=None)
    if key is not None and "__" not in name:  # what is computed of another indicator has other ends
        low, high = RANGES[key]
        inside = column.is_between(low - _ROUNDING, high + _ROUNDING).fill_null(value=True)
        yield Rule(f"{name} lies between {low:g} and {high:g}", inside, "ranges")


DATASET = RuleSet(
    "indicators",
    indicators(()),
    [*grid(), Rule("complete is known", pl.col("complete").is_not_null(), "intervals")],
    column_rules=_outputs,
)
schema = DATASET.schema
gate = DATASET.gate

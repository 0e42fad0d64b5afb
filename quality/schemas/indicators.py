"""The gate of indicators: one row a bar; each output is a finite number, or null in the lookback or where unknown."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quality.schemas.rules import Rule, RuleSet, grid
from trading_platform.store.lake.schema import indicators


def _outputs(names: Sequence[str]) -> list[Rule]:
    return [
        Rule(f"{name} is a finite number or null", pl.col(name).is_finite().fill_null(value=True)) for name in names
    ]


DATASET = RuleSet(
    "indicators",
    indicators(()),
    [*grid(), Rule("complete is known", pl.col("complete").is_not_null())],
    column_rules=_outputs,
)
schema = DATASET.schema
gate = DATASET.gate

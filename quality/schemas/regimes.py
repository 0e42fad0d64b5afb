"""The gate of regimes: one row a bar, state probabilities that add up to one, and a state that the model has."""

from __future__ import annotations

import polars as pl

from quality.schemas.rules import Rule, RuleSet, grid
from trading_platform.store.lake.schema import REGIMES

TOLERANCE = 1e-9
_P = [pl.col(f"p_{k}") for k in range(5)]
_states = pl.sum_horizontal(p.is_not_null().cast(pl.Int8) for p in _P)
_known = pl.col("state").is_not_null()
_total = pl.sum_horizontal(p.fill_null(0.0) for p in _P)
_change = pl.col("change_probability")


def _probability(p: pl.Expr) -> pl.Expr:
    return p.is_null() | p.is_between(-TOLERANCE, 1 + TOLERANCE)


DATASET = RuleSet(
    "regimes",
    REGIMES,
    [
        *grid(),
        *(Rule(f"p_{k} is a probability", _probability(p), "probabilities") for k, p in enumerate(_P)),
        *(
            Rule(f"p_{k} is null if p_{k - 1} is", _P[k].is_null() | _P[k - 1].is_not_null(), "probabilities")
            for k in range(1, 5)
        ),
        Rule(
            "probabilities add up to one",
            ~_known | ((_total - 1).abs() <= TOLERANCE).fill_null(value=False),
            "probabilities",
        ),
        Rule("probabilities are known exactly where a state is", _known == (_states > 0), "probabilities"),
        Rule("state and label are known together", _known == pl.col("label").is_not_null(), "states"),
        Rule("state is one of the model's", ~_known | ((pl.col("state") >= 0) & (pl.col("state") < _states)), "states"),
        Rule("label is not empty", ~_known | (pl.col("label").str.len_chars() > 0), "states"),
        Rule("change_probability is a probability", _probability(_change), "probabilities"),
        Rule("model_version is known", pl.col("model_version").str.len_chars() > 0, "states"),
    ],
)
schema = DATASET.schema
gate = DATASET.gate

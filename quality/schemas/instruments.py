"""The gate of instruments: each symbol once and canonically spelled, price and quantity steps positive decimals."""

from __future__ import annotations

import polars as pl

from quality.schemas.rules import Rule, RuleSet
from trading_platform.store.lake.schema import INSTRUMENTS

_CODE = r"[[\p{L}\p{Nd}]--[a-z]]{1,20}"
_SYMBOL = rf"^{_CODE}-{_CODE}(-PERP|-[0-9]{{6}})?$"


def _step(name: str) -> Rule:
    step = pl.col(name)
    positive = step.str.contains(r"^[0-9]{1,24}(\.[0-9]{1,24})?$") & step.str.contains("[1-9]")
    return Rule(f"{name} is a positive decimal or unknown", step.is_null() | positive, "steps")


DATASET = RuleSet(
    "instruments",
    INSTRUMENTS,
    [
        Rule("a symbol is listed once", pl.col("symbol").is_unique(), "symbols"),
        Rule("symbol has the canonical spelling", pl.col("symbol").str.contains(_SYMBOL), "symbols"),
        Rule(
            "venue_symbol is unique, not empty",
            pl.col("venue_symbol").is_unique() & (pl.col("venue_symbol") != ""),
            "symbols",
        ),
        Rule("kind is spot, perpetual or future", pl.col("kind").is_in(["spot", "perpetual", "future"]), "symbols"),
        Rule("base begins the symbol", pl.col("symbol").str.starts_with(pl.col("base") + "-"), "symbols"),
        Rule("quote is known", pl.col("quote").str.len_chars() > 0, "symbols"),
        _step("price_step"),
        _step("quantity_step"),
        Rule("status is known", pl.col("status").is_not_null(), "symbols"),
    ],
)
schema = DATASET.schema
gate = DATASET.gate

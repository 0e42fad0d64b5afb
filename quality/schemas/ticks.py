"""The gate of ticks: trades of one symbol-day, in order, each once, with values a trade can have."""

from __future__ import annotations

import polars as pl

from quality.schemas.rules import Dataset, Rule, one_day, rises
from trading_platform.domain.trade import SOURCES
from trading_platform.store.schema import SIDES, TICKS

_ID, _UID = pl.col("trade_id"), pl.col("trade_uid")
_ALL_IDS, _NO_IDS = _ID.is_not_null().all(), _ID.is_null().all()

DATASET = Dataset(
    "ticks",
    TICKS,
    [
        Rule("a trade has either an id or a uid", _ID.is_null() != _UID.is_null()),
        Rule("ids rise", ~_ALL_IDS | rises("epoch", "trade_id")),
        Rule("without ids, times and uids rise", ~_NO_IDS | rises("ts_event", "trade_uid")),
        Rule("all trades have ids or none has", _ALL_IDS | _NO_IDS),
        Rule("epoch is known and not negative", pl.col("epoch") >= 0),
        one_day("ts_event"),
        Rule("ts_recv is known", pl.col("ts_recv").is_not_null()),
        Rule("price is positive and finite", pl.col("price").is_finite() & (pl.col("price") > 0)),
        Rule("quantity is positive and finite", pl.col("quantity").is_finite() & (pl.col("quantity") > 0)),
        Rule("side is buy, sell or unknown", pl.col("side").is_null() | pl.col("side").is_in(list(SIDES))),
        Rule("source is ws, rest or archive", pl.col("source").is_in(list(SOURCES))),
    ],
)
schema = DATASET.schema
gate = DATASET.gate

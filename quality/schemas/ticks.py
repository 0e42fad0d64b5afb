"""The gate of ticks: trades of one symbol-day, in order, each once, with values a trade can have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from quality.schemas.rules import Rule, RuleSet, one_day, rises
from trading_platform.domain.days import DAY_NS
from trading_platform.domain.errors import WorkError
from trading_platform.domain.trades.trade import SOURCES
from trading_platform.domain.verdict import Verdict
from trading_platform.store.lake import schema as store_schema
from trading_platform.store.lake.schema import LEAN, SIDES, TICKS

_ID, _UID = pl.col("trade_id"), pl.col("trade_uid")
_ALL_IDS, _NO_IDS = _ID.is_not_null().all(), _ID.is_null().all()

DATASET = RuleSet(
    "ticks",
    TICKS,
    [
        Rule("a trade has either an id or a uid", _ID.is_null() != _UID.is_null(), "ids_rise"),
        Rule("ids rise", ~_ALL_IDS | rises("epoch", "trade_id"), "ids_rise"),
        Rule("without ids, times and uids rise", ~_NO_IDS | rises("ts_event", "trade_uid"), "ids_rise"),
        Rule("all trades have ids or none has", _ALL_IDS | _NO_IDS, "ids_rise"),
        Rule("epoch is known and not negative", pl.col("epoch") >= 0, "ids_rise"),
        one_day("ts_event", "times"),
        Rule("ts_recv is known", pl.col("ts_recv").is_not_null(), "times"),
        Rule("price is positive and finite", pl.col("price").is_finite() & (pl.col("price") > 0)),
        Rule("quantity is positive and finite", pl.col("quantity").is_finite() & (pl.col("quantity") > 0)),
        Rule("side is buy, sell or unknown", pl.col("side").is_null() | pl.col("side").is_in(list(SIDES))),
        Rule("source is ws, rest or archive", pl.col("source").is_in(list(SOURCES))),
    ],
)
schema = DATASET.schema


def gate(table: pa.Table) -> Verdict:
    """Return whether the ticks may be published; sides and sources may be codes (see `lean` in store/lake/schema.py).

    A day of a busy symbol has millions of rows. A table in the usual form (all trades with ids) is therefore first
    tested column by column, in a tenth of the time; only if that finds a doubt, the rules are applied.
    tests/property/test_ticks_gate.py compares both ways.
    """
    return Verdict() if _plainly_good(table) else DATASET.gate(store_schema.plain(table))


def _plainly_good(table: pa.Table) -> bool:
    if not table.num_rows or not (table.schema.equals(LEAN) or table.schema.equals(TICKS)):
        return False
    known = (name for name in TICKS.names if name not in {"trade_uid", "side"})
    if table.column("trade_uid").null_count != table.num_rows or any(table.column(name).null_count for name in known):
        return False
    epoch, trade_id = (table.column(name).to_numpy() for name in ("epoch", "trade_id"))
    if epoch[0] < 0 or epoch[0] != epoch[-1]:
        return False
    days = _least_and_greatest(table, "ts_event") // DAY_NS
    return (
        bool((epoch == epoch[0]).all())
        and bool((trade_id[:-1] < trade_id[1:]).all())
        and days[0] == days[1]
        and all(_positive(table.column(name).to_numpy()) for name in ("price", "quantity"))
        and _among(table.column("side"), SIDES)
        and _among(table.column("source"), SOURCES)
    )


def _least_and_greatest(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    times = table.column(name).cast(pa.int64()).to_numpy()
    return np.array([times.min(), times.max()])


def _positive(values: npt.NDArray[np.float64]) -> bool:
    """Tell whether all are finite and above 0; a NaN makes both comparisons false."""
    return bool(values.min() > 0) and bool(values.max() < np.inf)


def _among(column: pa.ChunkedArray, texts: Sequence[str]) -> bool:
    try:
        store_schema.codes(column, texts, "")
    except WorkError:
        return False
    return True

"""The views that SQL sees over the lake's files: their columns, and what of the lake each of them reads.

What is answered, and what is refused, is query.py; which files a statement can need is pruning.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from trading_platform.domain.errors import QueryError
from trading_platform.store.fs.layout import KEYS, DataDir
from trading_platform.store.lake.duckdb_statements import NO_RECEIVE_TIME, escape, quoted, run
from trading_platform.store.sql import pruning
from trading_platform.store.sql.pruning import Node

if TYPE_CHECKING:
    import pyarrow as pa

Outputs = Callable[[], Sequence[str]]


_TIME, _FLOAT = "TIMESTAMP_NS", "DOUBLE"


def _columns(text: str) -> dict[str, str]:
    """Return name to type of columns written as ``name type``."""
    return dict(column.split() for column in text.split(","))


class View(NamedTuple):
    """A view's columns in the files, name to DuckDB's type, and the folders' keys.

    In words, not as Arrow schemas (a test compares them): importing Arrow takes longer than most answers.
    """

    shape: dict[str, str]
    keys: tuple[str, ...] = ()


_FIRST = ("venue", "symbol", "timeframe")
"""Keys that a view begins with; the others end it."""

_COMPUTED = f"ts_open {_TIME}, ts_close {_TIME}"
VIEWS = {
    "ticks": View(
        _columns(
            f"trade_id BIGINT, trade_uid VARCHAR, epoch SMALLINT, ts_event {_TIME}, ts_recv {_TIME},"
            " price DOUBLE, quantity DOUBLE, side VARCHAR, source VARCHAR"
        ),
        KEYS["ticks"],
    ),
    "bars": View(
        _columns(
            f"{_COMPUTED}, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE, quote_volume DOUBLE,"
            " taker_buy_volume DOUBLE, taker_buy_quote_volume DOUBLE, trade_count BIGINT, vwap DOUBLE,"
            " complete BOOLEAN, proof VARCHAR"
        ),
        KEYS["bars"],
    ),
    "indicators": View(_columns(f"{_COMPUTED}, complete BOOLEAN"), KEYS["indicators"]),
    "regimes": View(
        _columns(
            f"{_COMPUTED}, state TINYINT, label VARCHAR, p_0 DOUBLE, p_1 DOUBLE, p_2 DOUBLE, p_3 DOUBLE, p_4 DOUBLE,"
            " change_probability DOUBLE, model_version VARCHAR"
        ),
        KEYS["regimes"],
    ),
}
COVERAGE = View(_columns(f"venue VARCHAR, symbol VARCHAR, ts_from {_TIME}, ts_to {_TIME}, state VARCHAR"))
"""The view `coverage`, which is made of rows."""

_TIMES = {"ticks": ("ts_event", "ts_event_ns"), "bars": ("ts_open", "ts_close")}
"""Columns of a view whose times lie within the folder's day, or at its end."""


class Wanted(NamedTuple):
    """What a statement wants of the views.

    Attributes
    ----------
    tree : the statement as parsed.
    outputs : called for the columns of indicators where no file says them.
    as_of_ns : show only trades received by then.
    pruned : whether files that it can't need may be left out.
    """

    tree: Node
    outputs: Outputs
    as_of_ns: int | None = None
    pruned: bool = True


def create_coverage(db: duckdb.DuckDBPyConnection, rows: pa.Table | None) -> None:
    """Make the view `coverage` of its rows, or of none."""
    if rows is None:
        run(db, f"CREATE TABLE coverage AS {_select(_nothing(COVERAGE.shape), COVERAGE)}")
        return
    db.register("_rows", rows)
    run(db, f"CREATE TABLE coverage AS {_select('_rows', COVERAGE)}")
    db.unregister("_rows")


def _nothing(columns: dict[str, str]) -> str:
    """Return a source of these columns without a row."""
    nulls = ", ".join(f"NULL::{kind} AS {name}" for name, kind in columns.items())
    return f"(SELECT {nulls} WHERE false)"


def _files(db: duckdb.DuckDBPyConnection, data: DataDir, name: str, wanted: Wanted) -> list[Path] | None:
    """Return the files that the statement can need, None for all."""
    if not wanted.pruned or wanted.as_of_ns is not None:
        return None
    times = _TIMES.get(name, ("ts_open", "ts_close"))
    dataset = pruning.Dataset(name, data.lake.resolve() / name, KEYS[name], times)
    if name != "indicators":
        return pruning.files(db, wanted.tree, dataset)
    # Its columns are those of all files: only where each is named, and named in files that are read, is it the same.
    if pruning.takes_rows(wanted.tree) or pruning.tables(wanted.tree) != {name}:
        return None
    return pruning.files(db, wanted.tree, dataset) or None


def create(db: duckdb.DuckDBPyConnection, data: DataDir, name: str, wanted: Wanted) -> bool:
    """Make a view; return whether it reads listed files, and does not list them itself."""
    view, as_of_ns = VIEWS[name], wanted.as_of_ns if name == "ticks" else None
    files = _files(db, data, name, wanted._replace(as_of_ns=as_of_ns))
    parts = "/".join(f"{key}=*" for key in view.keys)
    some = next((data.lake / name).glob(f"{parts}/{name}.parquet"), None) if files is None else next(iter(files), None)
    if some is None:
        further = dict.fromkeys(wanted.outputs() if name == "indicators" else (), _FLOAT)
        keys = {key: "DATE" if key == "date" else "VARCHAR" for key in view.keys}
        run(db, f"CREATE TABLE {name} AS {_select(_nothing({**view.shape, **further, **keys}), view)}")
        return True
    if files is None:
        pattern = quoted(f"{escape(str(data.lake.resolve()))}/{name}/{parts}/{name}.parquet")
    else:
        pattern = f"[{', '.join(quoted(escape(str(file))) for file in files)}]"
    types = ", ".join(f"{quoted(key)}: {'DATE' if key == 'date' else 'VARCHAR'}" for key in view.keys)
    # Files of different settings have different outputs. As of an instant a file without ts_recv must be noticed.
    union = str(name == "indicators" or as_of_ns is not None).lower()
    source = f"read_parquet({pattern}, hive_partitioning = true, hive_types = {{{types}}}, union_by_name = {union})"
    untold = f"error({quoted(NO_RECEIVE_TIME)})"
    unknown = f"CASE WHEN ts_recv IS NULL THEN {untold} ELSE epoch_ns(ts_recv) <= {as_of_ns} END"
    where = "" if as_of_ns is None else f" WHERE {unknown}"
    try:
        run(db, f"CREATE VIEW {name} AS {_select(source, view)}{where}")
    except duckdb.BinderException as error:
        if as_of_ns is None or "ts_recv" not in str(error):
            raise
        raise QueryError(f"ticks: {NO_RECEIVE_TIME}") from error
    return files is not None


def _select(source: str, view: View) -> str:
    """Return the SELECT of a view: venue, symbol and timeframe, what the files hold, the other keys.

    Times become TIMESTAMPTZ, and NaN null.
    """
    shape = view.shape
    times = [name for name, kind in shape.items() if kind == _TIME]
    # Not everything takes a TIMESTAMPTZ_NS: minus, age and epoch_ms, for example, do not.
    # A cast would round, and a trade of 23:59:59.9999999 would move to the next day.
    replaced = {name: f"make_timestamptz(epoch_ns({name}) // 1000)" for name in times}
    further = ""
    if view is not VIEWS["ticks"]:  # a price or quantity is never NaN: every day of trades has passed a gate
        replaced |= {name: _number(name) for name, kind in shape.items() if kind == _FLOAT}
    if view is VIEWS["indicators"]:
        outputs = f"COLUMNS(* EXCLUDE ({', '.join([*shape, *view.keys])}))"
        further = f", {_number(outputs)}"
    first = [key for key in _FIRST if key in view.keys]
    named = [f"{replaced[name]} AS {name}" if name in replaced else name for name in shape]
    exact = [f"epoch_ns({name}) AS {name}_ns" for name in times] if view is VIEWS["ticks"] else []
    columns = ", ".join([*first, *named]) + further
    last = "".join(f", {key}" for key in [*exact, *(key for key in view.keys if key not in first)])
    return f"SELECT {columns}{last} FROM {source}"  # noqa: S608  made of our own names; paths are quoted by _text


def _number(column: str) -> str:
    # Not nullif: in DuckDB 2 NaN equals nothing.
    return f"CASE WHEN isnan({column}) THEN NULL ELSE {column} END"

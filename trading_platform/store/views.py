"""The views that SQL sees over the lake's files: their columns, and what of the lake each of them reads.

What is answered, and what is refused, is sql.py; which files a statement can need is pruning.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from trading_platform.domain.errors import QueryError
from trading_platform.store import pruning
from trading_platform.store import schema as shapes
from trading_platform.store.layout import KEYS, DataDir
from trading_platform.store.pruning import Node
from trading_platform.store.statements import escape, quoted, run

Outputs = Callable[[], Sequence[str]]


class _View(NamedTuple):
    shape: pa.Schema
    keys: tuple[str, ...]


_FIRST = ("venue", "symbol", "timeframe")
"""Keys that a view begins with; the others end it."""

VIEWS = {
    "ticks": _View(shapes.TICKS, ("venue", "symbol", "date")),
    "bars": _View(shapes.BARS, ("timeframe", "venue", "symbol", "date")),
    "indicators": _View(shapes.indicators([]), ("timeframe", "venue", "symbol", "date")),
    "regimes": _View(shapes.REGIMES, ("model", "timeframe", "venue", "symbol", "date")),
}

COVERAGE = pa.schema([("venue", pa.string()), ("symbol", pa.string()), *shapes.COVERAGE])
"""Columns of the view `coverage`."""


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


def create_coverage(db: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
    """Make the view `coverage` of its rows."""
    db.register("_rows", rows)
    run(db, f"CREATE TABLE coverage AS {_select('_rows', _View(COVERAGE, ()))}")
    db.unregister("_rows")


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
        keys = [(key, pa.date32() if key == "date" else pa.string()) for key in view.keys]
        further = [(output, pa.float64()) for output in wanted.outputs()]
        db.register("_none", pa.schema([*view.shape, *further, *keys]).empty_table())
        run(db, f"CREATE TABLE {name} AS {_select('_none', view)}")
        db.unregister("_none")
        return True
    if files is None:
        pattern = quoted(f"{escape(str(data.lake.resolve()))}/{name}/{parts}/{name}.parquet")
    else:
        pattern = f"[{', '.join(quoted(escape(str(file))) for file in files)}]"
    types = ", ".join(f"{quoted(key)}: {'DATE' if key == 'date' else 'VARCHAR'}" for key in view.keys)
    # Files of different settings have different outputs. As of an instant a file without ts_recv must be noticed.
    union = str(name == "indicators" or as_of_ns is not None).lower()
    source = f"read_parquet({pattern}, hive_partitioning = true, hive_types = {{{types}}}, union_by_name = {union})"
    untold = f"error({quoted(shapes.NO_RECEIVE_TIME)})"
    unknown = f"CASE WHEN ts_recv IS NULL THEN {untold} ELSE epoch_ns(ts_recv) <= {as_of_ns} END"
    where = "" if as_of_ns is None else f" WHERE {unknown}"
    try:
        run(db, f"CREATE VIEW {name} AS {_select(source, view)}{where}")
    except duckdb.BinderException as error:
        if as_of_ns is None or "ts_recv" not in str(error):
            raise
        raise QueryError(f"ticks: {shapes.NO_RECEIVE_TIME}") from error
    return files is not None


def _select(source: str, view: _View) -> str:
    """Return the SELECT of a view: venue, symbol and timeframe, what the files hold, the other keys.

    Times become TIMESTAMPTZ, and NaN null.
    """
    shape = view.shape
    times = [field.name for field in shape if pa.types.is_timestamp(field.type)]
    # Not everything takes a TIMESTAMPTZ_NS: minus, age and epoch_ms, for example, do not.
    # A cast would round, and a trade of 23:59:59.9999999 would move to the next day.
    replaced = {name: f"make_timestamptz(epoch_ns({name}) // 1000)" for name in times}
    further = ""
    if not shape.equals(shapes.TICKS):  # a price or quantity is never NaN: every day of trades has passed a gate
        replaced |= {field.name: _number(field.name) for field in shape if pa.types.is_floating(field.type)}
    if shape.equals(shapes.indicators([])):
        outputs = f"COLUMNS(* EXCLUDE ({', '.join([*shape.names, *view.keys])}))"
        further = f", {_number(outputs)}"
    first = [key for key in _FIRST if key in view.keys]
    named = [f"{replaced[name]} AS {name}" if name in replaced else name for name in shape.names]
    exact = [f"epoch_ns({name}) AS {name}_ns" for name in times] if shape.equals(shapes.TICKS) else []
    columns = ", ".join([*first, *named]) + further
    last = "".join(f", {key}" for key in [*exact, *(key for key in view.keys if key not in first)])
    return f"SELECT {columns}{last} FROM {source}"  # noqa: S608  made of our own names; paths are quoted by _text


def _number(column: str) -> str:
    # Not nullif: in DuckDB 2 NaN equals nothing.
    return f"CASE WHEN isnan({column}) THEN NULL ELSE {column} END"

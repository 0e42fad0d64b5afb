"""The views that SQL sees over the lake's files: their columns, and what of the lake each of them reads.

What is answered, and what is refused, is query.py; which files a statement can need is pruning.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from trading_platform.domain.datasets import DATASETS, Dataset, Kind, columns
from trading_platform.domain.errors import QueryError
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake.duckdb_statements import NO_RECEIVE_TIME, escape, quoted, run
from trading_platform.store.sql import pruning
from trading_platform.store.sql.pruning import Node

if TYPE_CHECKING:
    import pyarrow as pa

Outputs = Callable[[], Sequence[str]]


_TIME, _FLOAT = "TIMESTAMP_NS", "DOUBLE"
_TYPES: dict[Kind, str] = {
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int64": "BIGINT",
    "float64": _FLOAT,
    "bool": "BOOLEAN",
    "text": "VARCHAR",
    "time": _TIME,
}
"""In DuckDB's words, not as Arrow types (a test compares them): importing Arrow takes longer than most answers."""


def _shape(columns: Mapping[str, Kind]) -> dict[str, str]:
    return {name: _TYPES[kind] for name, kind in columns.items()}


class View(NamedTuple):
    """A view's columns in the files, name to DuckDB's type, and the dataset that it shows, if it is one's."""

    shape: dict[str, str]
    dataset: Dataset | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The folders' keys."""
        return () if self.dataset is None else self.dataset.keys


_FIRST = ("venue", "symbol", "timeframe")
"""Keys that a view begins with; the others end it."""

VIEWS = {name: View(_shape(dataset.columns), dataset) for name, dataset in DATASETS.items()}
COVERAGE = View(_shape(columns("venue text, symbol text, ts_from time, ts_to time, state text")))
"""The view `coverage`, which is made of rows."""


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
    of = DATASETS[name]
    dataset = pruning.ViewSource(name, data.lake.resolve() / name, of.keys, of.times)
    if not of.open_ended:
        return pruning.files(db, wanted.tree, dataset)
    # Its columns are those of all files: only where each is named, and named in files that are read, is it the same.
    if pruning.takes_rows(wanted.tree) or pruning.tables(wanted.tree) != {name}:
        return None
    return pruning.files(db, wanted.tree, dataset) or None


def create(db: duckdb.DuckDBPyConnection, data: DataDir, name: str, wanted: Wanted) -> bool:
    """Make a view; return whether it reads listed files, and does not list them itself."""
    view, dataset = VIEWS[name], DATASETS[name]
    as_of_ns = wanted.as_of_ns if "ts_recv" in dataset.columns else None
    files = _files(db, data, name, wanted._replace(as_of_ns=as_of_ns))
    parts = "/".join(f"{key}=*" for key in view.keys)
    some = next((data.lake / name).glob(f"{parts}/{name}.parquet"), None) if files is None else next(iter(files), None)
    if some is None:
        further = dict.fromkeys(wanted.outputs() if dataset.open_ended else (), _FLOAT)
        keys = {key: "DATE" if key == "date" else "VARCHAR" for key in view.keys}
        run(db, f"CREATE TABLE {name} AS {_select(_nothing({**view.shape, **further, **keys}), view)}")
        return True
    if files is None:
        pattern = quoted(f"{escape(str(data.lake.resolve()))}/{name}/{parts}/{name}.parquet")
    else:
        pattern = f"[{', '.join(quoted(escape(str(file))) for file in files)}]"
    types = ", ".join(f"{quoted(key)}: {'DATE' if key == 'date' else 'VARCHAR'}" for key in view.keys)
    # Files of different settings have different outputs. As of an instant a file without ts_recv must be noticed.
    union = str(dataset.open_ended or as_of_ns is not None).lower()
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
    shape, dataset = view.shape, view.dataset
    times = [name for name, kind in shape.items() if kind == _TIME]
    # Not everything takes a TIMESTAMPTZ_NS: minus, age and epoch_ms, for example, do not.
    # A cast would round, and a trade of 23:59:59.9999999 would move to the next day.
    replaced = {name: f"make_timestamptz(epoch_ns({name}) // 1000)" for name in times}
    further = ""
    if (
        dataset is None or not dataset.recorded
    ):  # a price or quantity is never NaN: every day of trades has passed a gate
        replaced |= {name: _number(name) for name, kind in shape.items() if kind == _FLOAT}
    if dataset is not None and dataset.open_ended:
        outputs = f"COLUMNS(* EXCLUDE ({', '.join([*shape, *view.keys])}))"
        further = f", {_number(outputs)}"
    first = [key for key in _FIRST if key in view.keys]
    named = [f"{replaced[name]} AS {name}" if name in replaced else name for name in shape]
    exact = [f"epoch_ns({name}) AS {name}_ns" for name in (dataset.exact if dataset is not None else ())]
    columns = ", ".join([*first, *named]) + further
    last = "".join(f", {key}" for key in [*exact, *(key for key in view.keys if key not in first)])
    return f"SELECT {columns}{last} FROM {source}"  # noqa: S608  made of our own names; paths are quoted by _text


def _number(column: str) -> str:
    # Not nullif: in DuckDB 2 NaN equals nothing.
    return f"CASE WHEN isnan({column}) THEN NULL ELSE {column} END"

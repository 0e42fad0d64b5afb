"""Answer SQL over the lake with DuckDB: read-only, no extensions, no file outside the lake.

DuckDB's own locks keep it inside the lake, but not from writing there: since 2.0 a CTE may hold COPY TO, INSERT,
UPDATE or DELETE, and such a statement calls itself a SELECT. So the parsed statement is walked first: every query
node must be one that reads, every table function one that is known (`query('…')` parses SQL of its own and is not).

What the command prints is commands/query.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from trading_platform.domain.errors import QueryError, WorkError
from trading_platform.store import schema as shapes
from trading_platform.store.layout import DataDir
from trading_platform.store.readers import NO_RECEIVE_TIME

BATCH_ROWS = 100_000

_READING = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_OF_FILES = {"read_parquet", "parquet_scan", "parquet_metadata", "parquet_file_metadata", "parquet_schema", "glob"}
_TABLE_FUNCTIONS = {
    *_OF_FILES,
    *("range", "generate_series", "unnest", "repeat", "repeat_row", "summary", "histogram", "histogram_values"),
    *("duckdb_columns", "duckdb_tables", "duckdb_views", "duckdb_functions", "duckdb_types", "duckdb_keywords"),
    *("json_each", "json_tree", "pragma_table_info", "pragma_version"),
}


class _View(NamedTuple):
    shape: pa.Schema
    keys: tuple[str, ...]


_FIRST = ("venue", "symbol", "timeframe")
"""Keys that a view begins with; the others end it."""

_VIEWS = {
    "ticks": _View(shapes.TICKS, ("venue", "symbol", "date")),
    "bars": _View(shapes.BARS, ("timeframe", "venue", "symbol", "date")),
    "indicators": _View(shapes.indicators([]), ("timeframe", "venue", "symbol", "date")),
    "regimes": _View(shapes.REGIMES, ("model", "timeframe", "venue", "symbol", "date")),
}

COVERAGE = pa.schema([("venue", pa.string()), ("symbol", pa.string()), *shapes.COVERAGE])
"""Columns of the view `coverage`."""


def _no_outputs() -> Sequence[str]:
    return ()


def answer(
    data: DataDir,
    sql: str,
    *,
    coverage: Callable[[], pa.Table],
    outputs: Callable[[], Sequence[str]] = _no_outputs,
    ticks_as_of_ns: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Run one SELECT over the views ``ticks bars indicators regimes coverage`` and yield the rows.

    Times are TIMESTAMPTZ, which DuckDB's functions know; ticks also have `ts_event_ns` and `ts_recv_ns`. What has no
    value is null, in files of older code too, which held NaN: DuckDB orders it above all numbers.

    Parameters
    ----------
    coverage : called for the rows of `coverage` (with the columns of `COVERAGE`) if the text names it.
    outputs : called for the indicator columns if the text names `indicators` and no file says them.
    ticks_as_of_ns : show only trades received by then.

    Yields
    ------
    pyarrow.RecordBatch : at least one, so that the columns are known.

    Raises
    ------
    QueryError : if the SQL is wrong, is no single SELECT, writes, or reads outside the lake; one line.
    """
    for last_try in (False,) * _TRIES + (True,):
        with duckdb.connect(":memory:", config=_CONFIG) as db, _one_line():
            _prepare(db, data, sql, coverage, outputs, ticks_as_of_ns)
            try:
                reader = db.sql(sql).to_arrow_reader(BATCH_ROWS)
                first = next(iter(reader), pa.RecordBatch.from_pylist([], schema=reader.schema))
            except duckdb.Error as error:
                # DuckDB opens a file for its footer, then for its rows; a publisher may have replaced it in between.
                if last_try or type(error) not in _UNREADABLE:
                    raise
                continue
            yield first
            yield from reader
            return


def _prepare(
    db: duckdb.DuckDBPyConnection,
    data: DataDir,
    sql: str,
    coverage: Callable[[], pa.Table],
    outputs: Callable[[], Sequence[str]],
    as_of_ns: int | None,
) -> None:
    """Check the statement, make the views, close the doors."""
    check(db, sql, views_only=as_of_ns is not None)
    for name, view in _VIEWS.items():
        wanted = outputs if name == "indicators" and name in sql.lower() else _no_outputs
        _create(db, data, name, view, wanted, as_of_ns if name == "ticks" else None)
    rows = coverage() if "coverage" in sql.lower() else COVERAGE.empty_table()
    db.register("_rows", rows)
    _run(db, f"CREATE TABLE coverage AS {_select('_rows', _View(COVERAGE, ()))}")
    db.unregister("_rows")
    _lock(db, data)


_TRIES = 3
_UNREADABLE = (duckdb.Error, duckdb.IOException, duckdb.SerializationException, duckdb.InvalidInputException)
_CONFIG: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,  # a Python variable is no table
}


class _one_line:  # noqa: N801  reads as a phrase where it is used
    """Turn DuckDB's errors into one line."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        if isinstance(error, duckdb.OutOfMemoryException | duckdb.InternalException | duckdb.FatalException):
            raise WorkError(f"query: {_first_line(error)}") from error
        if isinstance(error, duckdb.Error) and NO_RECEIVE_TIME in str(error):
            raise QueryError(f"ticks: {NO_RECEIVE_TIME}") from error
        if error is not None and type(error) in {duckdb.Error, duckdb.SerializationException}:
            raise WorkError(f"a file of the lake cannot be read ({_first_line(error)}); see: verify") from error
        if isinstance(error, duckdb.PermissionException):
            raise QueryError(f"a query reads nothing outside the lake: {_first_line(error)}") from error
        if isinstance(error, duckdb.Error):
            raise QueryError(_with_hint(error)) from error


def _with_hint(error: BaseException) -> str:
    """Return DuckDB's first line and what it takes for meant, which stands on a line of its own."""
    hints = [line.strip() for line in str(error).splitlines() if line.startswith(("Did you mean", "Candidate"))]
    first = _first_line(error)
    return " ".join([first, *(" ".join(hint.replace(": :", ":").split()) for hint in hints if hint != first)])


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def check_text(sql: str, *, views_only: bool = False) -> None:
    """Refuse what is not exactly one statement that only reads; see `check`."""
    with duckdb.connect(":memory:", config=_CONFIG) as db, _one_line():
        check(db, sql, views_only=views_only)


def check(db: duckdb.DuckDBPyConnection, sql: str, *, views_only: bool = False) -> None:
    """Refuse what is not exactly one statement that only reads.

    Parameters
    ----------
    views_only : as of an instant: the lake's own files, which hold what came later, are not read past the views.

    Raises
    ------
    QueryError : saying what was found.
    """
    if "\0" in sql:
        raise QueryError("the SQL holds a NUL character")
    statements = db.extract_statements(sql)
    if len(statements) != 1:
        raise QueryError(f"give one SELECT, not {len(statements)} statements")
    row = _run(db, "SELECT json_serialize_sql(?)", [sql])
    tree = json.loads(row[0][0])
    if tree["error"]:
        found = statements[0].type.name.replace("_", " ")
        raise QueryError(f"only SELECT is answered here, not {found}: the lake is read, never written")
    for node in _dicts(tree):
        kind = str(node.get("type", ""))
        if kind.endswith("_NODE") and kind not in _READING:
            raise QueryError(
                f"only SELECT is answered here, not {kind.removesuffix('_QUERY_NODE')}: the lake is read, never written"
            )
        if kind == "TABLE_FUNCTION":
            name = str(node.get("function", {}).get("function_name", "")).lower()
            if name not in _TABLE_FUNCTIONS:
                raise QueryError(f"table function {name!r} is not allowed here")
            if views_only and name in _OF_FILES:
                raise QueryError(f"as of a time only views are read, not files by {name}: they hold what came later")
        if views_only and kind == "BASE_TABLE" and _is_file(str(node.get("table_name", ""))):
            raise QueryError("as of a time only views are read, not files: they hold what came later")


def _is_file(name: str) -> bool:
    return "/" in name or ".parquet" in name.lower()


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    stack = [value]
    while stack:
        top = stack.pop()
        if isinstance(top, dict):
            yield top
            stack.extend(top.values())
        elif isinstance(top, list):
            stack.extend(top)


def _create(
    db: duckdb.DuckDBPyConnection,
    data: DataDir,
    name: str,
    view: _View,
    outputs: Callable[[], Sequence[str]],
    as_of_ns: int | None,
) -> None:
    parts = "/".join(f"{key}=*" for key in view.keys)
    if next((data.lake / name).glob(f"{parts}/{name}.parquet"), None) is None:
        keys = [(key, pa.date32() if key == "date" else pa.string()) for key in view.keys]
        further = [(output, pa.float64()) for output in outputs()]
        db.register("_none", pa.schema([*view.shape, *further, *keys]).empty_table())
        _run(db, f"CREATE TABLE {name} AS {_select('_none', view)}")
        db.unregister("_none")
        return
    pattern = _text(f"{_escape(str(data.lake.resolve()))}/{name}/{parts}/{name}.parquet")
    types = ", ".join(f"{_text(key)}: {'DATE' if key == 'date' else 'VARCHAR'}" for key in view.keys)
    # Files of different settings have different outputs. As of an instant a file without ts_recv must be noticed.
    union = str(name == "indicators" or as_of_ns is not None).lower()
    source = f"read_parquet({pattern}, hive_partitioning = true, hive_types = {{{types}}}, union_by_name = {union})"
    unknown = f"CASE WHEN ts_recv IS NULL THEN error({_text(NO_RECEIVE_TIME)}) ELSE epoch_ns(ts_recv) <= {as_of_ns} END"
    where = "" if as_of_ns is None else f" WHERE {unknown}"
    try:
        _run(db, f"CREATE VIEW {name} AS {_select(source, view)}{where}")
    except duckdb.BinderException as error:
        if as_of_ns is None or "ts_recv" not in str(error):
            raise
        raise QueryError(f"ticks: {NO_RECEIVE_TIME}") from error


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


def _lock(db: duckdb.DuckDBPyConnection, data: DataDir) -> None:
    _run(db, "SET TimeZone = 'UTC'")
    _run(db, "SET temp_directory = ''")
    lake = str(data.lake.resolve())
    # A pattern is compared as it is written, what it finds as it is called.
    allowed = ", ".join(_text(f"{path}/") for path in sorted({lake, _escape(lake)}))
    _run(db, f"SET allowed_directories = [{allowed}]")
    _run(db, "SET enable_external_access = false")
    _run(db, "SET lock_configuration = true")


def _run(db: duckdb.DuckDBPyConnection, text: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    # A result that is not read to its end keeps the connection busy.
    return db.execute(text, list(values)).fetchall()


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _escape(path: str) -> str:
    """Keep a folder's own brackets and stars from being a pattern."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)

"""Answer SQL over the lake with DuckDB: read-only, no extensions, no file outside the lake.

DuckDB's own locks keep it inside the lake, but not from writing there: since 2.0 a CTE may hold COPY TO, INSERT,
UPDATE or DELETE, and such a statement calls itself a SELECT. So the parsed statement is walked first: every query
node must be one that reads, every table function one that is known (`query('…')` parses SQL of its own and is not).

What the command prints is commands/query.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.errors import QueryError, WorkError
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake.duckdb_statements import NO_RECEIVE_TIME, escape, quoted, run
from trading_platform.store.sql import pruning
from trading_platform.store.sql.pruning import Node

if TYPE_CHECKING:
    import pyarrow as pa

# No Arrow at import: a query without a view, and one with a short answer from few files, does without it.

BATCH_ROWS = 100_000

_READING = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_OF_FILES = {"read_parquet", "parquet_scan", "parquet_metadata", "parquet_file_metadata", "parquet_schema", "glob"}
_TABLE_FUNCTIONS = {
    *_OF_FILES,
    *("range", "generate_series", "unnest", "repeat", "repeat_row", "summary", "histogram", "histogram_values"),
    *("duckdb_columns", "duckdb_tables", "duckdb_views", "duckdb_functions", "duckdb_types", "duckdb_keywords"),
    *("json_each", "json_tree", "pragma_table_info", "pragma_version"),
}


def _no_outputs() -> Sequence[str]:
    return ()


def answer(
    data: DataDir,
    sql: str,
    *,
    coverage: Callable[[], pa.Table] | None = None,
    outputs: Callable[[], Sequence[str]] = _no_outputs,
    ticks_as_of_ns: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Run one SELECT over the views, one a dataset and ``coverage``, and the schema ``marts``, and yield the rows.

    Times are TIMESTAMPTZ, which DuckDB's functions know; ticks also have `ts_event_ns` and `ts_recv_ns`. What has no
    value is null, in files of older code too, which held NaN: DuckDB orders it above all numbers.

    Parameters
    ----------
    coverage : called for the rows of `coverage` (with the columns of `schema.COVERAGE_OF_ALL`) if it is named.
    outputs : called for the indicator columns if the text names `indicators` and no file says them.
    ticks_as_of_ns : show only trades received by then.

    Yields
    ------
    pyarrow.RecordBatch : at least one, so that the columns are known.

    Raises
    ------
    QueryError : if the SQL is wrong, is no single SELECT, writes, or reads outside the lake; one line.
    """
    tries, pruned = 0, True
    while True:
        with duckdb.connect(":memory:", config=CONFIG) as db, _one_line():
            tree = check_statement(db, sql, views_only=ticks_as_of_ns is not None)
            _prepare(db, data, sql, tree, coverage, outputs, ticks_as_of_ns, pruned=pruned)
            try:
                reader = db.sql(sql).to_arrow_reader(BATCH_ROWS)
                first = next(iter(reader), None) or _no_rows(reader.schema)
            except duckdb.BinderException:
                # Of these a column may be in files that were left out.
                if not pruned or not any(name in sql.lower() for name in _OPEN_ENDED):
                    raise
                pruned = False
                continue
            except duckdb.Error as error:
                # DuckDB opens a file for its footer, then for its rows; a publisher may have replaced it in between.
                tries += 1
                if tries > _TRIES or type(error) not in _UNREADABLE:
                    raise
                continue
            yield first
            yield from reader
            return


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    # Not from_pylist, nor pa.array: they import pandas.
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


class ShortAnswer(NamedTuple):
    """A short answer of plain values: numbers (some Decimal), texts, truths, dates, None.

    `numbers`: which columns are numbers.
    """

    names: list[str]
    numbers: list[bool]
    rows: list[tuple[Any, ...]]


def few(data: DataDir, sql: str, most: int = 10_000) -> ShortAnswer | None:
    """Return the answer of a SELECT if it has up to `most` rows of plain values, found without listing the lake.

    None if it has not, or anything is wrong with it: `answer` does it then, and says what.
    """
    with duckdb.connect(":memory:", config=CONFIG) as db:
        try:
            tree = check_statement(db, sql)
            named = pruning.tables(tree)
            if named - (set(DATASETS) - _OPEN_ENDED) or tree["statements"][0]["node"]["type"] != "SELECT_NODE":
                return None
            if not _prepare(db, data, sql, tree, None, _no_outputs, None, pruned=True):
                return None
            relation = db.sql(sql)
            names, kinds = list(relation.columns), [str(kind) for kind in relation.types]
            if not all(kind in _PLAIN or kind.startswith("DECIMAL(") for kind in kinds):
                return None
            rows = relation.limit(most + 1).fetchall()
        except (duckdb.Error, QueryError):
            return None
    numbers = [kind not in _NO_NUMBERS for kind in kinds]
    return None if len(rows) > most else ShortAnswer(names, numbers, rows)


_NO_NUMBERS = {"BOOLEAN", "VARCHAR", "DATE", '"NULL"'}
_PLAIN = {
    *_NO_NUMBERS,
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
    *("FLOAT", "DOUBLE"),
}


def _prepare(
    db: duckdb.DuckDBPyConnection,
    data: DataDir,
    sql: str,
    tree: Node,
    coverage: Callable[[], pa.Table] | None,
    outputs: Callable[[], Sequence[str]],
    as_of_ns: int | None,
    *,
    pruned: bool,
) -> bool:
    """Make the views that are needed, close the doors; return whether no view lists its files itself."""
    run(db, "SET TimeZone = 'UTC'")
    listed = True
    if MARTS in pruning.schemas(tree):
        _add_marts(db, data)
    names = needed(tree)
    if names:
        from trading_platform.store.sql import views

        wanted = views.Wanted(tree, outputs, as_of_ns, pruned)
        for name in names:
            if name != "coverage":
                listed &= views.create(db, data, name, wanted)
        if "coverage" in names:
            views.create_coverage(db, None if coverage is None or "coverage" not in sql.lower() else coverage())
    _lock(db, data)
    return listed


def _add_marts(db: duckdb.DuckDBPyConnection, data: DataDir) -> None:
    """Show the tables of the published warehouse; a build puts another file in its place, and never waits for this."""
    if not data.warehouse.exists():
        raise QueryError("no warehouse is built yet; dbt build --project-dir dbt --profiles-dir dbt makes its marts")
    run(db, f"ATTACH {quoted(str(data.warehouse))} AS warehouse (READ_ONLY)")
    run(db, f"CREATE SCHEMA {MARTS}")
    tables = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'warehouse' AND schema_name = ?"
    for (name,) in run(db, tables, [MARTS]):
        place = '"' + str(name).replace('"', '""') + '"'
        run(db, f"CREATE VIEW {MARTS}.{place} AS FROM warehouse.{MARTS}.{place}")


MARTS = "marts"
"""The schema with the marts of the warehouse."""

_VIEWS = (*DATASETS, "coverage")
_OPEN_ENDED = {name for name, dataset in DATASETS.items() if dataset.open_ended}
_UNDATED = {name for name, dataset in DATASETS.items() if not dataset.dated}


def _entries(node: Node) -> list[Node]:
    """Return the named queries of a WITH."""
    entries = node.get("map")
    return [each for each in entries if isinstance(each, dict) and "key" in each] if isinstance(entries, list) else []


def _own(tree: Node) -> set[str]:
    """Return the names that the statement gives to queries of its own."""
    return {str(entry["key"]).lower() for node in pruning.dicts(tree) for entry in _entries(node)}


def needed(tree: Node) -> Sequence[str]:
    """Return the views that a statement names; all of them where it may look at what there is, or errs in a name."""
    named = pruning.tables(tree)
    own = _own(tree)
    looks = any(node.get("type") in {"TABLE_FUNCTION", "SHOW_REF"} for node in pruning.dicts(tree))
    if looks or named - own - set(_VIEWS):
        return _VIEWS
    return [name for name in _VIEWS if name in named]


_TRIES = 3
_UNREADABLE = (duckdb.Error, duckdb.IOException, duckdb.SerializationException, duckdb.InvalidInputException)
CONFIG: dict[str, Any] = {
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
    with duckdb.connect(":memory:", config=CONFIG) as db, _one_line():
        check_statement(db, sql, views_only=views_only)


def check_statement(db: duckdb.DuckDBPyConnection, sql: str, *, views_only: bool = False) -> Node:
    """Refuse what is not exactly one statement that only reads; return it as parsed.

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
    row = run(db, "SELECT json_serialize_sql(?)", [sql])
    tree: Node = json.loads(row[0][0])
    if tree["error"]:
        found = statements[0].type.name.replace("_", " ")
        raise QueryError(f"only SELECT is answered here, not {found}: the lake is read, never written")
    undated = [name for name in sorted(pruning.tables(tree) - _own(tree)) if name in _UNDATED]
    if views_only and undated:
        raise QueryError(f"{undated[0]} as of a time cannot be told: their rows do not say when they were received")
    for node in pruning.dicts(tree):
        _check_node(node, views_only=views_only)
    return tree


def _check_node(node: Node, *, views_only: bool) -> None:
    """Refuse a part of a statement that writes, or reads what may not be read."""
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
    if views_only and kind == "BASE_TABLE" and MARTS in pruning.schemas(node):
        raise QueryError("as of a time only views are read, not marts: they hold what came later")
    if views_only and kind == "BASE_TABLE" and _is_file(str(node.get("table_name", ""))):
        raise QueryError("as of a time only views are read, not files: they hold what came later")


def _is_file(name: str) -> bool:
    return "/" in name or ".parquet" in name.lower()


def _lock(db: duckdb.DuckDBPyConnection, data: DataDir) -> None:
    run(db, "SET temp_directory = ''")
    lake = str(data.lake.resolve())
    # A pattern is compared as it is written, what it finds as it is called.
    allowed = ", ".join(quoted(f"{path}/") for path in sorted({lake, escape(lake)}))
    run(db, f"SET allowed_directories = [{allowed}]")
    run(db, "SET enable_external_access = false")
    run(db, "SET lock_configuration = true")

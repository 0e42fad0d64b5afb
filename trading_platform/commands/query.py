"""``query``: run SQL over the lake and print the rows. Checking and running the SQL is store/sql/query.py."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from trading_platform.commands.support.arguments import to_json
from trading_platform.commands.support.tables import aligned, cell, number, width_of
from trading_platform.domain.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from trading_platform.settings import Settings
    from trading_platform.store.sql.query import ShortAnswer

Rows = Sequence[tuple[Any, ...]]
"""Rows of JSON-compatible values."""

EXAMPLE = 'trading-platform query "SELECT symbol, date, count(*) FROM ticks GROUP BY ALL ORDER BY ALL"'
QUICK = True  # usually needs only the data directory of the settings
FORMATS = ("table", "csv", "json", "parquet")
TABLE_ROWS = 10_000
"""Most rows of a table for a person, which then says so; the other formats print every row."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the SQL, ``--as-of`` and ``--format``."""
    parser.add_argument(
        "sql",
        metavar="SQL",
        help="one SELECT over ticks, bars, indicators, regimes, coverage; marts.NAME for those that dbt built",
    )
    parser.add_argument("--as-of", metavar="T", help="answer as of this time (2024-08-08T23:55:00)")
    parser.add_argument(
        "--source", choices=("lake", "database"), default="lake", help="where the rows come from; they are the same"
    )
    parser.add_argument("--format", choices=FORMATS, default=None, help="how to print (default: table)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run the query and print its rows on stdout."""
    if args.json and args.format not in {None, "json"}:
        raise UsageError(f"--json and --format {args.format} exclude each other")
    form = "json" if args.json else args.format or "table"
    if form == "parquet" and sys.stdout.isatty():
        raise UsageError("--format parquet writes bytes; send it to a file: … --format parquet > rows.parquet")
    short = _short(args, settings, form)
    if short is not None:
        rows = [tuple(map(number, row)) for row in short.rows]
        WRITERS[form](short.names, short.numbers, iter([rows]))
        return 0
    batches = _answer(args, settings)
    first = next(batches)  # any error of the SQL itself is raised before anything is printed
    import pyarrow as pa

    try:
        if form == "parquet":
            _write_parquet(first.schema, chain([first], batches))
        else:
            numbers = [_is_number(kind) for kind in first.schema.types]
            WRITERS[form](list(first.schema.names), numbers, _chunks(chain([first], batches)))
    except (OverflowError, pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise UsageError(f"a value cannot be written as {form}: {error}; cast it in the SQL") from None
    return 0


def _short(args: argparse.Namespace, settings: Settings, form: str) -> ShortAnswer | None:
    """Answer without Arrow and the ledger if possible: importing them takes longer than a short query."""
    if form == "parquet" or args.as_of is not None or args.source != "lake":
        return None
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.sql import query as sql

    return sql.few(DataDir(settings.data_dir), args.sql, TABLE_ROWS)


def _answer(args: argparse.Namespace, settings: Settings) -> Iterator[pa.RecordBatch]:
    text = args.sql.lower()
    if args.source == "lake" and args.as_of is None and "coverage" not in text and "indicators" not in text:
        from trading_platform.store.fs.layout import DataDir
        from trading_platform.store.sql import query as sql

        return sql.answer(DataDir(settings.data_dir), args.sql)
    from trading_platform.api.readers import answer  # the ledger, and what computes

    return answer(args.sql, as_of=args.as_of, settings=settings, source=args.source)


def _chunks(batches: Iterator[pa.RecordBatch]) -> Iterator[Rows]:
    from trading_platform.commands.support.cells import as_values

    for batch in batches:
        yield list(zip(*as_values(batch), strict=True))


def _write_table(names: Sequence[str], right: Sequence[bool], chunks: Iterator[Rows]) -> None:
    rows: list[list[str]] = []
    total = 0
    for chunk in chunks:
        rows += [list(map(cell, row)) for row in chunk[: max(0, TABLE_ROWS - len(rows))]]
        total += len(chunk)
    columns = [aligned([name, *(row[at] for row in rows)], right=right[at]) for at, name in enumerate(names)]
    head, *lines = ("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))
    print(head)
    print("  ".join("─" * width_of(column[0]) for column in columns))
    for line in lines:
        print(line)
    print(f"({total} row{'' if total == 1 else 's'})", file=sys.stderr)
    if total > len(rows):
        print(f"only the first {len(rows)} are shown; --format csv prints all", file=sys.stderr)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _write_csv(names: Sequence[str], _right: Sequence[bool], chunks: Iterator[Rows]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for chunk in chunks:
        writer.writerows(map(cell, row) for row in chunk)


def _write_json(names: Sequence[str], _right: Sequence[bool], chunks: Iterator[Rows]) -> None:
    names = _unique(names)
    separator = "["
    for chunk in chunks:
        for row in chunk:
            sys.stdout.write(separator + to_json(dict(zip(names, row, strict=True))))
            separator = ",\n "
    sys.stdout.write("]\n" if separator != "[" else "[]\n")


def _unique(names: Sequence[str]) -> list[str]:
    """Return the names made unique for a JSON object: a repeated one gets a number."""
    return [name if name not in names[:at] else f"{name}_{at + 1}" for at, name in enumerate(names)]


def _write_parquet(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    from pyarrow import parquet

    with parquet.ParquetWriter(sys.stdout.buffer, schema, compression="zstd", write_page_checksum=True) as writer:
        for batch in batches:
            if batch.num_rows:
                writer.write_batch(batch)


WRITERS: dict[str, Callable[[Sequence[str], Sequence[bool], Iterator[Rows]], None]] = {
    "table": _write_table,
    "csv": _write_csv,
    "json": _write_json,
}

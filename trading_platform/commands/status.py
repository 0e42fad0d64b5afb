"""``status``: the completeness ledger for people and programs. What the states mean is store/ledger."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from trading_platform.commands.support.arguments import to_json
from trading_platform.commands.support.tables import column_table
from trading_platform.domain.days import day_of

if TYPE_CHECKING:
    from trading_platform.completeness.day_status import DayTable, Run
    from trading_platform.settings import Settings
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger

EXAMPLE = "trading-platform status --days"
NOTHING = "nothing is recorded yet"
DAY_COLUMNS = "venue symbol day first_id last_id expected stored void open unrecoverable state".split()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--days``."""
    parser.add_argument("--days", action="store_true", help="one row a day")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the ledger by symbol, or by day."""
    from trading_platform.commands.support import runtime

    data = runtime.existing(settings)
    ledger = runtime.open_ledger(data, settings)
    lines = _by_day(ledger, args) if args.days else _by_symbol(data, ledger, args)
    print(lines, flush=True)
    return 0


def _by_day(ledger: Ledger, args: argparse.Namespace) -> str:
    columns = _day_columns(_days(ledger))
    if args.json:
        # Only texts, numbers and null: json takes them as they are, a year of a thousand symbols in half a second.
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return json.dumps(rows, ensure_ascii=False, allow_nan=False)
    return column_table(columns) if columns["day"] else NOTHING


def _days(ledger: Ledger) -> DayTable:
    from trading_platform.completeness.day_status import day_table

    with ledger.snapshot() as now:
        return day_table(now.sequences, now.days, now.ids, day_of(time.time_ns()))


def _day_columns(days: DayTable) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {name: [] for name in DAY_COLUMNS}
    values = zip(*days.rows(), strict=True)
    return {name: list(next(values, ())) for name in columns}


class _Symbol(NamedTuple):
    """What is printed of one sequence, in this order."""

    venue: str
    symbol: str
    epoch: int
    from_id: int
    head: int
    tail: str
    expected: int
    stored: int
    void: int
    open: int
    open_gaps: int
    unrecoverable: int
    conflicts: int
    quarantined: dict[str, int]
    runs: Sequence[Run]


def _by_symbol(data: DataDir, ledger: Ledger, args: argparse.Namespace) -> str:
    symbols = list(_symbols(data, ledger))
    if args.json:
        return to_json([{**symbol._asdict(), "runs": [_run(run) for run in symbol.runs]} for symbol in symbols])
    return "\n\n".join(map(_text, symbols)) or NOTHING


def _symbols(data: DataDir, ledger: Ledger) -> Iterator[_Symbol]:
    from trading_platform.completeness.day_status import day_table, runs
    from trading_platform.ingest.recovery.open_tails import unknown_ends

    with ledger.snapshot() as now:
        rows, ids = now.sequences, now.ids
        days = day_table(rows, now.days, ids, day_of(time.time_ns()))
        conflicts, quarantined = now.conflicts(), now.quarantined()
    joined = runs(days)
    totals = {kind: spans.total().tolist() for kind, spans in ids.items()}
    gaps = ids["open"].counts().tolist()
    ends = {(row.venue, row.symbol, row.epoch) for row in unknown_ends(data, rows)}
    for at, row in enumerate(rows):
        pair = (row.venue, row.symbol)
        tail = "open" if (*pair, row.epoch) in ends else row.tail
        yield _Symbol(
            *row[:5],
            tail,
            row.head - row.from_id + 1,
            totals["stored"][at],
            totals["void"][at],
            totals["open"][at],
            gaps[at] + (tail == "open"),
            totals["unrecoverable"][at],
            conflicts[pair],
            quarantined.get(pair, {}),
            joined.get(pair, ()),
        )


def _run(run: Run) -> dict[str, object]:
    return dict(zip(("from", "to", "days", "state", "stored", "expected"), run, strict=True))


def _text(symbol: _Symbol) -> str:
    epoch = f" epoch {symbol.epoch}" if symbol.epoch else ""
    lines = [
        f"{symbol.venue} {symbol.symbol}{epoch}: {symbol.stored:,} of {symbol.expected:,} ids held,"
        f" {symbol.void:,} void, {symbol.open:,} open, {symbol.unrecoverable:,} unrecoverable;"
        f" ids {symbol.from_id}..{symbol.head}, tail {symbol.tail}"
    ]
    if symbol.quarantined:
        lines.append("  quarantined: " + ", ".join(f"{count:,} {kind}" for kind, count in symbol.quarantined.items()))
    if symbol.conflicts:
        lines.append(f"  conflicts: {symbol.conflicts:,}")
    for first, last, _, state, stored, expected in symbol.runs:
        span = first if first == last else f"{first} .. {last}"
        held = f"{stored:,}" if expected is None else f"{stored:,} of {expected:,}"
        lines.append(f"  {span:<24}  {state:<10}  {held} trades")
    return "\n".join(lines)

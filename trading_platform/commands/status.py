"""``status``: the completeness ledger for people and programs. What the states mean is store/ledger."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from trading_platform.commands.common import emit
from trading_platform.commands.tables import table

if TYPE_CHECKING:
    from trading_platform.settings import Settings
    from trading_platform.store.ledger import DayStatus, Ledger, SequenceRow

EXAMPLE = "trading-platform status --days"
DAY_COLUMNS = "venue symbol day first_id last_id expected stored void open unrecoverable state".split()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--days``."""
    parser.add_argument("--days", action="store_true", help="one row a day")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the ledger by symbol, or by day."""
    from trading_platform.commands import runtime
    from trading_platform.ingest.recovery import open_tails

    data = runtime.existing(settings)
    ledger = runtime.open_ledger(data, settings)
    days = ledger.day_report(time.time_ns())
    if args.days:
        rows = [row._asdict() for row in days]
        emit(args, rows, table(rows, DAY_COLUMNS) if rows else "nothing is recorded yet")
        return 0
    unknown_ends = {(row.venue, row.symbol, row.epoch) for row in open_tails(data, ledger)}
    symbols = [_symbol(ledger, row, days, unknown_ends) for row in ledger.sequences()]
    emit(args, symbols, "\n\n".join(map(_text, symbols)) or "nothing is recorded yet")
    return 0


def _symbol(
    ledger: Ledger, row: SequenceRow, days: Sequence[DayStatus], unknown_ends: set[tuple[str, str, int]]
) -> dict[str, object]:
    state = ledger.state(row.venue, row.symbol, row.epoch)
    mine = [day for day in days if (day.venue, day.symbol) == (row.venue, row.symbol)]
    tail = "open" if (row.venue, row.symbol, row.epoch) in unknown_ends else row.tail
    missing = state.open()
    return {
        "venue": row.venue,
        "symbol": row.symbol,
        "epoch": row.epoch,
        "from_id": row.from_id,
        "head": row.head,
        "tail": tail,
        "expected": row.head - row.from_id + 1,
        "stored": len(state.stored),
        "void": len(state.void),
        "open": sum(last - first + 1 for first, last in missing),
        "open_gaps": len(missing) + (tail == "open"),
        "unrecoverable": len(state.unrecoverable),
        "conflicts": len(ledger.conflicts(row.venue, row.symbol)),
        "quarantined": _quarantined(ledger, row),
        "runs": _runs(mine),
    }


def _quarantined(ledger: Ledger, row: SequenceRow) -> dict[str, int]:
    return {kind: count for (_, _, kind), count in ledger.quarantined(row.venue, row.symbol).items()}


def _runs(days: Sequence[DayStatus]) -> list[dict[str, object]]:
    """Join neighbouring days of equal state."""
    runs = []
    for state, group in groupby(days, key=lambda day: day.state):
        members = list(group)
        stored = sum(day.stored for day in members)
        expected = [day.expected for day in members]
        runs.append(
            {
                "from": members[0].day,
                "to": members[-1].day,
                "days": len(members),
                "state": state,
                "stored": stored,
                "expected": None if None in expected else sum(number or 0 for number in expected),
            }
        )
    return runs


def _text(symbol: dict[str, object]) -> str:
    epoch = f" epoch {symbol['epoch']}" if symbol["epoch"] else ""
    lines = [
        f"{symbol['venue']} {symbol['symbol']}{epoch}: {symbol['stored']:,} of {symbol['expected']:,} ids held,"
        f" {symbol['void']:,} void, {symbol['open']:,} open, {symbol['unrecoverable']:,} unrecoverable;"
        f" ids {symbol['from_id']}..{symbol['head']}, tail {symbol['tail']}"
    ]
    quarantined, runs = symbol["quarantined"], symbol["runs"]
    assert isinstance(quarantined, dict) and isinstance(runs, list)
    if quarantined:
        lines.append("  quarantined: " + ", ".join(f"{count:,} {kind}" for kind, count in quarantined.items()))
    if symbol["conflicts"]:
        lines.append(f"  conflicts: {symbol['conflicts']:,}")
    for run in runs:
        span = run["from"] if run["from"] == run["to"] else f"{run['from']} .. {run['to']}"
        held = f"{run['stored']:,}" if run["expected"] is None else f"{run['stored']:,} of {run['expected']:,}"
        lines.append(f"  {span:<24}  {run['state']:<10}  {held} trades")
    return "\n".join(lines)

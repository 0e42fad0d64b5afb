"""``status``: print the completeness of each symbol or day. The states are defined in completeness/day_status.py."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

from trading_platform.commands.support.tables import column_table, quick_json, uncollected
from trading_platform.domain.days import day_of

if TYPE_CHECKING:
    from trading_platform.completeness.day_status import DayRun, DayTable, RunTable
    from trading_platform.completeness.open_ends import OpenEnd
    from trading_platform.settings import Settings
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger

EXAMPLE = "trading-platform status --days"
QUICK = True  # usually needs only the data directory of the settings
NOTHING = "nothing is recorded yet"
MOST_RUNS, FEW_RUNS = 20, 3
"""A symbol with more runs than fit a screen shows only the newest few incomplete ones."""
DAY_COLUMNS = "venue symbol day first_id last_id expected stored void open unrecoverable state".split()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--days``."""
    parser.add_argument("--days", action="store_true", help="one row a day")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the ledger by symbol, or by day."""
    from trading_platform.commands.support import runtime

    data = runtime.existing(settings)
    ledger = runtime.open_ledger(data)
    with uncollected():
        lines = _by_day(ledger, args) if args.days else _by_symbol(data, ledger, args)
    print(lines, flush=True)
    return 0


def _by_day(ledger: Ledger, args: argparse.Namespace) -> str:
    every = ledger.day_table(time.time_ns()).columns()
    columns = {name: every[name] for name in DAY_COLUMNS}
    if args.json:
        return quick_json([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])
    return column_table(columns) if columns["day"] else NOTHING


class _SequenceStatus(NamedTuple):
    """The printed fields of one sequence, in this order; its runs follow."""

    venue: str
    symbol: str
    epoch: int
    from_id: int | None
    head: int | None
    tail: str
    expected: int | None
    stored: int
    void: int
    open: int
    open_gaps: int
    unrecoverable: int
    conflicts: int
    quarantined: dict[str, int]
    proof: str  # what shows that nothing is missing: ids, or the venue's own listing of a day
    not_known_since: str | None  # ISO time, None while somebody vouches for the end


class _Report(NamedTuple):
    """The status of every sequence, and of the days of every (venue, symbol)."""

    symbols: list[_SequenceStatus]
    days: DayTable
    runs: RunTable
    ends: list[OpenEnd]


def _by_symbol(data: DataDir, ledger: Ledger, args: argparse.Namespace) -> str:
    report = _report(data, ledger)
    if args.json:
        return _all_runs(report)
    return "\n\n".join(_texts(report)) or NOTHING


def _report(data: DataDir, ledger: Ledger) -> _Report:
    from trading_platform.completeness.day_status import judged, run_table
    from trading_platform.completeness.text_days import with_text_days
    from trading_platform.ingest.recovery.open_tails import open_ends, unknown_ends
    from trading_platform.store.ledger.kept_days import accounts
    from trading_platform.store.ledger.text_days import text_days, text_symbols

    ledger.keep_days()
    with ledger.snapshot() as now:
        rows, found = now.sequences, accounts(now)
        conflicts, quarantined = now.conflicts(), now.quarantined()
        texts, text_pairs = text_days(now.db), text_symbols(now.db)
    today = day_of(time.time_ns())
    days = with_text_days(judged(rows, found.facts, today), texts, rows, today)
    held: Counter[tuple[str, str]] = Counter()
    for day in texts:
        held[day.venue, day.symbol] += day.held
    ends = {(row.venue, row.symbol, row.epoch) for row in unknown_ends(data, rows)}
    open_now = open_ends(data, rows)
    since = {end[:2]: end.since.isoformat() for end in open_now}
    newest = {(row.venue, row.symbol): row.epoch for row in rows}
    symbols = []
    for row, stored, void, missing, gaps, lost in zip(rows, *found[:5], strict=True):
        pair = (row.venue, row.symbol)
        counts = (conflicts[pair], quarantined.get(pair, {}))
        unknown = since.get(pair) if newest[pair] == row.epoch else None
        if pair in text_pairs:
            none = (None, None, row.tail, None, held[pair], 0, 0, 0, 0)
            symbols.append(_SequenceStatus._make((*row[:3], *none, *counts, "listing", unknown)))
            continue
        tail = "open" if (*pair, row.epoch) in ends else row.tail
        expected, gaps_here = row.head - row.from_id + 1, gaps + (tail == "open")
        told = (expected, stored, void, missing, gaps_here, lost, *counts, "ids", unknown)
        symbols.append(_SequenceStatus._make((*row[:5], tail, *told)))
    return _Report(symbols, days, run_table(days), open_now)


def _all_runs(report: _Report) -> str:
    """Return the whole report as JSON."""
    names = ("from", "to", "days", "state", "stored", "expected")
    runs = [dict(zip(names, run, strict=True)) for run in report.runs.take(slice(None))]
    own = dict(zip(report.days.pairs, pairwise(report.runs.at.tolist()), strict=True))
    rows = [{**symbol._asdict(), "runs": runs[slice(*own[symbol.venue, symbol.symbol])]} for symbol in report.symbols]
    return quick_json(rows)


def _texts(report: _Report) -> Iterator[str]:
    """Yield a paragraph for each sequence; a symbol with many runs shows only the newest incomplete ones."""
    table = report.runs
    chosen = table.shown(MOST_RUNS, FEW_RUNS)
    lines = map(_run_line, table.take([run for some in chosen for run in some.tolist()]))
    of_pair = [list(islice(lines, len(some))) for some in chosen]
    number = {pair: at for at, pair in enumerate(report.days.pairs)}
    now_ns = time.time_ns()
    ends = {(end.venue, end.symbol): end.text(now_ns) for end in report.ends}
    sizes = [end - begin for begin, end in pairwise(table.at.tolist())]
    counts, many = table.counts(), 0
    for symbol in report.symbols:
        at = number[symbol.venue, symbol.symbol]
        paragraph = list(_head(symbol))
        if symbol.not_known_since is not None:
            paragraph.append(f"  {ends[symbol.venue, symbol.symbol]}")
        if sizes[at] > MOST_RUNS:
            many += 1
            told = ", ".join(f"{days:,} {state}" for state, days in counts[at].items())
            paragraph.append(
                f"  {sum(counts[at].values()):,} days in {sizes[at]:,} runs: {told}; the newest not complete:"
            )
        yield "\n".join([*paragraph, *of_pair[at]])
    if many:
        yield (f"{many:,} with more than {MOST_RUNS} runs; `status --days` shows every day, `status --json` every run")


def _head(symbol: _SequenceStatus) -> Iterator[str]:
    epoch = f" epoch {symbol.epoch}" if symbol.epoch else ""
    if symbol.expected is None:
        yield (
            f"{symbol.venue} {symbol.symbol}: {symbol.stored:,} trades held, tail {symbol.tail};"
            f" ids of {symbol.venue} prove nothing: each day is compared with the venue's daily file"
        )
    else:
        yield (
            f"{symbol.venue} {symbol.symbol}{epoch}: {symbol.stored:,} of {symbol.expected:,} ids held,"
            f" {symbol.void:,} void, {symbol.open:,} open, {symbol.unrecoverable:,} unrecoverable;"
            f" ids {symbol.from_id}..{symbol.head}, tail {symbol.tail}"
        )
    if symbol.quarantined:
        yield "  quarantined: " + ", ".join(f"{count:,} {kind}" for kind, count in symbol.quarantined.items())
    if symbol.conflicts:
        yield f"  conflicts: {symbol.conflicts:,}"


def _run_line(run: DayRun) -> str:
    span = run.first if run.first == run.last else f"{run.first} .. {run.last}"
    held = f"{run.stored:,}" if run.expected is None else f"{run.stored:,} of {run.expected:,}"
    return f"  {span:<24}  {run.state:<10}  {held} trades"

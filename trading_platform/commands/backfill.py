"""``backfill``: compute a range of days, optionally fetch it first. The work is pipeline/ and ingest/recovery/."""

from __future__ import annotations

import argparse
import threading
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from trading_platform.commands.support.arguments import (
    add_days,
    add_symbols,
    add_venue,
    emit,
    parse_days,
    parse_list,
    parse_symbols,
)
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.errors import UsageError, WorkError

if TYPE_CHECKING:
    from trading_platform.ingest.recovery.recovery import Outcome
    from trading_platform.pipeline.results import DayReport, LeafResult
    from trading_platform.settings import Settings
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger

EXAMPLE = "trading-platform backfill --assets bars,indicators,regimes --from 2024-08-08 --to 2024-08-09"
SHOWN = 20

Pair = tuple[str, str]


class _Request(NamedTuple):
    """The checked arguments of the command line."""

    assets: list[str]
    first: str
    last: str
    venue: str | None
    symbols: list[str] | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add datasets, days, venue, symbols, and ``--fetch``."""
    parser.add_argument("--assets", metavar="A,B", required=True, help=f"of {', '.join(DATASETS)}")
    add_days(parser, required=True)
    add_venue(parser)
    add_symbols(parser)
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="first download trades that were never recorded: from the venue's daily files, else REST",
    )
    parser.add_argument("--rest-url", metavar="U", help="with --fetch: other REST base address than the venue's own")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Fetch if requested, compute, report; exit 1 if anything was refused, had to wait or could not be fetched."""
    from trading_platform.commands.support import database_feed, runtime

    asked = _asked(args, settings)
    stop = runtime.stop_event()
    data = runtime.data_dir(settings).create() if args.fetch else runtime.existing(settings)
    ledger = runtime.open_ledger(data)
    try:
        fetched = _fetch(args, settings, data, ledger, asked, stop) if args.fetch else None
        pairs = _pairs(ledger, asked)
        reports = compute(settings, data, ledger, asked.assets, (asked.first, asked.last), pairs, stop)
        database_feed.feed(settings, data, ledger)
    finally:
        ledger.close()
    emit(args, _payload(asked, reports, fetched), _text(reports, fetched))
    return 0 if all(report.ok for report in reports) and _all_fetched(fetched) else 1


def _all_fetched(fetched: Outcome | None) -> bool:
    return fetched is None or not (fetched.problems or fetched.not_fetched)


def _asked(args: argparse.Namespace, settings: Settings) -> _Request:
    from trading_platform.commands.support.arguments import parse_venue
    from trading_platform.domain.datasets import in_order
    from trading_platform.venues import VENUES

    days = parse_days(args.first, args.last, earliest=settings.history_start)
    if days is None:
        raise UsageError("name the days with --from and --to")
    if args.rest_url and not args.fetch:
        raise UsageError("--rest-url needs --fetch: without it nothing is requested")
    assets = [dataset.name for dataset in in_order(parse_list(args.assets))]
    return _Request(assets, *days, parse_venue(args.venue, list(VENUES)), parse_symbols(args.symbols))


def _pairs(ledger: Ledger, asked: _Request) -> list[Pair]:
    """Return the (venue, symbol) pairs to compute: all of the ledger, narrowed by venue and symbols.

    Raises
    ------
    UsageError : for a symbol, or a venue, that was never recorded.
    """
    known = [pair for pair in ledger.symbols() if asked.venue in (None, pair[0])]
    if not known:
        where = f" of {asked.venue}" if asked.venue else ""
        raise UsageError(f"no trade{where} was ever recorded here; record with ingest, or add --fetch with --symbols")
    for symbol in asked.symbols or ():
        if symbol not in {name for _, name in known}:
            names = " ".join(sorted({name for _, name in known}))
            raise UsageError(f"{symbol} was never recorded here; known: {names}")
    return [pair for pair in known if asked.symbols is None or pair[1] in asked.symbols]


def _fetch(
    args: argparse.Namespace, settings: Settings, data: DataDir, ledger: Ledger, asked: _Request, stop: threading.Event
) -> Outcome:
    """Download the days' trades that are not stored yet."""
    from trading_platform.commands.support import runtime
    from trading_platform.ingest.recovery.recovery import fetch_days
    from trading_platform.ingest.recovery.rest_client import Stopped
    from trading_platform.telemetry.progress import Progress

    if asked.venue is not None and asked.symbols is not None:
        pairs = [(asked.venue, symbol) for symbol in asked.symbols]
    else:
        pairs = _pairs(ledger, asked)
    if ledger.kind() is None:
        ledger.mark_kind("live")
    endpoints = runtime.endpoints(settings, ledger, asked.venue, args.rest_url)
    context = runtime.fetch_context(settings, stop.wait)
    try:
        with Progress("fetching") as progress:
            return fetch_days(data, ledger, endpoints, context, pairs, asked.first, asked.last, progress=progress)
    except Stopped:
        raise WorkError("stopped while fetching; what was fetched is kept") from None


def compute(
    settings: Settings,
    data: DataDir,
    ledger: Ledger,
    assets: Sequence[str],
    span: tuple[str, str],
    pairs: Sequence[Pair],
    stop: threading.Event,
) -> list[DayReport]:
    """Compute the days from span[0] to span[1], showing progress.

    Raises
    ------
    WorkError : if `stop` was set; what was computed until then is kept.
    """
    from quality.schemas import GATES
    from trading_platform.commands.support import runtime
    from trading_platform.domain.days import day_range
    from trading_platform.pipeline.pipeline import Pipeline
    from trading_platform.telemetry.progress import Progress

    pipeline = Pipeline.from_settings(
        data, ledger, settings, gates=GATES, heal=runtime.leaf_rebuilder(settings, data, ledger)
    )
    begin = pipeline.begin(assets, span[0], pairs)
    total = sum(1 for _ in day_range(begin, span[1])) * len(assets)
    with Progress("backfill", total) as progress:

        def on_report(report: DayReport) -> None:
            progress.advance(note=f"{report.dataset} {report.day}")
            if stop.is_set():
                raise WorkError(f"stopped after {report.dataset} {report.day}; what was computed is kept")

        reports = pipeline.refresh_range(assets, begin, span[1], pairs, on_report=on_report)
        return reports + pipeline.carry_on(assets, span[1], pairs, on_report=on_report)


def _payload(asked: _Request, reports: Sequence[DayReport], fetched: Outcome | None) -> dict[str, object]:
    failed = [result for report in reports for result in report.failed]
    return {
        "ok": not failed and _all_fetched(fetched),
        "assets": asked.assets,
        "from": asked.first,
        "to": asked.last,
        "datasets": {name: {"rows": rows, **counts} for name, (rows, counts) in _totals(reports).items()},
        "failed": [failure(result) for result in failed],
        "healed": [result.healed for report in reports for result in report.healed],
        "fetched": None if fetched is None else _fetched(fetched),
    }


def _fetched(fetched: Outcome) -> dict[str, object]:
    missing = [gap._asdict() for gap in fetched.not_fetched]
    told = {"pages": fetched.pages, "files": len(fetched.files), "notes": list(fetched.notes)}
    return {**told, "problems": list(fetched.problems), "open": missing}


def _totals(reports: Sequence[DayReport]) -> dict[str, tuple[int, Counter[str]]]:
    totals: dict[str, tuple[int, Counter[str]]] = {}
    for report in reports:
        rows, counts = totals.get(report.dataset, (0, Counter()))
        totals[report.dataset] = rows + report.rows, counts + report.counts
    return totals


def failure(result: LeafResult) -> dict[str, object]:
    """Return what failed and why, for ``--json``."""
    leaf = result.leaf
    named = {"dataset": leaf.dataset, "venue": leaf.venue, "symbol": leaf.symbol, "day": leaf.day}
    return {**named, "timeframe": leaf.timeframe, "status": result.status, "reason": result.reason}


def _text(reports: Sequence[DayReport], fetched: Outcome | None) -> str:
    from trading_platform.commands.support.tables import table

    columns = ("computed", "unchanged", "refused", "waiting")
    rows = [
        {"dataset": name, "rows": rows, **{column: counts[column] for column in columns}}
        for name, (rows, counts) in _totals(reports).items()
    ]
    lines = [table(rows, ["dataset", "rows", *columns])]
    if fetched is not None:
        missing = [
            f"still missing: gap {gap.id}: {gap.venue} {gap.symbol} {gap.first_missing}..{gap.last_missing}"
            f" ({gap.missing:,} ids); `recover --once` asks again"
            for gap in fetched.not_fetched
        ]
        of_files = f"{len(fetched.files)} daily files and " if fetched.files else ""
        lines = [f"fetched {of_files}{fetched.pages} pages", *fetched.notes, *fetched.problems, *missing, *lines]
    return "\n".join([*lines, *healed_lines(reports), *failure_lines(reports)])


def healed_lines(reports: Sequence[DayReport]) -> list[str]:
    """Return a line for each of the first files that were damaged and have been made again."""
    healed = [result.healed for report in reports for result in report.healed]
    more = [f"… and {len(healed) - SHOWN} more"] if len(healed) > SHOWN else []
    return [f"made again: {text}" for text in healed[:SHOWN]] + more


def failure_lines(reports: Sequence[DayReport]) -> list[str]:
    """Return a line for each of the first leaves that failed, and how many more there are."""
    failed = [result for report in reports for result in report.failed]
    lines = []
    for result in failed[:SHOWN]:
        leaf = result.leaf
        where = " ".join(part for part in (leaf.dataset, leaf.timeframe, leaf.venue, leaf.symbol, leaf.day) if part)
        lines.append(f"{where}: {result.status}: {result.reason}")
    if len(failed) > SHOWN:
        lines.append(f"… and {len(failed) - SHOWN} more")
    return lines

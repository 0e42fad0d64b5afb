"""``replay``: rebuild lake and ledger from the segment log. The work is done by ingest/replay/replay.py.

The log gives ticks, instruments and the ledger. ``--all`` also computes the datasets that depend on ticks; without it
the last line names the command that does. This module finds the days to recompute: it compares the ledger before and
after. ``--leaf`` makes single files again (support/leaf_replay.py).
"""

from __future__ import annotations

import argparse
import os
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.commands.support.arguments import add_days, emit, parse_days, whole
from trading_platform.domain.errors import UsageError

if TYPE_CHECKING:
    from trading_platform.ingest.decoder.decoded import Listing
    from trading_platform.ingest.replay.replay import Replayed
    from trading_platform.pipeline.results import DayReport
    from trading_platform.settings import Settings
    from trading_platform.store.fs.layout import DataDir, Leaf
    from trading_platform.store.ledger import Ledger

EXAMPLE = "trading-platform replay --from 2024-08-08 --to 2024-08-09"

Span = tuple[str, str] | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the days, ``--ledger``, ``--all`` and ``--processes``."""
    add_days(parser)
    parser.add_argument(
        "--leaf",
        action="append",
        metavar="PATH",
        help="only this file of the lake, also while ingest records; may be given several times",
    )
    parser.add_argument("--ledger", action="store_true", help="rebuild the account of ids too")
    parser.add_argument("--all", action="store_true", help="then compute bars, indicators and regimes of these days")
    parser.add_argument(
        "--processes",
        type=whole(1, 256),
        metavar="N",
        default=None,
        help="greatest number of processes; default: as many as pay off",
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Decode the log, republish its days, then compute dependent datasets or name the command that does."""
    from quality.schemas import GATES
    from trading_platform.commands.backfill import compute
    from trading_platform.commands.support import database_feed, runtime
    from trading_platform.commands.workers.replay_worker import wanted
    from trading_platform.domain.datasets import COMPUTED
    from trading_platform.ingest.recovery.instruments import publish_listings

    if args.leaf:
        return _run_leaves(args, settings)
    span = parse_days(args.first, args.last, earliest=settings.history_start)
    stop = runtime.stop_event() if args.all else None
    data = runtime.existing(settings, log_suffices=args.ledger).create()
    ledger = runtime.open_ledger(data)
    try:
        before = _contents(ledger)
        listings: list[Listing] = []
        done = _replay(args, settings, data, ledger, span, listings)
        listed = publish_listings(data, ledger, listings, GATES["instruments"], days=wanted(span))
        behind = _behind(data, ledger, before, span)
        reports: list[DayReport] = []
        if stop is not None and (days := _ticks_days(ledger, span)):
            reports = compute(settings, data, ledger, COMPUTED, days, ledger.symbols(), stop)
            behind = _behind(data, ledger, _contents(ledger), span)
        database_feed.feed(settings, data, ledger)
    finally:
        ledger.close()
    follows = _follows(behind, args.data_dir)
    emit(args, _payload(done, listed, follows, reports), _text(done, listed, behind, follows, reports))
    return 0 if all(report.ok for report in reports) else 1


def _run_leaves(args: argparse.Namespace, settings: Settings) -> int:
    """Make single files again; exit 1 if one could not be."""
    from trading_platform.commands.support import database_feed, leaf_replay, runtime

    if args.first or args.last or args.ledger or args.all:
        raise UsageError("--leaf names the whole work: leave out --from, --to, --ledger and --all")
    data = runtime.existing(settings).create()
    leaves = leaf_replay.leaves_of(args.leaf, data.lake)
    ledger = runtime.open_ledger(data)
    try:
        results = leaf_replay.replay_leaves(settings, data, ledger, leaves)
        database_feed.feed(settings, data, ledger)
    finally:
        ledger.close()
    emit(
        args,
        {"leaves": [leaf_replay.fields_of(result) for result in results]},
        "\n".join(leaf_replay.line_of(result) for result in results),
    )
    return 0 if all(result.status in ("computed", "unchanged") for result in results) else 1


def _replay(
    args: argparse.Namespace, settings: Settings, data: DataDir, ledger: Ledger, span: Span, listings: list[Listing]
) -> Replayed:
    """Rebuild the ticks, and with ``--ledger`` the ledger; collect the venues' instrument listings."""
    from quality.schemas import GATES
    from trading_platform.commands.workers.replay_worker import starter, wanted
    from trading_platform.ingest.decoder.bounds import Bounds
    from trading_platform.ingest.replay.replay import HELP_FROM, WorkerPool, replay
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger
    from trading_platform.telemetry.logs import get_logger
    from trading_platform.venues import VENUES

    processes = args.processes or len(os.sched_getaffinity(0))
    each = HELP_FROM if args.processes is None else 1
    with tempfile.TemporaryDirectory(dir=data.staging, prefix="replay-") as scratch_dir:
        scratch = Ledger.open(DataDir(Path(scratch_dir))) if args.ledger else None
        try:
            return replay(
                data,
                ledger,
                VENUES,
                Bounds.of(settings.history_start),
                GATES["ticks"],
                days=wanted(span),
                scratch=scratch,
                on_lane=lambda lane: get_logger(__name__).info("replaying", lane=lane),
                on_listing=listings.append,
                pool=WorkerPool(processes, starter(settings, span), each),
            )
        finally:
            if scratch is not None:
                scratch.close()


def _contents(ledger: Ledger) -> dict[Leaf, str]:
    """Return the content hash of each symbol-day of ticks."""
    return {leaf: record.content_hash for leaf, record in ledger.leaves("ticks").items()}


def _ticks_days(ledger: Ledger, span: Span) -> Span:
    """Return the first and the last wanted day with ticks."""
    days = sorted(leaf.day for leaf in ledger.leaves("ticks") if span is None or span[0] <= leaf.day <= span[1])
    return (days[0], days[-1]) if days else None


def _behind(data: DataDir, ledger: Ledger, before: Mapping[Leaf, str], span: Span) -> dict[str, list[str]]:
    """Return for each computed dataset the wanted days whose file is missing or whose ticks have changed.

    Also days of files that the rebuilt ledger does not know.
    """
    from trading_platform.domain.datasets import COMPUTED
    from trading_platform.store.lake import publish as lake

    now = _contents(ledger)
    changed = {leaf[1:4] for leaf in {*before, *now} if before.get(leaf) != now.get(leaf)}
    behind: dict[str, set[str]] = {}
    for dataset in COMPUTED:
        known, present = ledger.leaves(dataset).keys(), set(lake.leaves(data, dataset))
        for leaf in {*known, *present}:
            wanted = span is None or span[0] <= leaf.day <= span[1]
            if wanted and (leaf[1:4] in changed or leaf not in present or leaf not in known):
                behind.setdefault(dataset, set()).add(leaf.day)
    return {dataset: sorted(days) for dataset, days in behind.items()}


def _follows(behind: Mapping[str, list[str]], data_dir: Path | None) -> str | None:
    """Return the command that recomputes outdated days, None if there are none."""
    if not behind:
        return None
    days = [day for found in behind.values() for day in found]
    where = "" if data_dir is None else f" --data-dir {shlex.quote(str(data_dir))}"
    return f"trading-platform backfill --assets {','.join(behind)} --from {min(days)} --to {max(days)}{where}"


def _payload(done: Replayed, listed: int, follows: str | None, reports: list[DayReport]) -> dict[str, object]:
    from trading_platform.commands.backfill import failure

    failed = [failure(result) for report in reports for result in report.failed]
    computed = sum(report.counts["computed"] for report in reports)
    return {**done._asdict(), "instruments": listed, "computed": computed, "failed": failed, "follows": follows}


def _text(
    done: Replayed, listed: int, behind: Mapping[str, list[str]], follows: str | None, reports: list[DayReport]
) -> str:
    from trading_platform.commands.backfill import failure_lines

    lines = [
        f"{done.trades:,} trades read from {done.lanes} lanes; published again: {done.leaves} symbol-days of ticks,"
        f" {listed} days of instruments"
    ]
    if reports:
        lines.append(f"computed again: {sum(report.counts['computed'] for report in reports)} leaves")
        lines += failure_lines(reports)
    if follows is not None:
        parts = ", ".join(f"{dataset} of {len(days)} days" for dataset, days in behind.items())
        lines.append(f"no longer up to date: {parts}; run: {follows}")
    return "\n".join(lines)

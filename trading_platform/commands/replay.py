"""``replay``: rebuild lake and ledger from the segment log. How is trading_platform/ingest/replay.py."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.commands.common import add_days, emit, parse_days
from trading_platform.domain.errors import UsageError

if TYPE_CHECKING:
    from trading_platform.settings import Settings

EXAMPLE = "trading-platform replay --from 2024-08-08 --to 2024-08-09"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the days, ``--ledger`` and ``--processes``."""
    add_days(parser)
    parser.add_argument("--ledger", action="store_true", help="rebuild the account of ids too")
    parser.add_argument(
        "--processes", type=int, metavar="N", default=None, help="how many may work on it; else as many as it is worth"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Decode the log from its beginning and publish the days anew."""
    from quality.schemas import GATES
    from trading_platform.commands import runtime
    from trading_platform.commands.replay_helper import starter, wanted
    from trading_platform.ingest.bounds import Bounds
    from trading_platform.ingest.replay import HELP_FROM, Company, replay
    from trading_platform.store.layout import DataDir
    from trading_platform.store.ledger import Ledger
    from trading_platform.telemetry.logs import get_logger
    from trading_platform.venues import VENUES

    if args.processes is not None and args.processes < 1:
        raise UsageError("--processes is at least 1")
    processes = args.processes or len(os.sched_getaffinity(0))
    each = HELP_FROM if args.processes is None else 1
    span = parse_days(args.first, args.last, earliest=settings.history_start)
    data = runtime.existing(settings).create()
    ledger = runtime.open_ledger(data, settings)
    with tempfile.TemporaryDirectory(dir=data.staging, prefix="replay-") as scratch_dir:
        scratch = Ledger.open(DataDir(Path(scratch_dir))) if args.ledger else None
        try:
            done = replay(
                data,
                ledger,
                VENUES,
                Bounds.of(settings.history_start),
                GATES["ticks"],
                days=wanted(span),
                scratch=scratch,
                on_lane=lambda lane: get_logger(__name__).info("replaying", lane=lane),
                company=Company(processes, starter(settings, span), each),
            )
        finally:
            if scratch is not None:
                scratch.close()
    text = f"{done.trades:,} trades read from {done.lanes} lanes, {done.leaves} days of symbols published anew"
    emit(args, done._asdict(), text)
    return 0

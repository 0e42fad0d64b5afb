"""``replay``: rebuild lake and ledger from the segment log. How is trading_platform/ingest/replay.py."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.commands.common import add_days, emit, parse_days

if TYPE_CHECKING:
    from trading_platform.settings import Settings

EXAMPLE = "trading-platform replay --from 2024-08-08 --to 2024-08-09"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the days, and ``--ledger``."""
    add_days(parser)
    parser.add_argument("--ledger", action="store_true", help="rebuild the account of ids too")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Decode the log from its beginning and publish the days anew."""
    from quality.schemas import GATES
    from trading_platform.commands import runtime
    from trading_platform.ingest.bounds import Bounds
    from trading_platform.ingest.replay import replay
    from trading_platform.store.layout import DataDir
    from trading_platform.store.ledger import Ledger
    from trading_platform.telemetry.logs import get_logger
    from trading_platform.venues import VENUES

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
                days=lambda day: span is None or span[0] <= day <= span[1],
                scratch=scratch,
                on_lane=lambda lane: get_logger(__name__).info("replaying", lane=lane),
            )
        finally:
            if scratch is not None:
                scratch.close()
    text = f"{done.trades:,} trades read from {done.lanes} lanes, {done.leaves} days of symbols published anew"
    emit(args, done._asdict(), text)
    return 0

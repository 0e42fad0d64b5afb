"""``report``: write the data quality report of a day as one HTML page. The report itself is quality/report."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from trading_platform.commands.support.arguments import emit
from trading_platform.domain.days import parse_day

if TYPE_CHECKING:
    from quality.report.history import WrittenReport
    from trading_platform.settings import Settings

EXAMPLE = "trading-platform report --day 2024-08-08"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--day``."""
    parser.add_argument("--day", metavar="DAY", help="UTC day, 2024-08-08 (default: the newest that is over)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Write the report and print its path."""
    from quality.report.history import write
    from trading_platform.commands.support import runtime

    day = None if args.day is None else parse_day(args.day, earliest=settings.history_start)
    data = runtime.existing(settings)
    ledger = runtime.open_ledger(data)
    try:
        written = write(data, ledger, time.time_ns(), day)
    finally:
        ledger.close()
    emit(args, payload(written), str(written.path))
    return 0


def payload(written: WrittenReport) -> dict[str, Any]:
    """Return what ``--json`` tells of a report."""
    scores = {symbol.name: symbol.score.value for symbol in written.facts.symbols}
    return {
        "path": str(written.path),
        "day": written.facts.day,
        "lowest_score": written.facts.lowest,
        "scores": scores,
        "notes": written.texts,
    }

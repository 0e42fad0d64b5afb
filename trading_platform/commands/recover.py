"""``recover``: fetch missing trades of the gap ledger. The work is done by ingest/recovery/recovery.py."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from trading_platform.commands.support.arguments import add_venue, emit

if TYPE_CHECKING:
    from trading_platform.ingest.recovery.recovery import Outcome
    from trading_platform.settings import Settings

EXAMPLE = "trading-platform recover --once"
EVERY_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--venue``, ``--rest-url`` and ``--once``."""
    add_venue(parser)
    parser.add_argument("--rest-url", metavar="U", help="other REST base address than the venue's own")
    parser.add_argument("--once", action="store_true", help="exit when nothing more can be fetched now")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Fetch missing trades once, or every five seconds until stopped."""
    from trading_platform.commands.support import database_feed, runtime
    from trading_platform.domain.errors import LedgerUnavailable
    from trading_platform.ingest.recovery.recovery import recover_missing
    from trading_platform.ingest.recovery.rest_client import Stopped
    from trading_platform.telemetry.logs import get_logger

    log = get_logger(__name__)
    stop = runtime.stop_event()
    data = runtime.existing(settings)
    ledger = runtime.open_ledger(data)
    endpoints = runtime.endpoints(settings, ledger, args.venue, args.rest_url)
    for endpoint in endpoints.values():
        runtime.check_market(settings, ledger, endpoint, stop)
    context = runtime.fetch_context(settings, stop.wait)
    while True:
        try:
            since = runtime.record_from(settings, ledger)
            outcome = recover_missing(data, ledger, endpoints, context, patient=args.once, since=since)
        except Stopped:
            return 0
        except LedgerUnavailable as error:
            if args.once:
                raise
            log.warning("nothing recovered", reason=str(error))
        else:
            if args.once or outcome.pages:
                database_feed.feed(settings, data, ledger)
            if args.once:
                emit(args, _payload(outcome), _text(outcome))
                return 0 if outcome.nothing_open else 1
        if stop.wait(EVERY_S):
            return 0


def _payload(outcome: Outcome) -> dict[str, object]:
    return {
        "pages": outcome.pages,
        "open_gaps": [gap._asdict() for gap in outcome.open_gaps],
        "open_tails": [tail._asdict() for tail in outcome.open_tails],
        "files": [list(file) for file in outcome.files],
        "problems": [*outcome.problems, *outcome.notes],
    }


def _text(outcome: Outcome) -> str:
    files = [f"taken in: {venue} {symbol} {day}, the venue's daily file" for venue, symbol, day in outcome.files]
    files += outcome.notes
    if outcome.nothing_open:
        return "\n".join([*files, f"no gap is open ({outcome.pages} pages requested)"])
    lines = [
        f"gap {gap.id}: {gap.venue} {gap.symbol} {gap.first_missing}..{gap.last_missing}"
        f" ({gap.missing:,} ids, {gap.attempts} attempts)"
        for gap in outcome.open_gaps
    ]
    lines += [f"tail of {tail.venue} {tail.symbol}: unknown after {tail.head}" for tail in outcome.open_tails]
    return "\n".join([*files, *lines, *outcome.problems])

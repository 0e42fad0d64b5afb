"""``symbols``: show what a venue lists. Keeping listings is ingest/recovery/instruments.py; here nothing is stored."""

from __future__ import annotations

import argparse
import time
from difflib import get_close_matches
from typing import TYPE_CHECKING

from trading_platform.commands.support.arguments import add_venue, emit, parse_venue
from trading_platform.commands.support.tables import table, uncollected
from trading_platform.domain.errors import UsageError

if TYPE_CHECKING:
    from trading_platform.domain.instrument import Instrument
    from trading_platform.settings import Settings

EXAMPLE = "trading-platform symbols --venue binance --fetch --like BTC"
COLUMNS = "symbol venue_symbol kind price_step quantity_step status".split()
ANSWERED_WITHIN_S = 15.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the venue, where to ask, and a filter."""
    add_venue(parser, required=True)
    parser.add_argument("--fetch", action="store_true", help="ask the venue now instead of showing the stored listing")
    parser.add_argument("--rest-url", metavar="U", help="ask at this base address instead of the venue's own")
    parser.add_argument("--like", metavar="TEXT", help="only symbols that contain TEXT")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the instruments of the stored listing, or of the one that the venue gives now."""
    from trading_platform.venues import VENUES

    venue = str(parse_venue(args.venue, list(VENUES)))
    asked = args.fetch or args.rest_url is not None
    listed = _ask(venue, args.rest_url, settings) if asked else _stored(venue, settings)
    shown = sorted(item for item in listed if args.like is None or args.like.upper() in item.symbol.upper())
    if listed and not shown:
        near = get_close_matches(args.like.upper(), [item.symbol for item in listed], n=1, cutoff=0.4)
        hint = f"; the nearest is {near[0]}" if near else ""
        raise UsageError(f"none of the {len(listed):,} symbols of {venue} contains {args.like[:40]!r}{hint}")
    rows = [item._asdict() for item in shown]
    with uncollected():
        emit(args, rows, table(rows, COLUMNS))
    return 0


def _stored(venue: str, settings: Settings) -> list[Instrument]:
    from trading_platform.commands.support import runtime
    from trading_platform.store.fs.layout import DataDir

    listed: list[Instrument] = []
    if DataDir(settings.data_dir).ledger_path.exists():
        ledger = runtime.open_ledger(runtime.existing(settings))
        listed = ledger.instruments(venue)
        ledger.close()
    if not listed:
        raise UsageError(f"no listing of {venue} is stored in {settings.data_dir}; add --fetch to ask the venue")
    return listed


def _ask(venue: str, rest_url: str | None, settings: Settings) -> list[Instrument]:
    """Return the listing that the venue gives now. Raises VenueError if it gives none soon."""
    from trading_platform.commands.support import runtime
    from trading_platform.domain.errors import FrameError, VenueError
    from trading_platform.ingest.recovery.instruments import listing
    from trading_platform.ingest.recovery.rest_client import Stopped

    endpoint = runtime.endpoint(settings, venue, rest_url)
    wait = runtime.waiter_until(runtime.stop_event(), time.monotonic() + ANSWERED_WITHIN_S)
    client = runtime.rest_client(endpoint, settings, wait)
    listed: dict[str, Instrument] = {}
    try:
        for body in listing(endpoint.adapter, client):
            listed |= {item.symbol: item for item in endpoint.adapter.decode_instruments(body)}
    except Stopped as error:
        raise VenueError(f"{venue}: no answer at {endpoint.rest_url} within {ANSWERED_WITHIN_S:.0f} s") from error
    except FrameError as error:
        raise VenueError(f"{venue}: {error}") from error
    finally:
        client.close()
    return list(listed.values())

"""Learn what a venue lists: raw answer into the log, instruments into the ledger, a leaf of them into the lake."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import pyarrow as pa

from trading_platform.domain.days import day_of
from trading_platform.domain.errors import FrameError, SymbolError, VenueError
from trading_platform.domain.instrument import Instrument
from trading_platform.domain.verdict import Gate
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoded import Listing
from trading_platform.ingest.recovery.fetch_lane import FetchLane
from trading_platform.ingest.recovery.long_json import pieces
from trading_platform.ingest.recovery.rest_client import RestClient
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake, schema
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.venues.adapter import VenueAdapter
from trading_platform.venues.answers import Request

MOST_BYTES = 64 << 20
"""Of a listing: the longest has ten million bytes today, and grows."""
MOST_ANSWERS = 100
"""Of one listing: a venue whose pages never end is asked for no more."""
PIECE_BYTES = 8 << 20
"""A longer listing goes into the log in pieces, which a record can hold."""


def fetch_instruments(
    data: DataDir, ledger: Ledger, adapter: VenueAdapter, client: RestClient, bounds: Bounds
) -> list[Instrument]:
    """Ask the venue for its instruments and keep them. Raises VenueError if it does not answer."""
    parts: list[bytes] = []
    try:
        for body in listing(adapter, client):
            parts += pieces(body, adapter.listing_field, PIECE_BYTES)
    except FrameError as error:
        raise VenueError(f"{adapter.name}: {error}") from error
    with FetchLane(data, ledger, {adapter.name: adapter}, bounds) as lane:
        for part in parts:
            lane.page(control.PageHeader(adapter.name, "instruments"), part)
    return ledger.instruments(adapter.name)


def listing(adapter: VenueAdapter, client: RestClient) -> Iterator[bytes]:
    """Yield the answers that a venue's listing consists of. Raises VenueError if it does not answer, and FrameError."""
    request: Request | None = adapter.instruments_request()
    for _ in range(MOST_ANSWERS):
        if request is None:
            return
        body = client.get(request, most_bytes=MOST_BYTES)
        yield body
        request = adapter.more_instruments(body)


def publish_instruments(data: DataDir, ledger: Ledger, venue: str, day: str, gate: Gate) -> None:
    """Publish the venue's instruments as of this day, as far as they are known."""
    _publish(data, ledger, Leaf("instruments", venue, "", day), ledger.instruments(venue), gate)


def publish_listings(
    data: DataDir, ledger: Ledger, listings: Iterable[Listing], gate: Gate, *, days: Callable[[str], bool]
) -> int:
    """Publish the instruments of each wanted day again, from the listings in the log; return how many leaves.

    A day is one on which a listing came, or of which the ledger knows a leaf: a recording that began without an answer
    published the list so far. What was listed stays listed: an instrument that trades no more still names its trades.
    """
    arrived = sorted(listings, key=lambda listing: (listing.venue, listing.ts_recv))
    count = 0
    for venue, group in groupby(arrived, key=lambda listing: listing.venue):
        waiting = deque(group)
        published = {leaf.day for leaf in ledger.leaves("instruments", venue)}
        known: dict[str, Instrument] = {}
        for day in sorted(published | {day_of(listing.ts_recv) for listing in waiting}):
            while waiting and day_of(waiting[0].ts_recv) <= day:
                known |= {item.symbol: item for item in waiting.popleft().instruments}
            if known and days(day):
                _publish(data, ledger, Leaf("instruments", venue, "", day), sorted(known.values()), gate)
                count += 1
    return count


def _publish(data: DataDir, ledger: Ledger, leaf: Leaf, listed: Sequence[Instrument], gate: Gate) -> None:
    if not listed:
        return
    columns = {name: [getattr(item, name) for item in listed] for name in schema.INSTRUMENTS.names}
    table = pa.table(columns, schema=schema.INSTRUMENTS)
    lake.write_leaf(data, leaf, table, ledger=ledger, gate=gate, input_hash=None)


def spell(adapter: VenueAdapter, symbols: Iterable[str], listed: Iterable[Instrument]) -> Mapping[str, str]:
    """Return the venue's spelling of each symbol, mapped to it.

    Without a listing (a start while the venue's REST is down) the spelling follows from the symbol.

    Raises
    ------
    SymbolError : for a symbol that the venue does not list.
    """
    by_symbol = {instrument.symbol: instrument.venue_symbol for instrument in listed}
    unknown = [symbol for symbol in symbols if by_symbol and symbol not in by_symbol]
    if unknown:
        raise SymbolError(f"{adapter.name} does not list {unknown[0]}; it lists {len(by_symbol)} symbols")
    return {by_symbol.get(symbol) or adapter.venue_symbol(symbol): symbol for symbol in symbols}

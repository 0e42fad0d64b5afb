"""Learn what a venue lists: raw answer into the log, instruments into the ledger, a leaf of them into the lake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from trading_platform.domain.errors import SymbolError
from trading_platform.domain.instrument import Instrument
from trading_platform.domain.venue import VenueAdapter
from trading_platform.domain.verdict import Gate
from trading_platform.ingest import control
from trading_platform.ingest.bounds import Bounds
from trading_platform.ingest.fetch_lane import FetchLane
from trading_platform.ingest.rest import RestClient
from trading_platform.store import lake, schema
from trading_platform.store.layout import DataDir, Leaf
from trading_platform.store.ledger import Ledger


def fetch_instruments(
    data: DataDir, ledger: Ledger, adapter: VenueAdapter, client: RestClient, bounds: Bounds
) -> list[Instrument]:
    """Ask the venue for its instruments and keep them. Raises VenueError if it does not answer."""
    body = client.get(adapter.instruments_request())
    with FetchLane(data, ledger, {adapter.name: adapter}, bounds) as lane:
        lane.page(control.Page(adapter.name, "instruments"), body)
    return ledger.instruments(adapter.name)


def publish_instruments(data: DataDir, ledger: Ledger, venue: str, day: str, gate: Gate) -> None:
    """Publish the venue's instruments as of this day, as far as they are known."""
    listed = ledger.instruments(venue)
    if not listed:
        return
    columns = {name: [getattr(item, name) for item in listed] for name in schema.INSTRUMENTS.names}
    table = pa.table(columns, schema=schema.INSTRUMENTS)
    lake.write_leaf(data, Leaf("instruments", venue, "", day), table, ledger=ledger, gate=gate, input_hash=None)


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

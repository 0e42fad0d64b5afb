"""What reads many frames at a time is kept from batch to batch here; and single frames are found again.

The reading itself is ingest/decoder/trade_scanner.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from trading_platform.domain.errors import FrameError
from trading_platform.domain.trade_columns import Columns
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.trade_scanner import Scanner, SymbolTable
from trading_platform.store.log.segment_format import PackedRecord
from trading_platform.store.log.writer import Record
from trading_platform.venues.adapter import VenueAdapter

SCAN_AFTER = 20_000
"""Frames that a decoder reads one by one before it loads the kernels that read many: a quiet market needs none."""


class Scanning:
    """The scanners of some venues.

    Parameters
    ----------
    scan_after : see SCAN_AFTER.
    """

    def __init__(self, venues: Mapping[str, VenueAdapter], bounds: Bounds, scan_after: int) -> None:
        self._venues, self._bounds, self.frames_left = venues, bounds, scan_after
        self._scanners: dict[str, Scanner | None] = {}
        self._tables: dict[tuple[str, ...], SymbolTable] = {}

    def scanner(self, venue: str) -> Scanner | None:
        """Return the venue's scanner, None if it has no usual form or too few frames were seen so far."""
        if self.frames_left > 0:
            return None
        if venue not in self._scanners:
            form = self._venues[venue].trade_frame
            limits = self._bounds.earliest_ns, self._bounds.ahead_ns
            self._scanners[venue] = None if form is None else Scanner(form, *limits)
        return self._scanners[venue]

    def table(self, symbols: Mapping[str, str]) -> SymbolTable:
        """Return the table of a connection's symbols."""
        names = tuple(symbols)
        if names not in self._tables:
            self._tables = {names: SymbolTable(names)}  # connections of one lane seldom differ
        return self._tables[names]


Origin = tuple[Record | PackedRecord, Mapping[str, str]]
"""A record of frames, and the symbols of its connection."""


def find_frames(
    records: Iterable[Origin], venue: VenueAdapter, symbol: str, stream: Columns, rows: Sequence[int]
) -> dict[int, tuple[Record | PackedRecord, int, bytes]]:
    """Return for some rows of a symbol's trades the record, the number in it, and the bytes of the frame it came in.

    Columns of trades do not say where they came from: of nearly none is it ever asked. Each record is read once.
    """
    wanted: dict[tuple[object, ...], list[int]] = {}
    for row in rows:
        where = stream.ts_recv[row], stream.trade_id[row], stream.ts_event[row], stream.price[row], stream.quantity[row]
        wanted.setdefault(tuple(value.item() for value in where), []).append(row)
    instants = {instant for instant, *_ in wanted}
    found: dict[int, tuple[Record | PackedRecord, int, bytes]] = {}
    for record, symbols in records:
        if record.ts_recv not in instants:
            continue
        for item, frame in enumerate((record.record() if isinstance(record, PackedRecord) else record).frames):
            try:
                trades = venue.decode_frame(frame, symbols)
            except FrameError:
                continue
            for told in trades:
                where = record.ts_recv, told.trade_id, told.ts_event, float(told.price), float(told.quantity)
                if told.symbol == symbol and told.void is None and (waiting := wanted.get(where)):
                    found[waiting.pop(0)] = record, item, frame
    return found

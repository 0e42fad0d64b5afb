"""What reads many frames at a time is kept from batch to batch here; and single frames are found again.

The reading itself is analytics/trade_scanner.py.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from trading_platform.analytics.trade_scanner import Scanner, SymbolTable
from trading_platform.domain.errors import FrameError
from trading_platform.domain.position import Position
from trading_platform.domain.venue import VenueAdapter
from trading_platform.ingest.bounds import Bounds
from trading_platform.store.segment_format import PackedRecord
from trading_platform.store.segment_log import Record

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


def find_frame(
    records: Iterable[Origin], venue: VenueAdapter, wanted: tuple[str, int, int], taken: Container[tuple[Position, int]]
) -> tuple[Record | PackedRecord, int, bytes]:
    """Return the frame of a trade (symbol, id, time) and where it lies, the first that is not taken yet.

    Columns of trades do not say where they came from: of nearly none is it ever asked.
    """
    for record, symbols in records:
        for item, frame in enumerate((record.record() if isinstance(record, PackedRecord) else record).frames):
            if (record.position, item) in taken:
                continue
            try:
                trades = venue.decode_frame(frame, symbols)
            except FrameError:
                continue
            if wanted in [(trade.symbol, trade.trade_id, trade.ts_event) for trade in trades]:
                return record, item, frame
    raise LookupError(f"{venue.name} {wanted[0]}: no frame of trade {wanted[1]}")

"""What reads the bytes of a lane's venues, kept from batch to batch: adapters, and scanners for their usual frames.

Wire formats are venues/. Reading many frames at a time is trade_scanner.py; when that is done is frame_decoder.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from trading_platform.domain.errors import UsageError
from trading_platform.domain.trades.sequencing import Contiguous, id_facts
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.trade_scanner import Scanner, SymbolTable
from trading_platform.venues.adapter import VenueAdapter

SCAN_AFTER = 20_000
"""Frames that a decoder reads one by one before it loads the kernels that read many: a quiet market needs none."""


class VenueReaders:
    """The adapters and scanners of one lane.

    Parameters
    ----------
    venues : adapters by venue.
    bounds : limits of a plausible trade; a scanner leaves what breaks them to the adapter.
    scan_after : see SCAN_AFTER.
    """

    def __init__(self, lane: str, venues: Mapping[str, VenueAdapter], bounds: Bounds, scan_after: int) -> None:
        self._lane, self._venues, self._bounds, self._frames_left = lane, venues, bounds, scan_after
        self._scanners: dict[str, Scanner | None] = {}
        self._tables: dict[tuple[str, ...], SymbolTable] = {}

    def adapter(self, venue: str) -> VenueAdapter:
        """Return a venue's adapter.

        Raises
        ------
        UsageError : if this version has none for a venue that the log names.
        """
        if venue not in self._venues:
            raise UsageError(f"lane {self._lane}: the venue {venue[:40]!r} is not known here; use a newer version")
        return self._venues[venue]

    def id_facts(self, venue: str) -> Contiguous:
        """Return the venue's facts about where its ids start again. Raises UsageError as `adapter` does."""
        return id_facts(self.adapter(venue).sequencing)

    def scanner(self, venue: str) -> Scanner | None:
        """Return the venue's scanner, None if it has no usual form or too few frames were read so far."""
        if self._frames_left > 0:
            return None
        if venue not in self._scanners:
            form = self.adapter(venue).trade_frame
            limits = self._bounds.earliest_ns, self._bounds.ahead_ns
            self._scanners[venue] = None if form is None else Scanner(form, *limits)
        return self._scanners[venue]

    def count_unscanned(self, frames: int) -> None:
        """Take note of frames that are read one by one."""
        self._frames_left -= frames

    def table(self, symbols: Mapping[str, str]) -> SymbolTable:
        """Return the scanner's table of a connection's symbols."""
        names = tuple(symbols)
        if names not in self._tables:
            self._tables = {names: SymbolTable(names)}  # connections of one lane seldom differ
        return self._tables[names]

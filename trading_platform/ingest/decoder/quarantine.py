"""What a batch refuses: each thing with the reason and its raw bytes, so that nothing that came is ever lost.

Here they are only collected. The ledger stores them, one row a place in the log; deciding what to refuse is for the
other parts of the decoder.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from trading_platform.completeness.records import Quarantined
from trading_platform.domain.errors import FrameError
from trading_platform.domain.position import Position
from trading_platform.domain.trades.trade import Source
from trading_platform.store.log.segment_format import PackedRecord
from trading_platform.store.log.writer import Record

_RAW_BYTES = 65_536
_DETAIL_LETTERS = 500


class Origin(NamedTuple):
    """Where in the log something was read, and how it came there.

    Attributes
    ----------
    item : the number of a frame in its record; in a page, 1 and on for its rows.
    venue : "?" where even that is not known.
    """

    record: Record | PackedRecord
    item: int
    venue: str
    source: Source


class Quarantine:
    """The refused things of one batch, in the order in which they were refused."""

    def __init__(self) -> None:
        self._entries: list[Quarantined] = []

    def refuse(
        self, origin: Origin, symbol: str | None, trade_id: int | None, error: FrameError, raw: bytes | None = None
    ) -> None:
        """Keep something apart.

        Parameters
        ----------
        symbol, trade_id : what it is about, as far as that can be told.
        raw : its own bytes; None: the whole frame that it was read from.
        """
        record, item, venue, source = origin
        if raw is None:
            frames = unpacked(record).frames
            raw = frames[item] if item < len(frames) else b""
        detail, raw = str(error)[:_DETAIL_LETTERS], raw[:_RAW_BYTES]
        self._entries.append(
            Quarantined(record.position, item, venue, symbol, trade_id, source, error.kind, detail, record.ts_recv, raw)
        )

    def withdraw(self, places: Collection[tuple[Position, int]]) -> None:
        """Forget what was refused at these places (position, item) so far."""
        self._entries = [entry for entry in self._entries if (entry.position, entry.item) not in places]

    def entries(self) -> list[Quarantined]:
        """Return what was refused."""
        return self._entries


def unpacked(record: Record | PackedRecord) -> Record:
    """Return a record with its frames taken apart."""
    return record.record() if isinstance(record, PackedRecord) else record

"""Feed a sink that may lag, fail and catch up: it reads the log by itself, behind what the ledger accounts for.

Staging is fed by the processor directly. Whatever happens to another sink, staging and the account do not notice; the
price is that its trades are decoded once more (0.3 s a million).
"""

from __future__ import annotations

from collections.abc import Mapping

from trading_platform.domain.errors import WorkError
from trading_platform.domain.position import Position
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.ingest.processor.sink import Sink
from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.fs.layout import DataDir, check_name
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.ledger import Ledger
from trading_platform.store.log.writer import LaneReader
from trading_platform.venues.adapter import VenueAdapter

BATCH_BYTES = 4 << 20


class SinkFollower:
    """Feeds one lane to one sink, from the position that it holds durably.

    Raises
    ------
    LockHeld : if another process feeds this lane to this sink.
    """

    def __init__(
        self,
        data: DataDir,
        lane: str,
        ledger: Ledger,
        venues: Mapping[str, VenueAdapter],
        bounds: Bounds,
        sink: Sink,
        *,
        batch_bytes: int = BATCH_BYTES,
        disk: Disk = REAL_DISK,
    ) -> None:
        place = data.run / "sinks" / check_name(sink.name) / check_name(lane) / "lock"
        self._lock = FileLock.acquire(place, f"feeding {lane} to {sink.name}")
        self._data, self._lane, self._ledger, self._sink = data, lane, ledger, sink
        self._venues, self._bounds, self._batch_bytes, self._disk = venues, bounds, batch_bytes, disk
        try:
            ledger.add_sink(sink.name)
            held, context = ledger.sink(lane, sink.name)
            self._contexts = {held: context}
            self._decoder = Decoder(lane, venues, bounds, context, book=ledger)
            self._reader = self._open(held)
        except BaseException:
            self._lock.release()
            raise

    @property
    def position(self) -> Position:
        """Up to where the sink was given the lane."""
        return self._reader.position

    def step(self) -> bool:
        """Give the sink one batch of what the ledger accounts for; return whether there was any.

        If the sink fails, the next step begins again from the position that it holds durably.
        """
        start, accounted = self._reader.position, self._ledger.lane(self._lane)[0]
        if start >= accounted:
            return False
        records = self._reader.read_packed(self._batch_bytes)
        if self._reader.position > accounted:
            records = [record for record in records if record.position < accounted]
            self._seek(accounted)
        end = self._reader.position
        if end == start:
            return False
        try:
            self._sink.write(self._decoder.decode(records, start, end).trades, end)
        except BaseException:
            self._begin()
            raise
        self._contexts[end] = self._decoder.context()
        return True

    def flush(self) -> Position:
        """Ask the sink what it holds durably, and remember it; return that.

        Raises
        ------
        WorkError : if it names a position that it was not given.
        """
        try:
            reached = self._sink.flush()
            if reached not in self._contexts:
                raise WorkError(f"sink {self._sink.name}: it was not given {self._lane} up to {reached}")
        except BaseException:
            self._begin()
            raise
        self._ledger.mark_flushed(self._lane, self._sink.name, reached, self._contexts[reached])
        self._contexts = {at: context for at, context in self._contexts.items() if at >= reached}
        return reached

    def close(self) -> None:
        """Give the lane back; what is not flushed is written again by the next."""
        self._reader.close()
        self._lock.release()

    def _begin(self) -> None:
        held, context = self._ledger.sink(self._lane, self._sink.name)
        self._contexts = {held: context}
        self._seek(held)
        self._decoder = Decoder(self._lane, self._venues, self._bounds, context, book=self._ledger)

    def _open(self, position: Position) -> LaneReader:
        # What is damaged is in the ledger already, as quarantined and missing.
        return LaneReader(self._data.lane(self._lane), start=position, disk=self._disk, on_damage=lambda stretch: None)

    def _seek(self, position: Position) -> None:
        self._reader.close()
        self._reader = self._open(position)

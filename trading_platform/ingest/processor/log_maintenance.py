"""Walk the log's lanes: seal segments whose trades are staged, let old ones go. Behind the publisher, never before it.

What an index says is told by the same decoder that fed the ledger; how a segment changes its form, and in which
order, is store/log/sealing.py; which may be deleted is store/retention.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from trading_platform.domain.days import DAY_NS, day_of
from trading_platform.domain.errors import CorruptionError, LockHeld, WorkError
from trading_platform.domain.id_ranges import id_runs
from trading_platform.domain.position import Position
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoded import Decoded
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.store.fs.disk import REAL_DISK, Disk, MissingFile
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import sealed_segment, sealing
from trading_platform.store.log.sealed_segment import Entry, Index
from trading_platform.store.log.segment_files import segment_numbers, segment_path
from trading_platform.store.log.segment_format import PackedRecord
from trading_platform.store.log.writer import Damaged, LaneReader, all_lanes
from trading_platform.store.retention import Retirement
from trading_platform.telemetry.logs import get_logger
from trading_platform.venues.adapter import VenueAdapter

log = get_logger(__name__)

BATCH_BYTES = 4 << 20


@dataclass
class MaintenanceReport:
    """What a round did: (lane, segment) sealed, retired, and what kept an old one from going."""

    sealed: list[tuple[str, int]] = field(default_factory=list)
    retired: list[tuple[str, int]] = field(default_factory=list)
    objections: list[str] = field(default_factory=list)


class LogMaintenance:
    """Seals and retires segments of every lane of a data directory.

    Parameters
    ----------
    retention_ns : how long a segment stays after its newest record, None for ever.
    now_ns : wall clock.
    stopping : asked between two segments; one that is begun is finished.
    """

    def __init__(
        self,
        data: DataDir,
        ledger: Ledger,
        venues: Mapping[str, VenueAdapter],
        bounds: Bounds,
        *,
        retention_ns: int | None,
        now_ns: Callable[[], int],
        stopping: Callable[[], bool] = lambda: False,
        disk: Disk = REAL_DISK,
    ) -> None:
        self._data, self._ledger, self._venues, self._bounds = data, ledger, venues, bounds
        self._retention_ns, self._now_ns, self._stopping, self._disk = retention_ns, now_ns, stopping, disk

    def keep(self) -> MaintenanceReport:
        """Go through all lanes once. A lane that another process works on is passed over."""
        kept = MaintenanceReport()
        for lane in all_lanes(self._data.log, disk=self._disk):
            if self._stopping():
                break
            try:
                with FileLock.acquire(sealing.sealing_lock(self._data, lane), f"sealing of {lane}"):
                    self._seal(lane, kept)
                    if self._retention_ns is not None:
                        self._retire(lane, self._retention_ns, kept)
            except LockHeld:
                continue
            except WorkError as error:
                # Sealing can wait: a lane that refuses now must not keep the publisher from the others.
                kept.objections.append(f"{lane}: {error}")
                log.error("sealing failed", lane=lane, reason=str(error))
        return kept

    def _seal(self, lane: str, kept: MaintenanceReport) -> None:
        directory = self._data.lane(lane)
        sealing.sweep(directory, disk=self._disk)
        sealing.finish(directory, disk=self._disk)
        _, staged, _ = self._ledger.lane(lane)
        for number in segment_numbers(directory, self._disk):
            # A sink's position is the proof that everything before it is decoded, durably.
            if number >= staged.segment or self._stopping():
                break
            if not self._disk.exists(segment_path(directory, number)):
                continue
            end = sealing.segment_end(directory, number, self._disk)
            if end is None:
                continue
            index = self._describe(lane, number, end)
            if index is None:
                # Power was lost and nobody has recovered the lane since: what is durable is not known yet.
                kept.objections.append(f"{lane}: segment {number} cannot be read to its end yet")
                break
            if sealing.seal(directory, index, end, disk=self._disk):
                kept.sealed.append((lane, number))
            else:
                log.error("segment is shorter than its records", lane=lane, segment=number)

    def _retire(self, lane: str, retention_ns: int, kept: MaintenanceReport) -> None:
        round_ = Retirement(self._data, self._ledger, self._now_ns() - retention_ns, disk=self._disk)
        gone, objection = round_.retire(lane)
        kept.retired += [(lane, number) for number in gone]
        if gone:
            log.info("old segments deleted", lane=lane, first=gone[0], last=gone[-1])
        if objection is not None:
            kept.objections.append(f"{lane}: {objection}")
            log.warning("old segment kept", lane=lane, reason=objection)

    def _describe(self, lane: str, number: int, end: int) -> Index | None:
        """Decode a segment once more and say what it gave, None if not all of it can be read."""
        context = context_before(self._data, lane, number, self._disk)
        decoder = Decoder(lane, self._venues, self._bounds, context, book=self._ledger)
        work = _Contents()
        reader = LaneReader(
            self._data.lane(lane), start=Position(number, 0), disk=self._disk, on_damage=work.damaged.append
        )
        with reader:
            while reader.position < Position(number, end):
                start = reader.position
                records = [item for item in reader.read_packed(BATCH_BYTES) if item.position.segment == number]
                if reader.position == start:
                    return None
                work.add(records, decoder.decode(records, start, min(reader.position, Position(number, end))))
        return work.index(number, context, decoder.context())


class _Contents:
    """Collects what the batches of one segment gave."""

    def __init__(self) -> None:
        self.damaged: list[Damaged] = []
        self._records = 0
        self._last_recv = 0
        self._unknown = 0
        self._ids: dict[tuple[str, str, int, str], list[np.ndarray]] = {}

    def add(self, records: list[PackedRecord], decoded: Decoded) -> None:
        self._records += len(records)
        self._last_recv = max([self._last_recv, *(record.ts_recv for record in records)])
        self._unknown += sum(item.kind == "connection" for item in decoded.batch.quarantine)
        for key, columns in decoded.trades.items():
            ids, days = np.asarray(columns.trade_id, np.int64), np.asarray(columns.ts_event, np.int64) // DAY_NS
            for day in np.unique(days):
                name = (key.venue, key.symbol, key.epoch, day_of(int(day) * DAY_NS))
                self._ids.setdefault(name, []).append(ids[days == day])

    def index(self, number: int, before: str, after: str) -> Index:
        # Trades without usable ids all have the same one here: a segment that holds some is kept.
        entries = [Entry(*name, id_runs(np.unique(np.concatenate(ids)))) for name, ids in sorted(self._ids.items())]
        damaged = [(item.position.offset, item.end.offset) for item in self.damaged if item.position.segment == number]
        return Index(number, self._records, self._last_recv, entries, self._unknown, damaged, before, after)


def context_before(data: DataDir, lane: str, number: int, disk: Disk = REAL_DISK) -> str:
    """Return the decoder's memory where a segment begins, as the sealed ones around it tell; empty if they do not."""
    directory = data.lane(lane)
    for neighbour in (number, number - 1):
        try:
            found = sealed_segment.read(directory, neighbour, disk).contents
        except (MissingFile, CorruptionError):
            continue
        return found.context_before if neighbour == number else found.context_after
    return ""

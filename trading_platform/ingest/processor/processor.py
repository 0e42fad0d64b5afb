"""Follow a lane behind its durable position: decode, account, stage. One processor a lane, by lock.

It may lag, die and start again: everything it does is done again without harm. Receiving is recorder.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.position import Position
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoded import Decoded
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.ingest.processor.staging_sink import StagingSink
from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.ledger import Ledger, Quarantined, SequenceKey
from trading_platform.store.log.writer import Damaged, LaneReader, PackedRecord
from trading_platform.telemetry.logs import get_logger
from trading_platform.venues.adapter import VenueAdapter

log = get_logger(__name__)

BATCH_BYTES = 32 << 20
"""The most of the log that is decoded at a time: a transaction costs a millisecond a symbol, whatever its size."""
BEHIND_BYTES = 4 << 20
"""Whoever finds more than this to decode at a time has fallen behind: a second of 20,000 trades is 3.5 MB."""
IDLE_S = 0.02
REST_FACTOR, LONGEST_REST_S = 10.0, 0.5
"""A batch of little costs nearly what one of much does: a step is followed by a rest, and takes a tenth of a core."""
STAGE_EVERY_S = 5.0
STAGE_FACTOR, STAGE_AT_LEAST_EVERY_S = 10.0, 60.0
"""A part costs three fsyncs: 500 symbols take seconds, so they are staged after so many times as long."""
STAGE_ROWS = 1_000_000
"""Decoded trades that are held at most, 50 bytes each: a part costs three fsyncs, whatever its size."""


def processor_lock(data: DataDir, lane: str) -> Path:
    """Return the lock that whoever decodes the lane holds."""
    return data.lane(lane) / "processor.lock"


class Processor:
    """Decodes one lane.

    Parameters
    ----------
    observe : told every decoded batch and how many trades of each sequence were new (metrics).
    over : asked before each part whether the time for a stop is used up.

    Attributes
    ----------
    behind : whether the latest step found so much that there is more than a rest to catch up with.

    Raises
    ------
    LockHeld : if another process decodes this lane.
    """

    def __init__(  # noqa: PLR0913  clock, disk and limits are handed in by name
        self,
        data: DataDir,
        lane: str,
        ledger: Ledger,
        venues: Mapping[str, VenueAdapter],
        bounds: Bounds,
        *,
        wait_s: float = 0.0,
        observe: Callable[[Decoded, dict[SequenceKey, int]], None] | None = None,
        over: Callable[[], bool] = lambda: False,
        disk: Disk = REAL_DISK,
    ) -> None:
        self._lock = FileLock.acquire(processor_lock(data, lane), f"processing of {lane}", wait_s=wait_s)
        self._lane = lane
        self._ledger = ledger
        self._observe = observe
        self._damage: list[Damaged] = []
        try:
            _, staged, context = ledger.lane(lane)
            self._reader = LaneReader(data.lane(lane), start=staged, disk=disk, on_damage=self._damage.append)
            self._decoder = Decoder(lane, venues, bounds, context, book=ledger)
        except BaseException:
            self._lock.release()  # whoever lives on and tries again must not stand in its own way
            raise
        self._sink = StagingSink(data, lane, staged, over=over, disk=disk)
        self._staged = staged
        self.behind = False

    @property
    def position(self) -> Position:
        """Through where the lane is decoded."""
        return self._reader.position

    @property
    def touched(self) -> set[tuple[str, str, str]]:
        """The (venue, symbol, day) of everything staged so far."""
        return self._sink.touched

    @property
    def unstaged(self) -> int:
        """How many decoded trades are not in staging yet."""
        return self._sink.rows

    def step(self) -> bool:
        """Decode what has become durable, up to one batch; return whether there was anything."""
        start = self._reader.position
        records = read_batch(self._reader)
        end = self._reader.position
        self.behind = sum(len(record.body) for record in records) > BEHIND_BYTES
        if end == start:
            return False
        decoded = self._decoder.decode(records, start, end)
        decoded.batch.quarantine.extend(_damaged(stretch) for stretch in self._damage)
        self._damage.clear()
        added = self._ledger.apply(decoded.batch, advance)
        for key, reset in decoded.batch.resets.items():
            log.error("the venue's ids start again", **key._asdict(), **reset._asdict())
        self._sink.write(decoded.trades, end)
        if self._observe is not None:
            self._observe(decoded, added)
        if self._sink.rows >= STAGE_ROWS:
            self.stage()
        return True

    def stage(self) -> bool:
        """Put everything decoded into staging, then say so in the ledger; return False if time was over first."""
        if self._reader.position == self._staged:
            return True
        staged = self._sink.flush()
        if staged != self._reader.position:
            return False
        self._staged = staged
        self._ledger.mark_flushed(self._lane, self._sink.name, staged, self._decoder.context())
        return True

    def drain(self) -> bool:
        """Decode and stage all that is durable now; return False if time was over before all was staged.

        What is not staged is decoded again by whoever follows the lane next.
        """
        while self.step():
            pass
        return self.stage()

    def close(self) -> None:
        """Give the lane back."""
        self._reader.close()
        self._lock.release()


class Follower(Protocol):
    """What `follow` needs of a Processor."""

    behind: bool

    def step(self) -> bool:
        """Decode a batch; return whether there was anything."""

    def stage(self) -> object:
        """Put everything decoded into staging."""


def follow(
    processor: Follower,
    *,
    judge: Callable[[], object],
    staged: Callable[[], object],
    wait: Callable[[float], bool],
    monotonic: Callable[[], float],
) -> None:
    """Decode and stage a lane that is being written, until `wait` says stop.

    Parameters
    ----------
    judge : called whenever all but the newest moments are decoded, however busy the lane is.
    staged : called after each staging.
    """
    staged_at, every_s, stopped = monotonic(), STAGE_EVERY_S, False
    while not stopped:
        began = monotonic()
        found = processor.step()
        if not processor.behind:
            judge()
        if not found:
            stopped = wait(IDLE_S)
        else:
            stopped = wait(0.0 if processor.behind else min(LONGEST_REST_S, REST_FACTOR * (monotonic() - began)))
        if not stopped and (began := monotonic()) - staged_at > every_s:
            processor.stage()
            staged()
            staged_at = monotonic()
            every_s = min(STAGE_AT_LEAST_EVERY_S, max(STAGE_EVERY_S, STAGE_FACTOR * (staged_at - began)))


def read_batch(reader: LaneReader) -> list[PackedRecord]:
    """Return the next durable records, about BATCH_BYTES of them at most, over as many segments as that takes."""
    records: list[PackedRecord] = []
    size = 0
    while size < BATCH_BYTES and (more := reader.read_packed(BATCH_BYTES - size)):
        records += more
        size += sum(len(record.body) for record in more)
    return records


def _damaged(stretch: Damaged) -> Quarantined:
    """Return the row that shows a stretch of the log that cannot be served; its ids are missing and so a gap."""
    detail = f"the log up to {stretch.end}: {stretch.reason}"
    return Quarantined(stretch.position, 0, "?", None, None, "ws", "corruption", detail, 0, b"")

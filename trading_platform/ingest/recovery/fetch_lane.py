"""A fetch lane: answers of REST endpoints and other facts go into the log first and are decoded right here.

One path and one oracle: what is fetched is read back from durable bytes exactly like what was streamed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from trading_platform.domain.errors import LockHeld, StorageError
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.processor.processor import Processor
from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import held_by
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import LOCK_NAME, Kind, LaneWriter, all_lanes, recover_lane
from trading_platform.venues.adapter import VenueAdapter

_MOST_LANES = 64
FETCHED_BYTES = 2 << 20
"""Of a segment: fetched pages are few, a lane of its own need not reserve what a live one does."""
FILES_BYTES = 16 << 20
"""Of a segment that takes files of whole days."""


class LaneEnvironment(NamedTuple):
    """What lanes are written on: clocks, entropy and the disk. The real ones unless told."""

    wall_ns: Callable[[], int] = time.time_ns
    monotonic_ns: Callable[[], int] = time.monotonic_ns
    entropy: Callable[[int], bytes] = os.urandom
    disk: Disk = REAL_DISK


REAL_ENVIRONMENT = LaneEnvironment()


class FetchLane:
    """The first free fetch lane, written and decoded by this process until `close`."""

    def __init__(
        self,
        data: DataDir,
        ledger: Ledger,
        venues: Mapping[str, VenueAdapter],
        bounds: Bounds,
        *,
        environment: LaneEnvironment = REAL_ENVIRONMENT,
        segment_bytes: int = FETCHED_BYTES,
    ) -> None:
        self._environment, self._ledger = environment, ledger
        self._writer, name = _first_free(data, environment, segment_bytes)
        try:
            self._processor = Processor(data, name, ledger, venues, bounds, wait_s=5.0, disk=environment.disk)
        except BaseException:
            self._writer.close()
            raise
        self.name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def touched(self) -> set[tuple[str, str, str]]:
        """The (venue, symbol, day) of everything staged so far."""
        return self._processor.touched

    def page(self, page: control.PageHeader, body: bytes) -> None:
        """Log an answer, durably, and decode it."""
        if page.kind == "head":
            page = msgspec.structs.replace(page, after_ns=self._known_ns(page.venue, [page.symbol]))
        if page.symbol:
            page = msgspec.structs.replace(page, resets=len(self._ledger.resets(page.venue, page.symbol)))
        self._append(Kind.PAGE, [control.encode_page(page), body])

    def fact(self, fact: control.Control) -> None:
        """Log a fact, durably, and take it into the ledger."""
        if isinstance(fact, control.LostRecord):
            fact = msgspec.structs.replace(fact, after_ns=self._known_ns(fact.venue, fact.symbols))
        self._append(Kind.CONTROL, [control.encode_control(fact)])

    def _known_ns(self, venue: str, symbols: Iterable[str]) -> int:
        """Return up to when something is known of these ends. Our clock may say less, now or when this is written."""
        return self._ledger.tail_ns(venue, symbols)

    def drain(self) -> None:
        """Decode and stage everything."""
        self._processor.drain()

    def close(self) -> None:
        """Decode and stage everything, then give the lane back."""
        try:
            self._processor.drain()
        finally:
            self._processor.close()
            self._writer.close()

    def _append(self, kind: Kind, frames: list[bytes]) -> None:
        self._writer.append(kind, frames, ts_recv=self._environment.wall_ns(), mono_ns=self._environment.monotonic_ns())
        self._writer.commit()
        while self._processor.step():
            pass


def _first_free(data: DataDir, environment: LaneEnvironment, segment_bytes: int) -> tuple[LaneWriter, str]:
    for number in range(_MOST_LANES):
        name = f"fetch-{number}"
        try:
            writer = LaneWriter.open(
                data.lane(name),
                clock=environment.wall_ns,
                entropy=environment.entropy,
                disk=environment.disk,
                segment_bytes=segment_bytes,
            )
        except LockHeld:
            continue
        return writer, name
    raise StorageError(f"all {_MOST_LANES} fetch lanes are in use")


def is_written(data: DataDir, lane: str) -> bool:
    """Tell whether a live process writes this lane."""
    return held_by(data.lane(lane) / LOCK_NAME) is not None


def settle_dead_lanes(
    data: DataDir,
    ledger: Ledger,
    venues: Mapping[str, VenueAdapter],
    bounds: Bounds,
    *,
    disk: Disk = REAL_DISK,
    stopping: Callable[[], bool] = lambda: False,
) -> set[tuple[str, str, str]]:
    """Decode what dead processes left undecoded; return the (venue, symbol, day) of what was staged.

    A lane that a live process writes or decodes is its own business and passed over. Once `stopping` says so, what is
    decoded so far is staged, and the rest is left for another time.
    """
    touched: set[tuple[str, str, str]] = set()
    for name in all_lanes(data.log, disk=disk):
        if stopping():
            break
        try:
            recover_lane(data.lane(name), disk=disk)
            processor = Processor(data, name, ledger, venues, bounds, disk=disk)
        except LockHeld:
            continue
        try:
            while not stopping() and processor.step():
                pass
            processor.stage()
            touched |= processor.touched
        finally:
            processor.close()
    return touched

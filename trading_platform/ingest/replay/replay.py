"""Rebuild from the segment log what was derived from it: ticks in the lake, and the ledger's account of ids.

The same decoder and publisher as in recording; only the start is the beginning of every lane. Where segments were
retired, a day that they gave trades to is pinned: what is left of the log is merged into it, so that no id goes.

First everything is decoded, then leaves are published, each taking the place of the old one; so a damaged log changes
nothing, and a stop at any point nothing that the next replay does not do again. What the work falls into is
tasks.py, who shares it helpers.py, where decoded trades wait spill_buffer.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.position import START
from trading_platform.domain.verdict import Gate
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoded import Listing
from trading_platform.ingest.processor.processor import processor_lock
from trading_platform.ingest.replay.helpers import Helpers, Start
from trading_platform.ingest.replay.spill_buffer import SpillBuffer, grouped
from trading_platform.ingest.replay.tasks import (
    Claims,
    ReplayContext,
    SegmentRange,
    decode_segments,
    is_stream,
    live_first,
    oldest_segment,
    publish_shares,
    segment_ranges,
    shared,
)
from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.lake import day_boundary as boundary
from trading_platform.store.ledger import Batch, Ledger
from trading_platform.store.log.sealing import sealing_lock
from trading_platform.store.log.writer import all_lanes, recover_lane
from trading_platform.venues.adapter import VenueAdapter

SEALING_WAIT_S = 60.0
"""How long a replay waits for a publisher to finish the segments it is sealing."""
HELP_FROM = 8
"""Sealed segments for each further process: starting one takes as long as decoding as many."""


class Replayed(NamedTuple):
    """What a replay did."""

    lanes: int
    trades: int
    leaves: int


class WorkerPool(NamedTuple):
    """Who works on a replay.

    Attributes
    ----------
    processes : how many at most.
    start : starts a further one.
    each : sealed segments that make one more worth it.
    together : whether to begin only when all have started, as a benchmark does.
    """

    processes: int
    start: Start
    each: int = HELP_FROM
    together: bool = False


def replay(  # noqa: PLR0913  gates, disk and callbacks are handed in by name
    data: DataDir,
    ledger: Ledger,
    venues: Mapping[str, VenueAdapter],
    bounds: Bounds,
    gate: Gate,
    *,
    days: Callable[[str], bool],
    scratch: Ledger | None,
    on_lane: Callable[[str], object],
    on_listing: Callable[[Listing], object] = lambda listing: None,
    pool: WorkerPool | None = None,
    disk: Disk = REAL_DISK,
) -> Replayed:
    """Decode the whole log again and publish the wanted days anew.

    Parameters
    ----------
    days : whether a day is wanted.
    scratch : an empty ledger; given one, the account of ids is rebuilt in it and then takes the place of the old one
        in one transaction. Where segments were retired it starts from the account so far: nothing else knows of them.
    on_lane : told each lane's name before it is read.
    on_listing : given each listing of a venue that the log holds; instruments.py publishes them.
    pool : who else may work on it; the result is the same. The account of ids is rebuilt by this process alone.

    Raises
    ------
    LockHeld : while anything records or recovers.
    CorruptionError : if the log is damaged; nothing was replaced.
    StorageError : if the gate refused a leaf, which stays as it was, or a process that helped ended early.
    """
    context = ReplayContext(data, venues, bounds, gate, days, disk)
    with ExitStack() as held:
        lanes = live_first(all_lanes(data.log))
        locks = [lock for lane in lanes for lock in _locks(data, lane, held)]
        for lane in lanes:
            recover_lane(data.lane(lane), disk=disk, wait_s=5.0)
        folder = held.enter_context(_Folder(data.staging / "replay"))
        account = scratch
        if account is None and any(row.epoch for row in ledger.sequences()):
            # Where ids started again, what a trade's id means follows from the account as it was then.
            account = held.enter_context(closing(Ledger.open(DataDir(folder))))
        helpers = _helpers(held, context, lanes, folder, locks, pool, decodes=account is None)
        if account is not None and any(oldest_segment(data, lane) for lane in lanes):
            account.adopt(ledger)
        work = _Replay(context, ledger, folder, helpers, on_listing, ahead=scratch is None)
        ends = {} if scratch is None else {lane: ledger.lane(lane)[1:] for lane in lanes}

        def decoded() -> None:
            # Before anything is published, because the ledger must know whatever is; but not yet what will be staged.
            if scratch is not None:
                for lane, before in ends.items():
                    ends[lane] = scratch.lane(lane)[1:]
                    scratch.mark_staged(lane, *before)
                ledger.adopt(scratch)

        told = work.run(lanes, account, on_lane, decoded)
        if work.whole:  # else nothing was published of the other days: what waited to be staged still does
            for lane, end in ends.items():
                ledger.mark_staged(lane, *end)
    return told


def _locks(data: DataDir, lane: str, held: ExitStack) -> list[int]:
    """Keep others from decoding and sealing a lane; return the locks' descriptors."""
    work = FileLock.acquire(processor_lock(data, lane), f"processing of {lane}", wait_s=5.0)
    held.enter_context(work)
    seals = FileLock.acquire(sealing_lock(data, lane), f"sealing of {lane}", wait_s=SEALING_WAIT_S)
    held.enter_context(seals)
    return [work.descriptor, seals.descriptor]


class _Folder:
    """A scratch folder; what a replay that was killed has left in it goes first."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Path:
        shutil.rmtree(self._path, ignore_errors=True)
        self._path.mkdir()
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


def _helpers(
    held: ExitStack,
    context: ReplayContext,
    lanes: Sequence[str],
    folder: Path,
    locks: Sequence[int],
    pool: WorkerPool | None,
    *,
    decodes: bool,
) -> Helpers | None:
    """Start as many helpers as are worth it."""
    if pool is None:
        return None
    count = min(pool.processes - 1, len(shared(context.data, lanes)) // pool.each)
    if count <= 0:
        return None
    helpers = held.enter_context(Helpers(folder, count, pool.start, locks, decodes=decodes))
    if pool.together:
        helpers.ready()
    return helpers


class _Replay:
    """What this process does."""

    def __init__(
        self,
        context: ReplayContext,
        ledger: Ledger,
        folder: Path,
        helpers: Helpers | None,
        on_listing: Callable[[Listing], object],
        *,
        ahead: bool = False,
    ) -> None:
        self._context, self._ledger, self._helpers, self._on_listing = context, ledger, helpers, on_listing
        self._decoded = {lane: decoded for lane, (decoded, _) in ledger.lane_positions().items()} if ahead else None
        self._claims = Claims(folder)
        self._held = SpillBuffer(folder / "trades", context.days)

    def run(
        self,
        lanes: Sequence[str],
        account: Ledger | None,
        on_lane: Callable[[str], object],
        decoded: Callable[[], object],
    ) -> Replayed:
        """Decode everything and say so, then publish it; tell `account` what the log says of ids."""
        try:
            trades = self._decode(lanes, account, on_lane)
            decoded()
            if self._helpers is None:
                leaves = self._held.groups()
            else:
                shares = self._helpers.shares()
                trades += sum(share.trades for share in shares)
                runs = [*self._held.spill(), *(run for share in shares for run in share.runs)]
                self._helpers.publish(runs)
                leaves = grouped(runs)
            publish_shares(self._context, self._ledger, self._claims, leaves)
            if self._helpers is not None:
                self._helpers.join()
            for leaf in leaves:
                boundary.resolve_shared(self._context.data, leaf, ledger=self._ledger, disk=self._context.disk)
        finally:
            self._held.close()
        return Replayed(len(lanes), trades, len(leaves))

    @property
    def whole(self) -> bool:
        """Whether no decoded trade was of a day that is not wanted."""
        return self._held.whole

    def _know(self, batch: Batch) -> None:
        """Tell the ledger what nobody has decoded for it yet: it must know whatever is published."""
        if self._decoded is not None and batch.end > self._decoded.get(batch.lane, START):
            self._ledger.apply(batch, advance)

    def _decode(self, lanes: Sequence[str], account: Ledger | None, on_lane: Callable[[str], object]) -> int:
        data, trades = self._context.data, 0
        free = [] if account is not None else shared(data, lanes)
        for lane in lanes:
            on_lane(lane)
            if account is not None:
                trades += self._account_for(SegmentRange(lane, oldest_segment(data, lane), None), account)
                continue
            book = None if is_stream(lane) else self._ledger
            alone = [stretch for stretch in segment_ranges(data, lane) if stretch not in free]
            for stretch in alone:
                trades += decode_segments(
                    self._context, stretch, self._held, book=book, on_batch=self._know, on_listing=self._on_listing
                ).trades
        for number in self._claims.take("stretch", len(free)):
            trades += decode_segments(self._context, free[number], self._held).trades
            if self._helpers is not None:
                self._helpers.check()
        if account is not None:
            account.settle_refused(advance)
        return trades

    def _account_for(self, lane: SegmentRange, account: Ledger) -> int:
        """Decode a whole lane in order, each batch by the account so far."""

        def tell(batch: Batch) -> None:
            account.apply(batch, advance)
            self._know(batch)

        told = decode_segments(
            self._context, lane, self._held, book=account, on_batch=tell, on_listing=self._on_listing
        )
        account.mark_staged(lane.lane, told.end, told.context)
        return told.trades

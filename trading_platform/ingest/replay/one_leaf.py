"""Rebuild one published symbol-day of ticks from the segment log while others go on recording and publishing.

A file of the lake that is damaged or gone is made again from what the log gave up to the ledger's decoded position;
what was decoded later lies in staged parts, which are merged in. Only segments that hold trades of the symbol-day are
decoded. Rebuilding everything, with nobody else at work, is replay.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

from trading_platform.completeness.gap_detector import advance
from trading_platform.completeness.records import SequenceKey
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.position import Position
from trading_platform.domain.trades.trade_columns import TradeColumns
from trading_platform.domain.verdict import Gate
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.replay.spill_buffer import SpillBuffer
from trading_platform.ingest.replay.tasks import (
    ReplayContext,
    SegmentRange,
    decode_segments,
    is_stream,
    live_first,
    oldest_segment,
    segment_ranges,
)
from trading_platform.store.fs.disk import REAL_DISK, Disk, MissingFile
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.lake import day_boundary as boundary, parquet, publish as lake, staging
from trading_platform.store.lake.publish import Published
from trading_platform.store.ledger import Batch, Ledger
from trading_platform.store.log import sealed_segment
from trading_platform.store.log.sealing import sealing_lock
from trading_platform.store.log.writer import all_lanes
from trading_platform.store.retention import is_pinned
from trading_platform.telemetry.logs import get_logger
from trading_platform.venues.adapter import VenueAdapter

log = get_logger(__name__)

Heal = Callable[[Leaf], Published]
"""Rebuilds a leaf of ticks whose file, or one of whose staged parts, is damaged."""

SEALING_WAIT_S = 60.0
"""How long it waits for a publisher to finish the segments that it is sealing."""


class LeafRebuilder:
    """Rebuilds single leaves of ticks; see the module for what it relies on.

    Parameters
    ----------
    venues, bounds : what the trades were decoded with.
    gate : asked about the rows; what it refuses is not published.
    """

    def __init__(
        self,
        data: DataDir,
        ledger: Ledger,
        venues: Mapping[str, VenueAdapter],
        bounds: Bounds,
        gate: Gate,
        *,
        disk: Disk = REAL_DISK,
    ) -> None:
        self._data, self._ledger, self._venues, self._bounds = data, ledger, venues, bounds
        self._gate, self._disk = gate, disk

    def __call__(self, leaf: Leaf) -> Published:
        """Publish the leaf anew.

        Returns
        -------
        Published : the leaf as it is now; where its verdict did not pass, nothing was replaced.

        Raises
        ------
        CorruptionError : if the log is damaged, part of it was deleted, or it holds no trade of the leaf.
        LockHeld : if segments are being sealed for longer than a minute.
        """
        if is_pinned(self._data, leaf):
            raise CorruptionError(f"{leaf.path} is damaged and part of its log was deleted: restore it from a backup")
        context = ReplayContext(self._data, self._venues, self._bounds, self._gate, leaf.day.__eq__, self._disk)
        damaged = list(self._damaged_parts(leaf))  # first: what they hold was decoded before the positions read below
        with TemporaryDirectory(dir=self._data.staging, prefix="one-leaf-") as folder, ExitStack() as stack:
            held = stack.enter_context(closing(_LeafTrades(Path(folder, "trades"), leaf, self._disk)))
            if any(row.epoch for row in self._ledger.sequences(leaf.venue, leaf.symbol)):
                # Where ids started again, what a trade's id context follows from the account as it was then.
                account = stack.enter_context(closing(Ledger.open(DataDir(Path(folder, "account")).create())))
                self._decode_in_order(context, held, account)
            else:
                self._decode_relevant(context, leaf, held)
            groups = held.groups().get(leaf, [])
            if not groups:
                raise CorruptionError(f"{leaf.path} is damaged and the log holds no trade of it")
            for path in damaged:
                self._disk.unlink(path)
            anew = [lake.DueLeaf(leaf, groups, into=False)]
            (done,) = lake.rebuild(self._data, anew, ledger=self._ledger, gate=self._gate, disk=self._disk)
        boundary.resolve_shared(self._data, leaf, ledger=self._ledger, disk=self._disk)
        log.warning(
            "damaged file rebuilt from the log", leaf=str(leaf.path), rows=done.rows, passed=done.verdict.passed
        )
        return done

    def _damaged_parts(self, leaf: Leaf) -> Iterator[Path]:
        for path in staging.parts_of(self._data, leaf):
            try:
                parquet.read(path)
            except FileNotFoundError:
                continue  # published meanwhile
            except CorruptionError:
                yield path

    def _decode_relevant(self, context: ReplayContext, leaf: Leaf, held: SpillBuffer) -> None:
        """Decode the segments that may hold trades of the leaf, each on its own."""
        for lane, end in self._ends():
            with FileLock.acquire(sealing_lock(self._data, lane), f"sealing of {lane}", wait_s=SEALING_WAIT_S):
                for stretch in segment_ranges(self._data, lane):
                    if self._may_hold(stretch, leaf):
                        book = None if is_stream(lane) else self._ledger
                        decode_segments(context, stretch, held, book=book, end=end)

    def _decode_in_order(self, context: ReplayContext, held: SpillBuffer, account: Ledger) -> None:
        """Decode every lane from its beginning, each batch by the account so far."""
        ends = self._ends()
        if any(oldest_segment(self._data, lane) for lane, _ in ends):
            account.adopt(self._ledger)

        def tell(batch: Batch) -> None:
            account.apply(batch, advance)

        for lane, end in ends:
            with FileLock.acquire(sealing_lock(self._data, lane), f"sealing of {lane}", wait_s=SEALING_WAIT_S):
                whole = SegmentRange(lane, oldest_segment(self._data, lane), None)
                decode_segments(context, whole, held, book=account, on_batch=tell, end=end)

    def _ends(self) -> list[tuple[str, Position]]:
        """Return the lanes in the order of decoding, each with the position up to which the ledger knows it."""
        decoded = {lane: position for lane, (position, _) in self._ledger.lane_positions().items()}
        return [(lane, decoded[lane]) for lane in live_first(all_lanes(self._data.log)) if lane in decoded]

    def _may_hold(self, stretch: SegmentRange, leaf: Leaf) -> bool:
        """Tell whether a stretch may hold trades of the leaf: a sealed segment says what it gave."""
        if stretch.last is None:
            return True
        try:
            entries = sealed_segment.read(self._data.lane(stretch.lane), stretch.first, self._disk).contents.entries
        except MissingFile:
            return True
        return any((e.venue, e.symbol, e.day) == (leaf.venue, leaf.symbol, leaf.day) for e in entries)


class _LeafTrades(SpillBuffer):
    """The trades of one leaf only."""

    def __init__(self, scratch: Path, leaf: Leaf, disk: Disk) -> None:
        super().__init__(scratch, leaf.day.__eq__, disk=disk)
        self._pair = (leaf.venue, leaf.symbol)

    def add(self, trades: dict[SequenceKey, TradeColumns]) -> None:
        super().add({key: columns for key, columns in trades.items() if (key.venue, key.symbol) == self._pair})

"""The parts that a replay falls into: stretches of lanes to decode, leaves to publish, and what is done for each.

A sealed segment says with which memory decoding begins in it, so those of live lanes are decoded in any order, each by
whoever takes it. What is not sealed, and answers of REST services, whose meaning may depend on what the streams said,
are decoded by the replay's own process, in order. Parts are taken by making a file that must not exist yet.

Who helps, and when, is helpers.py; what is rebuilt from the parts, replay.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trading_platform.completeness.epochs import EpochLookup
from trading_platform.domain.errors import CorruptionError, StorageError
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import Gate
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoded import Listing
from trading_platform.ingest.decoder.decoder import SCAN_AFTER, Decoder
from trading_platform.ingest.processor.log_maintenance import context_before
from trading_platform.ingest.processor.processor import read_batch
from trading_platform.ingest.replay.spill_buffer import SpillBuffer
from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import merge_slices as slices, publish as lake
from trading_platform.store.ledger import Batch, Ledger
from trading_platform.store.log.segment_files import sealed_numbers, segment_numbers, segment_path
from trading_platform.store.log.writer import LaneReader
from trading_platform.store.retention import is_pinned
from trading_platform.venues.adapter import VenueAdapter

TOGETHER = 8
"""Leaves that are published with one transaction, at most."""
SHARES = 8
"""A share is this part of what is left: so that nobody has a large one when the others are done."""


class SegmentRange(NamedTuple):
    """Segments of a lane that are decoded in one go, up to the lane's end if `last` is None."""

    lane: str
    first: int
    last: int | None


class DecodeSummary(NamedTuple):
    """What came of decoding a stretch: how many trades, where it ended, the decoder's memory there."""

    trades: int
    end: Position
    context: str


def segment_ranges(data: DataDir, lane: str) -> list[SegmentRange]:
    """Return a lane's stretches, in order; the last one is what has no sealed form behind it."""
    directory = data.lane(lane)
    numbers = segment_numbers(directory, REAL_DISK)
    sealed = set(sealed_numbers(directory, REAL_DISK))
    found: list[SegmentRange] = []
    for number in numbers:
        follows = not found or found[-1].first + 1 == number
        if number not in sealed or segment_path(directory, number).exists() or not follows:
            break
        found.append(SegmentRange(lane, number, number))
    rest = numbers[len(found)] if len(found) < len(numbers) else None
    return found if rest is None else [*found, SegmentRange(lane, rest, None)]


def is_stream(lane: str) -> bool:
    """Tell whether a lane holds what a stream sent, not answers to questions."""
    return lane.startswith("live-")


def live_first(lanes: Sequence[str]) -> list[str]:
    """Return streams before answers, which are understood by what the streams said."""
    return sorted(lanes, key=lambda lane: (not is_stream(lane), lane))


def oldest_segment(data: DataDir, lane: str) -> int:
    """Return the number of a lane's oldest segment; not 0 where those before it are retired."""
    return min(segment_numbers(data.lane(lane), REAL_DISK), default=0)


def shared(data: DataDir, lanes: Sequence[str]) -> list[SegmentRange]:
    """Return the stretches that anyone may decode, in an order that is the same for all who ask."""
    return [
        item
        for lane in lanes
        if lane.startswith("live-")
        for item in segment_ranges(data, lane)
        if item.last is not None
    ]


class Claims:
    """Takes numbered parts of the work, each for one process only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def take(self, kind: str, count: int, begin: int = 0) -> Iterator[int]:
        """Yield the numbers below `count` that nobody else has taken: from `begin` on, then those before it.

        >>> import tempfile
        >>> claims = Claims(Path(tempfile.mkdtemp()))
        >>> list(claims.take("part", 4, 2)), list(claims.take("part", 5))
        ([2, 3, 0, 1], [4])
        """
        for number in (*range(begin, count), *range(begin)):
            try:
                descriptor = os.open(self._folder / f"{kind}-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            except FileExistsError:
                continue
            os.close(descriptor)
            yield number


@dataclass(frozen=True)
class ReplayContext:
    """What every process of a replay works with."""

    data: DataDir
    venues: Mapping[str, VenueAdapter]
    bounds: Bounds
    gate: Gate
    days: Callable[[str], bool]
    disk: Disk = REAL_DISK


def decode_segments(
    context: ReplayContext,
    stretch: SegmentRange,
    held: SpillBuffer,
    *,
    book: EpochLookup | None = None,
    on_batch: Callable[[Batch], object] = lambda batch: None,
    on_listing: Callable[[Listing], object] = lambda listing: None,
    end: Position | None = None,
) -> DecodeSummary:
    """Decode a stretch; hold its trades, hand on what it tells the ledger and what the venue listed.

    Parameters
    ----------
    book : see `Decoder`.
    end : where to stop, a position up to which the lane was decoded before; None: at the end of the stretch.

    Raises
    ------
    CorruptionError : if the log is damaged there.
    """
    state = context_before(context.data, stretch.lane, stretch.first)
    # Where there are sealed segments there is much to decode.
    scan_after = 0 if sealed_numbers(context.data.lane(stretch.lane), REAL_DISK) else SCAN_AFTER
    decoder = Decoder(stretch.lane, context.venues, context.bounds, state, book=book, scan_after=scan_after)
    trades = 0
    directory = context.data.lane(stretch.lane)
    begin = Position(stretch.first, 0)
    with LaneReader(directory, start=begin, last_segment=stretch.last, on_damage=_refuse) as reader:
        while end is None or reader.position < end:
            start = reader.position
            records = read_batch(reader)
            if reader.position == start:
                break
            reached = reader.position
            if end is not None and end < reached:
                records, reached = [record for record in records if record.position < end], end
            decoded = decoder.decode(records, start, reached)
            on_batch(decoded.batch)
            for listing in decoded.listings:
                on_listing(listing)
            trades += sum(len(columns.trade_id) for columns in decoded.trades.values())
            held.add(decoded.trades)
        return DecodeSummary(trades, reader.position, decoder.context())


def _refuse(damaged: object) -> None:
    raise CorruptionError(f"the log is damaged: {damaged}; the lake keeps what it has")


def publish_shares(
    context: ReplayContext, ledger: Ledger, claims: Claims, leaves: Mapping[Leaf, Sequence[slices.Group]]
) -> None:
    """Publish those leaves that nobody else does, some at a time."""
    shares = in_shares(sorted(leaves))
    for number in claims.take("leaves", len(shares)):
        _publish(context, ledger, [(leaf, leaves[leaf]) for leaf in shares[number]])


def in_shares(leaves: Sequence[Leaf]) -> list[Sequence[Leaf]]:
    """Cut what there is to publish into shares, each smaller than the one before.

    >>> [len(share) for share in in_shares([Leaf("ticks", "binance", "BTC-USDT", "2024-08-08")] * 30)]
    [3, 3, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    shares: list[Sequence[Leaf]] = []
    done = 0
    while done < len(leaves):
        size = min(TOGETHER, max(1, (len(leaves) - done) // SHARES))
        shares.append(leaves[done : done + size])
        done += size
    return shares


def _publish(context: ReplayContext, ledger: Ledger, wanted: Sequence[tuple[Leaf, Sequence[slices.Group]]]) -> None:
    """Publish leaves anew.

    Raises
    ------
    StorageError : if the gate refused one; it stays as it was.
    """
    # A pinned leaf holds trades whose log is gone.
    anew = [lake.DueLeaf(leaf, groups, into=is_pinned(context.data, leaf)) for leaf, groups in wanted]
    for published in lake.rebuild(context.data, anew, ledger=ledger, gate=context.gate, disk=context.disk):
        if not published.verdict.passed:
            checks = " ".join(failure.check for failure in published.verdict.failures)
            raise StorageError(f"{published.leaf.path} was not published again, it stays as it was: {checks}")

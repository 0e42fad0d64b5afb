"""Rebuild from the segment log what was derived from it: ticks in the lake, and the ledger's account of ids.

The same decoder and publisher as in recording; only the start is the beginning of every lane. Where segments were
retired, a day that they gave trades to is pinned: what is left of the log is merged into it, so that no id goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import NamedTuple

from trading_platform.domain.errors import CorruptionError, StorageError
from trading_platform.domain.position import START
from trading_platform.domain.venue import VenueAdapter
from trading_platform.domain.verdict import Gate
from trading_platform.ingest.bounds import Bounds
from trading_platform.ingest.decode import Decoder
from trading_platform.ingest.gap_detector import advance
from trading_platform.ingest.log_keeping import context_before
from trading_platform.ingest.processor import STAGE_ROWS, processor_lock, read_batch
from trading_platform.ingest.sink import StagingSink
from trading_platform.store import lake, staging
from trading_platform.store.disk import REAL_DISK
from trading_platform.store.lane_files import segment_numbers
from trading_platform.store.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.store.locks import FileLock
from trading_platform.store.sealing import is_pinned, sealing_lock
from trading_platform.store.segment_log import LaneReader, all_lanes, recover_lane

SEALING_WAIT_S = 60.0
"""How long a replay waits for a publisher to finish the segments it is sealing."""


class Replayed(NamedTuple):
    """What a replay did."""

    lanes: int
    trades: int
    leaves: int


def replay(
    data: DataDir,
    ledger: Ledger,
    venues: Mapping[str, VenueAdapter],
    bounds: Bounds,
    gate: Gate,
    *,
    days: Callable[[str], bool],
    scratch: Ledger | None,
    on_lane: Callable[[str], object],
) -> Replayed:
    """Decode the whole log again and publish the wanted days anew.

    Parameters
    ----------
    days : whether a day is wanted.
    scratch : an empty ledger; given one, the account of ids is rebuilt in it and then takes the place of the old one
        in one transaction. Where segments were retired it starts from the account so far: nothing else knows of them.
    on_lane : told each lane's name before it is read.

    Raises
    ------
    LockHeld : while anything records or recovers.
    CorruptionError : if the log is damaged; nothing was replaced.
    """
    with ExitStack() as held:
        lanes = all_lanes(data.log)
        for lane in lanes:
            held.enter_context(FileLock.acquire(processor_lock(data, lane), f"processing of {lane}", wait_s=5.0))
            seals = FileLock.acquire(sealing_lock(data, lane), f"sealing of {lane}", wait_s=SEALING_WAIT_S)
            held.enter_context(seals)
            recover_lane(data.lane(lane), wait_s=5.0)
        if scratch is not None and any(_oldest(data, lane) for lane in lanes):
            scratch.adopt(ledger)
        trades = 0
        for lane in lanes:
            on_lane(lane)
            trades += _decode(data, lane, venues, bounds, days, scratch)
        if scratch is not None:
            scratch.settle_refused(advance)
            ledger.adopt(scratch)
        leaves = [leaf for leaf in sorted(staging.parts(data)) if days(leaf.day)]
        for leaf in leaves:
            # The parts are durable: whatever stops us from here on, the next publish makes the leaf from them.
            if not is_pinned(data, leaf):
                lake.remove_leaf(data, leaf, ledger=ledger)
            published = lake.publish(data, leaf, ledger=ledger, gate=gate)
            if published is None or not published.verdict.passed:
                raise StorageError(f"{leaf.path} was not published again; its trades stay in staging")
    return Replayed(len(lanes), trades, len(leaves))


def _decode(
    data: DataDir,
    lane: str,
    venues: Mapping[str, VenueAdapter],
    bounds: Bounds,
    days: Callable[[str], bool],
    scratch: Ledger | None,
) -> int:
    trades = 0
    decoder = Decoder(lane, venues, bounds, context_before(data, lane, _oldest(data, lane)))
    sink = StagingSink(data, lane, START, days=days)
    with LaneReader(data.lane(lane), on_damage=_refuse) as reader:
        while True:
            start = reader.position
            records = read_batch(reader)
            if reader.position == start:
                break
            decoded = decoder.decode(records, start, reader.position)
            if scratch is not None:
                scratch.apply(decoded.batch, advance)
            trades += sum(len(columns.trade_id) for columns in decoded.trades.values())
            sink.add(decoded.trades)
            if sink.rows >= STAGE_ROWS:
                sink.stage(reader.position)
        sink.stage(reader.position)
        if scratch is not None:
            scratch.mark_staged(lane, reader.position, decoder.context())
    return trades


def _oldest(data: DataDir, lane: str) -> int:
    """Return the number of a lane's oldest segment; not 0 where those before it are retired."""
    return min(segment_numbers(data.lane(lane), REAL_DISK), default=0)


def _refuse(damaged: object) -> None:
    raise CorruptionError(f"the log is damaged: {damaged}; the lake keeps what it has")

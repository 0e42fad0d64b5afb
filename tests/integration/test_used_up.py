"""An id whose own record says that it holds no order-book trade stays void though REST serves it as an ordinary one.

The venue's stream and its pages are played; everything of ours is real.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_bad_rows import BOUNDS, FIRST, KEY, LAST, MIDNIGHT, Venue, World, good
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.processor.log_maintenance import LogMaintenance
from trading_platform.ingest.processor.processor import Processor
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.ingest.recovery.fetch_lane import settle_dead_lanes
from trading_platform.ingest.replay.replay import replay
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, LaneWriter
from trading_platform.store.verify import verify_store
from trading_platform.venues import VENUES

LIVE = "live-binance"
LEAF = Leaf("ticks", *KEY, "2024-08-08")
VOIDS = {"type": {"X": "NA"}, "price": {"p": "0.00000000"}}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "data")
    yield world
    world.ledger.close()


def stream(world: World, voids: set[int], *, say: str = "type", ids: range = range(FIRST, LAST + 1)) -> None:
    """Receive these ids over a stream that is cut then, some of them used up without a trade; nothing is decoded."""
    names = {"BTCUSDT": "BTC-USDT"}
    now = MIDNIGHT + 3600 * 10**9
    frames = []
    for number in ids:
        row = good(number)
        data = {"e": "trade", "E": row["time"], "s": "BTCUSDT", "t": number, "p": row["price"], "q": row["qty"]}
        data |= {"T": row["time"], "m": True, "M": True} | (VOIDS[say] if number in voids else {})
        frames.append(json.dumps({"stream": "btcusdt@trade", "data": data}, separators=(",", ":")).encode())
    lane = world.data.lane(LIVE)
    with LaneWriter.open(lane, clock=lambda: 1, entropy=lambda size: b"\1" * size, segment_bytes=4096) as writer:
        for fact in (control.Started("binance", names), control.Connected("binance", 1, names)):
            writer.append(Kind.CONTROL, [control.encode_control(fact)], ts_recv=now, mono_ns=1)
        for at in range(0, len(frames), 10):
            writer.append(Kind.FRAMES, frames[at : at + 10], ts_recv=now, mono_ns=1, connection=1)
            writer.commit()
        writer.append(
            Kind.CONTROL, [control.encode_control(control.Disconnected(1, "cut"))], ts_recv=now + 1, mono_ns=2
        )
        writer.commit()


def decode(world: World) -> None:
    """Decode the stream's lane."""
    live = Processor(world.data, LIVE, world.ledger, VENUES, BOUNDS)
    live.drain()
    live.close()


def rebuild(world: World, scratch: Ledger | None) -> None:
    """Replay the whole log."""
    every = {"days": lambda day: True, "on_lane": lambda lane: None}
    replay(world.data, world.ledger, VENUES, BOUNDS, pass_all, scratch=scratch, **every)  # type: ignore[arg-type]


def check(world: World, voids: set[int]) -> None:
    """Void are exactly these, no file holds them, and everything agrees."""
    others = [number for number in range(FIRST, LAST + 1) if number not in voids]
    state = world.ledger.state(*KEY)
    assert [n for first, last in state.void for n in range(first, last + 1)] == sorted(voids)
    assert (len(state.stored), state.open()) == (len(others), [])
    assert world.stored() == others
    (day,) = world.ledger.days(*KEY)
    assert (day.first_id, day.last_id, day.stored) == (others[0], others[-1], len(others))
    assert world.ledger.withdrawn() == []
    assert verify_store(world.data, world.ledger, {"ticks": pass_all}).violations == ()


@pytest.mark.parametrize("say", list(VOIDS))
@pytest.mark.parametrize("voids", [{130, 131, 140}, {FIRST}, {LAST}], ids=["within", "first", "last"])
def test_what_rest_serves_before_the_stream_is_decoded(world: World, tmp_path: Path, voids: set[int], say: str) -> None:
    """Fetched, stored and published first; once the stream's record is decoded the ids go, everywhere, for ever."""
    world.undertake()
    world.recover(Venue({}))
    assert world.stored() == list(range(FIRST, LAST + 1))
    before = world.ledger.leaf(LEAF)
    stream(world, voids, say=say)
    decode(world)
    assert verify_store(world.data, world.ledger, {"ticks": pass_all}).violations == (), "between the two it is noted"
    publish_staged(world.data, world.ledger, pass_all)
    check(world, voids)
    after = world.ledger.leaf(LEAF)
    assert before is not None
    assert after is not None
    assert before.content_hash != after.content_hash, "what was computed from it is computed again"
    account, files = world.account(), lake.read_leaf(world.data, LEAF)
    for scratch in (None, Ledger.open(DataDir(tmp_path / "scratch").create())):
        rebuild(world, scratch)
        check(world, voids)
        assert world.account() == account
        assert lake.read_leaf(world.data, LEAF) == files


def test_a_stop_between_the_ledger_and_the_file_is_made_good(world: World) -> None:
    """The process that decoded the record dies; the next recovery publishes the day again and says that it changed."""
    world.undertake()
    world.recover(Venue({}))
    stream(world, {130})
    settle_dead_lanes(world.data, world.ledger, VENUES, BOUNDS)
    assert 130 in world.stored()
    outcome = world.recover(Venue({}))
    assert (*KEY, LEAF.day) in outcome.touched
    check(world, {130})


def test_what_rest_serves_after_the_stream_was_decoded(world: World, tmp_path: Path) -> None:
    """A recovery page across a void id does not store it, whichever process decodes it."""
    stream(world, {FIRST, 130}, ids=range(FIRST, 135))
    decode(world)
    outcome = world.recover(Venue({}))
    assert outcome.nothing_open
    world.undertake(FIRST - 1)  # a gap before the void one: the page that closes it serves that one too
    world.recover(Venue({FIRST: lambda row: row}))
    assert 130 not in world.stored()
    state = world.ledger.state(*KEY)
    assert list(state.void) == [(FIRST, FIRST), (130, 130)]
    scratch = Ledger.open(DataDir(tmp_path / "scratch").create())
    account, rows = world.account(), world.stored()
    rebuild(world, scratch)
    assert (world.account(), world.stored()) == (account, rows)
    assert verify_store(world.data, world.ledger, {"ticks": pass_all}).violations == ()


def test_a_day_without_any_trade_left_is_taken_out(world: World, tmp_path: Path) -> None:
    """Where every id that was served turns out to hold none, no file stays; a rebuild comes to the same."""
    world.undertake()
    world.recover(Venue({}))
    stream(world, set(range(FIRST, LAST + 1)))
    decode(world)
    publish_staged(world.data, world.ledger, pass_all)
    for _ in range(2):
        assert lake.leaves(world.data, "ticks") == []
        assert world.ledger.days(*KEY) == []
        assert world.account() == {
            "all": [(FIRST, LAST)], "open": [], "stored": [], "void": [(FIRST, LAST)], "unrecoverable": [],
        }  # fmt: skip
        assert verify_store(world.data, world.ledger, {"ticks": pass_all}).violations == ()
        rebuild(world, Ledger.open(DataDir(tmp_path / "scratch").create()))


def test_an_account_of_before_is_put_right_by_a_replay(world: World, tmp_path: Path) -> None:
    """`replay --ledger --from … --to …` of other days: the rebuilt account has the id void, its file follows."""
    world.undertake()
    world.recover(Venue({}))
    kept = world.ledger
    stream(world, {130})
    scratch = Ledger.open(DataDir(tmp_path / "scratch").create())
    every = {"days": lambda day: day != LEAF.day, "on_lane": lambda lane: None}
    replay(world.data, kept, VENUES, BOUNDS, pass_all, scratch=scratch, **every)  # type: ignore[arg-type]
    assert 130 in world.stored()
    assert verify_store(world.data, kept, {"ticks": pass_all}).violations == ()
    decode(world)
    publish_staged(world.data, kept, pass_all)
    check(world, {130})


def test_old_segments_go_although_a_void_id_was_served(world: World) -> None:
    """That the id of a page is not published keeps no segment; what is left of the log still knows it for void."""
    world.undertake()
    world.recover(Venue({}))
    stream(world, {130})
    decode(world)
    publish_staged(world.data, world.ledger, pass_all)
    keeper = LogMaintenance(
        world.data, world.ledger, VENUES, BOUNDS, retention_ns=0, now_ns=lambda: int(world.now_s * 1e9) + 10**18
    )
    kept = keeper.keep()
    assert kept.objections == []
    assert kept.retired
    rebuild(world, None)
    check(world, {130})

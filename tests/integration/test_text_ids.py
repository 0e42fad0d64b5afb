"""Symbols whose ids prove nothing, from the log to bars: stored once, compared by the day, never complete."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from quality.schemas import GATES
from tests.support.builders.text_venue import NAME, Print, TextVenue, frame
from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.days import day_start
from trading_platform.domain.position import Position
from trading_platform.ingest.decoder.archive.pieces import pack
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoded import Decoded
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.ingest.processor.staging_sink import StagingSink
from trading_platform.ingest.recovery.open_tails import unknown_ends
from trading_platform.ingest.replay.spill_buffer import SpillBuffer
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import merge_slices as slices, publish as lake
from trading_platform.store.lake.coverage import coverage
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, Record
from trading_platform.store.verify import verify_store

DAY, NEXT = "2024-08-08", "2024-08-09"
NOON = day_start(DAY) + 12 * 3600 * 10**9
MS = 10**6
SPOT, PERP = "BTC-USDT", "BTC-USDT-PERP"
VENUES = {NAME: TextVenue()}
LATER = day_start("2024-09-01")


class World:
    """A data directory that is fed records as a lane would hold them."""

    def __init__(self, path: Path) -> None:
        self.data = DataDir(path).create()
        self.ledger = Ledger.open(self.data)
        self._at = 0
        self._decoders: dict[str, Decoder] = {}

    def record(self, kind: Kind, *frames: bytes, connection: int = 0, late_ms: int = 0) -> Record:
        """Return the next record."""
        self._at += 1
        at = Position(0, self._at)
        recv = NOON + self._at * MS + late_ms * MS
        return Record(at, Position(0, self._at + 1), kind, connection, recv, self._at, frames)

    def decode(self, *records: Record, lane: str = f"live-{NAME}") -> Decoded:
        """Decode records as the next of a lane."""
        bounds = Bounds.of("2020-01-01")
        decoder = self._decoders.setdefault(lane, Decoder(lane, VENUES, bounds))  # type: ignore[arg-type]
        return decoder.decode(records, records[0].position, records[-1].end)

    def take(self, *records: Record, lane: str = f"live-{NAME}") -> Decoded:
        """Decode, and bring it into the ledger and staging."""
        decoded = self.decode(*records, lane=lane)
        self.ledger.apply(decoded.batch, advance)
        sink = StagingSink(self.data, lane, records[0].position)
        sink.write(decoded.trades, records[-1].end)
        sink.flush()
        return decoded

    def connect(self, number: int = 1, symbols: Sequence[str] = (SPOT, PERP)) -> Record:
        """Return the record of a new connection."""
        told = control.Connected(NAME, number, {symbol: symbol for symbol in symbols})
        return self.record(Kind.CONTROL, control.encode_control(told))

    def frames(self, symbol: str, *rows: Print, connection: int = 1) -> Record:
        """Return a record of one frame."""
        return self.record(Kind.FRAMES, frame(symbol, *rows), connection=connection)

    def page(self, symbol: str, *rows: Print, source: str = "archive") -> Record:
        """Return the record of a page."""
        told = control.PageHeader(NAME, "trades", symbol, source=source)  # type: ignore[arg-type]
        return self.record(Kind.PAGE, control.encode_page(told), frame(symbol, *rows))

    def listing(self, symbol: str, *rows: Print, day: str = DAY) -> list[Record]:
        """Return the records of a day's listing, in pieces of two rows."""
        facts = control.ListingBegins(NAME, symbol, day), control.Listed(NAME, symbol, day, len(rows))
        begins, listed = (self.record(Kind.CONTROL, control.encode_control(fact)) for fact in facts)
        pieces = []
        for at in range(0, len(rows), 2):
            text = b"".join(json.dumps(row).encode() + b"\n" for row in rows[at : at + 2])
            told = control.PageHeader(NAME, "archive", symbol, source="archive", day=day, size=len(text))
            pieces.append(self.record(Kind.PAGE, control.encode_page(told), pack(text)))
        return [begins, *pieces, self.record(Kind.CONTROL, listed.frames[0])]

    def publish(self) -> None:
        """Publish what is staged."""
        publish_staged(self.data, self.ledger, GATES["ticks"])

    def ticks(self, symbol: str) -> list[dict[str, object]]:
        """Return the published trades."""
        found = lake.read_leaf(self.data, Leaf("ticks", NAME, symbol, DAY))
        return [] if found is None else found.to_pylist()

    def state(self, symbol: str, now_ns: int = LATER) -> list[tuple[str, int, int | None, str]]:
        """Return day, stored, expected, state."""
        days = self.ledger.day_report(now_ns, NAME, symbol)
        return [(row.day, row.stored, row.expected, row.state) for row in days]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give an empty world."""
    there = World(tmp_path)
    yield there
    there.ledger.close()


A, B, C = Print("a", NOON), Print("b", NOON), Print("c", NOON + 5 * MS, price="101")


def test_a_repeated_frame_is_one_trade_and_two_equal_trades_are_two(world: World) -> None:
    """What tells repeats from equals is the channel's id, also over two connections and over batches."""
    world.take(world.connect(), world.frames(SPOT, A, B), world.frames(SPOT, A))
    world.take(world.connect(2), world.frames(SPOT, B, connection=2), world.frames(SPOT, C, connection=2))
    world.publish()
    rows = world.ticks(SPOT)
    assert [row["price"] for row in rows] == [100.5, 100.5, 101.0]
    assert {row["trade_id"] for row in rows} == {None}
    assert [str(row["trade_uid"])[-2:] for row in rows] == ["-0", "-1", "-0"]
    assert verify_store(world.data, world.ledger, GATES).violations == ()


def test_all_channels_agree_on_a_trade(world: World) -> None:
    """Stream, REST and archive copies of one trade are one row; the one received first wins."""
    world.take(world.connect(), world.frames(SPOT, A, B), world.frames(PERP, A, B))
    world.take(world.page(SPOT, Print("1", NOON), source="rest"), lane="fetch-0")
    world.take(world.page(SPOT, Print("1", NOON, price="100.50"), Print("2", NOON), C), lane="fetch-0")
    world.take(world.page(PERP, B, A, C), lane="fetch-0")
    world.publish()
    for symbol in (SPOT, PERP):
        assert [row["source"] for row in world.ticks(symbol)] == ["ws", "ws", "archive"]
    assert [row["trade_uid"] for row in world.ticks(PERP)] == ["a", "b", "c"]


def test_a_finer_time_of_another_channel_is_kept(world: World) -> None:
    """A trade named by all channels alike has one time, the finest; another price is a conflict."""
    world.take(world.connect(), world.frames(PERP, A))
    world.take(world.page(PERP, A._replace(ns=NOON + 100_000)), lane="fetch-0")
    world.take(world.page(PERP, A._replace(price="99")), lane="fetch-0")
    world.publish()
    assert [row["ts_event"].value - NOON for row in world.ticks(PERP)] == [100_000]  # type: ignore[attr-defined]
    (conflict,) = world.ledger.conflicts()
    assert '"trade_uid":"a"' in conflict.kept
    assert '"price":99.0' in conflict.other


def test_a_day_is_reconciled_only_by_an_equal_listing(world: World) -> None:
    """Not before, not by one that is shorter, longer or could not be read whole; never by the clock."""
    world.take(world.connect(), world.frames(SPOT, A, C))
    world.publish()
    assert world.state(SPOT) == [(DAY, 2, None, "recording")]  # its stream lives
    gone = world.record(Kind.CONTROL, control.encode_control(control.Disconnected(1, "test")))
    world.take(gone)
    assert world.state(SPOT) == [(DAY, 2, None, "unproven")]
    bad = Print("d", NOON, side="none")
    world.take(*world.listing(SPOT, A, B, bad), lane="fetch-0")
    world.publish()
    assert world.state(SPOT) == [(DAY, 3, 3, "unproven")]
    world.take(*world.listing(SPOT, A, B, C), lane="fetch-0")
    assert world.state(SPOT) == [(DAY, 3, 3, "reconciled")]
    world.take(*world.listing(SPOT, A, C), lane="fetch-0")
    assert world.state(SPOT) == [(DAY, 3, 2, "unproven")]


def test_a_trade_that_its_listing_contradicts_leaves_the_day_unproven(world: World) -> None:
    """The numbers agree, one price does not: both copies are on record. What REST alone contradicts decides nothing."""
    first, second = Print("a", NOON), Print("b", NOON + MS)
    world.take(world.connect(), world.frames(PERP, first, second))
    world.take(world.page(PERP, first._replace(price="98.5"), source="rest"))
    world.take(*world.listing(PERP, first, second), lane="fetch-0")
    world.publish()
    assert world.state(PERP)[0][3] == "reconciled" and len(world.ledger.conflicts()) == 1
    world.take(*world.listing(PERP, first, second._replace(price="99.5")), lane="fetch-1")
    world.take(world.record(Kind.CONTROL, control.encode_control(control.LostRecord(NAME, [PERP]))))
    world.publish()
    assert world.state(PERP)[0] == (DAY, 2, 2, "unproven")
    assert len(world.ledger.conflicts()) == 2


def test_bars_and_coverage_say_what_is_proved(world: World) -> None:
    """Without a listing no bar is complete and nothing proved; with one every bar of the day is."""
    world.take(world.connect(), world.frames(SPOT, A, C))
    world.publish()
    pipeline = Pipeline(world.data, world.ledger, gates=dict(GATES), timeframes=("1m", "1h"))
    leaf = Leaf("bars", NAME, SPOT, DAY, "1h")

    def bars() -> list[tuple[int, bool, str | None]]:
        pipeline.refresh_range(["bars"], DAY, DAY)
        table = lake.read_leaf(world.data, leaf)
        assert table is not None
        columns = (table[name].to_pylist() for name in ("trade_count", "complete", "proof"))
        return list(zip(*columns, strict=True))

    assert [row for row in bars() if row[0]] == [(2, False, None)]
    assert {row[1] for row in bars()} == {False}
    assert coverage(world.data, world.ledger, NAME, SPOT)["state"].to_pylist() == ["open"]
    world.take(*world.listing(SPOT, A, C), lane="fetch-0")
    world.publish()
    assert bars() == [(2, True, "listing")]  # intervals that are known to be empty have no row
    assert coverage(world.data, world.ledger, NAME, SPOT)["state"].to_pylist() == ["proved"]
    assert verify_store(world.data, world.ledger, GATES).violations == ()


def test_the_ledger_claims_nothing_of_ids(world: World) -> None:
    """There is no account of ids, so no gap and no end that a probe could find; what was heard is on record."""
    world.take(world.connect(), world.frames(SPOT, A), world.frames(SPOT, C))
    rows = world.ledger.sequences(NAME)
    assert [(row.symbol, row.numbered, row.tail) for row in rows] == [(SPOT, False, "live")]
    assert unknown_ends(world.data, rows) == []
    assert world.ledger.gaps() == []
    (span,) = world.ledger.heard(NAME, SPOT)
    assert span[1] - span[0] == MS


def test_what_a_batch_tells_is_written_once(world: World) -> None:
    """Batches applied again, or in another order, leave the same."""
    first = world.decode(world.connect(), world.frames(SPOT, A))
    second = world.decode(world.frames(SPOT, C))
    third = world.decode(*world.listing(SPOT, A, C), lane="fetch-0")
    found = []
    for order in ([third, second, first, second], [first, second, third, first]):
        for batch in order:
            world.ledger.apply(batch.batch, advance)
        found.append((world.ledger.heard(NAME, SPOT), world.ledger.text_days(NAME, SPOT)))
    assert found[0] == found[1]


@pytest.mark.parametrize("limit", [0, 100])
def test_a_replay_holds_text_ids(world: World, tmp_path: Path, limit: int) -> None:
    """What is spilled to a file comes back with its text ids."""
    decoded = world.decode(world.connect(), world.frames(PERP, A, B), world.frames(SPOT, C))
    held = SpillBuffer(tmp_path / "trades", lambda day: True, limit=limit)
    held.add(decoded.trades)
    groups = held.groups()[Leaf("ticks", NAME, PERP, DAY)]
    (table,) = slices.slices([], groups=groups)
    assert table["trade_uid"].to_pylist() == ["a", "b"]
    assert table["trade_id"].null_count == 2


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_the_larger_multiplicity_holds(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever deliveries lose and repeat, of each payload as many are held as the fullest delivery shows."""
    world = World(tmp_path_factory.mktemp("world"))
    prints = [Print(f"t{at}", NOON + (at % 2) * MS, price=data.draw(st.sampled_from(["1", "2"]))) for at in range(6)]
    most: Counter[tuple[int, str]] = Counter()
    world.take(world.connect())
    streamed: set[Print] = set()  # all connections of a lane are one delivery: they share their ids
    for _ in range(data.draw(st.integers(1, 3))):
        sent = data.draw(st.lists(st.sampled_from(prints), min_size=1, max_size=8))
        streamed.update(sent)
        world.take(world.frames(SPOT, *sent))
    for delivery in [streamed, *data.draw(st.lists(st.sets(st.sampled_from(prints), min_size=1), max_size=2))]:
        if delivery is not streamed:
            numbered = [each._replace(id=str(row)) for row, each in enumerate(sorted(delivery))]
            world.take(world.page(SPOT, *numbered), lane="fetch-0")
        most |= Counter((each.ns, each.price) for each in delivery)
    world.publish()
    held = Counter((row["ts_event"].value, f"{row['price']:g}") for row in world.ticks(SPOT))  # type: ignore[attr-defined]
    world.ledger.close()
    assert held == most

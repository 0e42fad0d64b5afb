"""Decoding a venue whose ids start again: whose trades are whose, what is kept apart, what the ledger makes of it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.unit.ingest.decoder.test_decoder import CONNECTED, KEY, NOW, fact, record, trade
from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.position import START, Position
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoded import Decoded
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import EpochReset, Ledger, SequenceKey
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, LaneReader, LaneWriter, Record
from trading_platform.venues import VENUES

MS = 10**6
NOW_MS = NOW // MS
BOUNDS = Bounds.of("2020-01-01")
NEW = KEY._replace(epoch=1)
OLD_IDS, NEW_IDS = range(1000, 1010), range(1, 6)
EXPECTED = EpochReset(1009, NOW + 9 * MS, 1, NOW + 100 * MS, NOW + 50)


def frames(ids: range, ms: int, at: int, every: int = 1) -> Record:
    """Return a receive run of trades, a millisecond apart."""
    return record(Kind.FRAMES, *(trade(n, ms=NOW_MS + ms + every * i) for i, n in enumerate(ids)), at=at, connection=1)


OLD, RESET = frames(OLD_IDS, 0, 40), frames(NEW_IDS, 100, 50)


def page(ids: range, ms: int, at: int, epoch: int = 0, kind: str = "trades", last: int | None = None) -> Record:
    """Return an answer of REST that was asked for ids of an epoch."""
    rows = [
        {"id": n, "price": "100.5", "qty": "0.1", "quoteQty": "10.05", "time": NOW_MS + ms + i, "isBuyerMaker": True}
        for i, n in enumerate(ids)
    ]
    from_id = ids.start if kind == "trades" else None
    head = control.PageHeader("binance", kind, "BTC-USDT", from_id, last, epoch=epoch)  # type: ignore[arg-type]
    return record(Kind.PAGE, control.encode_page(head), json.dumps(rows).encode(), at=at)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(DataDir(tmp_path).create())
    yield ledger
    ledger.close()


class Lanes:
    """A stream's lane and one of answers, decoded into a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.stream = Decoder("live-binance", VENUES, BOUNDS, book=ledger)
        self.answers = Decoder("fetch-0", VENUES, BOUNDS, book=ledger)

    def take(self, *records: Record) -> Decoded:
        """Decode one batch, and let the stream's lane be read on by another process."""
        decoder = self.answers if records[0].kind == Kind.PAGE else self.stream
        decoded = decoder.decode(records, START, Position(0, records[-1].position.offset + 1))
        self.ledger.apply(decoded.batch, advance)
        self.stream = Decoder("live-binance", VENUES, BOUNDS, self.stream.context(), book=self.ledger)
        return decoded

    def stored(self) -> dict[int, list[tuple[int, int]]]:
        """Return what is held of each epoch."""
        return {row.epoch: list(self.ledger.state(*row[:3]).stored) for row in self.ledger.sequences()}


@pytest.fixture
def lanes(ledger: Ledger) -> Lanes:
    lanes = Lanes(ledger)
    lanes.take(CONNECTED)
    return lanes


def test_a_reset_within_a_batch(lanes: Lanes) -> None:
    """Old and new trades are of two sequences; the reset is told; nothing is kept apart."""
    decoded = lanes.take(OLD, RESET)
    assert {key: columns.trade_id.tolist() for key, columns in decoded.trades.items()} == {
        KEY: list(OLD_IDS),
        NEW: list(NEW_IDS),
    }
    assert decoded.batch.resets == {NEW: EXPECTED}
    assert decoded.batch.quarantine == []
    assert lanes.ledger.resets("binance", "BTC-USDT") == [EXPECTED]
    rows = [(row.epoch, row.from_id, row.head, row.tail) for row in lanes.ledger.sequences()]
    assert rows == [(0, 1000, 1009, "closed"), (1, 1, 5, "live")]
    assert lanes.ledger.gaps() == []


def test_a_reset_between_two_batches(lanes: Lanes) -> None:
    """The first trade of a new numbering waits in quarantine, and counts with the second, from where it lies."""
    lanes.take(OLD, frames(NEW_IDS[:1], 100, 45))
    assert lanes.ledger.quarantined() == {("binance", "BTC-USDT", "numbering"): 1}
    assert lanes.stored() == {0: [(1000, 1009)]}
    decoded = lanes.take(frames(NEW_IDS[1:], 101, 50))
    assert decoded.batch.readmitted == [(Position(0, 45), 0)]
    assert decoded.trades[NEW].ts_recv.tolist() == [NOW + 45] + [NOW + 50] * 4
    assert lanes.ledger.quarantined() == {}
    assert lanes.stored() == {0: [(1000, 1009)], 1: [(1, 5)]}


def test_taking_a_batch_again_changes_nothing(lanes: Lanes) -> None:
    """A processor that was killed before it staged decodes again, and ends the same."""
    before = lanes.stream.context()
    batches = [(OLD, frames(NEW_IDS[:1], 100, 45)), (frames(NEW_IDS[1:], 101, 50),)]
    for batch in batches:
        lanes.take(*batch)
    once = (lanes.stored(), lanes.ledger.quarantined(), lanes.ledger.sequences())
    lanes.stream = Decoder("live-binance", VENUES, BOUNDS, before, book=lanes.ledger)
    for batch in batches:
        lanes.take(*batch)
    assert (lanes.stored(), lanes.ledger.quarantined(), lanes.ledger.sequences()) == once


def test_a_stray_frame_is_found_again_with_its_bytes(tmp_path: Path) -> None:
    """Frames read many at a time know where they came from once one is kept apart."""
    lane = tmp_path / "live-binance"
    writer = LaneWriter.open(lane, clock=lambda: 0, entropy=random.Random(1).randbytes)
    writer.append(Kind.CONTROL, CONNECTED.frames, ts_recv=NOW, mono_ns=0)
    run = [*OLD.frames, trade(7, ms=NOW_MS + 50), trade(1010, ms=NOW_MS + 60)]
    writer.append(Kind.FRAMES, run, ts_recv=NOW + 1, mono_ns=1, connection=1)
    writer.close()
    decoder = Decoder("live-binance", VENUES, BOUNDS, scan_after=0)
    with LaneReader(lane) as reader:
        decoded = decoder.decode(reader.read_packed(), START, reader.position)
    (stray,) = decoded.batch.quarantine
    assert (stray.kind, stray.trade_id, stray.item, stray.raw) == ("numbering", 7, 10, run[10])
    assert decoded.trades[KEY].trade_id.tolist() == [*OLD_IDS, 1010]


def test_pages_are_of_the_numbering_of_their_time(lanes: Lanes) -> None:
    """Once a reset is known, old and new ids that are equal are told apart by when they were traded."""
    lanes.take(frames(range(1, 4), 0, 30), frames(range(6, 10), 6, 40), frames(range(1, 4), 100, 50))
    lanes.take(frames(range(6, 8), 106, 60))
    assert [(gap.epoch, gap.first_missing) for gap in lanes.ledger.gaps()] == [(0, 4), (1, 4)]
    lanes.take(page(range(3, 7), 2, 70, epoch=0, last=6))
    assert lanes.stored() == {0: [(1, 9)], 1: [(1, 3), (6, 7)]}
    lanes.take(page(range(3, 7), 102, 80, epoch=1, last=6))
    assert lanes.stored() == {0: [(1, 9)], 1: [(1, 7)]}


def test_a_page_of_a_numbering_that_no_stream_has_shown(lanes: Lanes) -> None:
    """Its trades fill nothing, open nothing and are kept apart; what was asked for is said not to be served."""
    lanes.take(frames(range(1000, 1003), 0, 30), frames(range(1006, 1010), 6, 40))
    decoded = lanes.take(page(range(1002, 1007), 500, 70, last=1006))
    assert lanes.stored() == {0: [(1000, 1002), (1006, 1009)]}
    assert {item.kind for item in decoded.batch.quarantine} == {"numbering"}
    assert [item.trade_id for item in decoded.batch.quarantine] == [1003, 1004, 1005]  # others are held: contradictions
    head = lanes.take(page(range(3, 4), 600, 80, kind="head"))
    assert [(row.from_id, row.head, row.tail) for row in lanes.ledger.sequences()] == [(1000, 1009, "closed")]
    assert head.batch.seen[KEY].witnessed == -1


def test_a_page_received_before_the_reset_was_known(lanes: Lanes) -> None:
    """It is understood as it would have been then, whenever it is decoded."""
    lanes.take(OLD, RESET)
    decoded = lanes.take(page(range(7, 9), 106, 49))
    assert decoded.trades == {}
    decoded = lanes.take(page(range(7, 9), 106, 51))
    assert decoded.trades[NEW].trade_id.tolist() == [7, 8]


def test_a_page_that_disagrees_is_a_contradiction_and_no_epoch(lanes: Lanes) -> None:
    """A held trade at another time stays a copy of that trade: which one counts is decided when they are merged."""
    lanes.take(OLD)
    decoded = lanes.take(page(range(1003, 1005), 5000, 70))
    assert decoded.trades[KEY].trade_id.tolist() == [1003, 1004]
    assert lanes.ledger.resets("binance", "BTC-USDT") == []


def test_what_is_said_of_an_ended_numbering(lanes: Lanes) -> None:
    """Its tail stays closed; what is declared, refused or promised is of the epoch that it names."""
    lanes.take(frames(range(1000, 1003), 0, 30), frames(range(1006, 1010), 6, 40), RESET)
    lanes.take(fact(control.LostRecord("binance", ["BTC-USDT"]), at=60))
    assert [row.tail for row in lanes.ledger.sequences()] == ["closed", "open"]
    lanes.take(fact(control.Declared("binance", "BTC-USDT", 1003, 1005, "gone", epoch=0), at=70))
    assert list(lanes.ledger.state("binance", "BTC-USDT", 0).unrecoverable) == [(1003, 1005)]
    assert lanes.ledger.gaps() == []
    lanes.take(fact(control.Undertaken("binance", "BTC-USDT", 0, epoch=1), at=80))
    assert [(row.epoch, row.from_id) for row in lanes.ledger.sequences()] == [(0, 1000), (1, 0)]


def test_gaps_of_an_ended_numbering_do_not_stay_for_ever(lanes: Lanes) -> None:
    """Asked for twice, ten minutes apart, and answered with another numbering only, they are lost: not served."""
    lanes.take(frames(range(1000, 1003), 0, 30), frames(range(1006, 1010), 6, 40), RESET)
    for at in (60, 60 + 601 * 10**9):
        lanes.take(page(range(1002, 1002), 0, at, last=1006))
    assert lanes.ledger.gaps() == []
    assert list(lanes.ledger.state("binance", "BTC-USDT", 0).unrecoverable) == [(1003, 1005)]


def test_days_of_two_numberings_are_one_row_and_never_complete(lanes: Lanes) -> None:
    """The day on which ids start again is incomplete, its counts those of both numberings."""
    lanes.take(OLD, RESET)
    (day,) = lanes.ledger.day_report(NOW + 10 * 86_400 * 10**9)
    assert (day.first_id, day.last_id, day.expected, day.stored) == (1000, 5, None, 15)
    assert day.state == "recording"
    lanes.take(page(range(5, 6), 104, 90, kind="head"))
    assert lanes.ledger.day_report(NOW + 10 * 86_400 * 10**9)[0].state == "incomplete"


def test_refused_copies_are_of_the_numbering_that_was_known(lanes: Lanes) -> None:
    """Two refused copies from before a reset close no id of the numbering after it."""
    lanes.take(frames(range(1, 4), 0, 30), frames(range(6, 10), 6, 40))
    bad = b'[{"id":5,"price":"x","qty":"1","quoteQty":"1","time":1,"isBuyerMaker":true}]'
    asked = control.encode_page(control.PageHeader("binance", "trades", "BTC-USDT", 5))
    for at in (41, 42):
        lanes.take(record(Kind.PAGE, asked, bad, at=at))
    assert list(lanes.ledger.state("binance", "BTC-USDT").unrecoverable) == [(5, 5)]
    lanes.take(frames(range(1, 4), 100, 50), frames(range(6, 8), 106, 60))
    assert list(lanes.ledger.state("binance", "BTC-USDT", 1).unrecoverable) == []
    assert [(gap.epoch, gap.first_missing, gap.last_missing) for gap in lanes.ledger.gaps()] == [(0, 4, 4), (1, 4, 5)]


def test_a_first_stream_begins_with_what_is_on_record(lanes: Lanes) -> None:
    """Ids that started again between a fetch and the first stream are found out by what was fetched."""
    lanes.take(page(range(1000, 1010), 0, 10))
    lanes.take(RESET)
    assert lanes.stored() == {0: [(1000, 1009)], 1: [(1, 5)]}
    assert SequenceKey("binance", "BTC-USDT", 1) == NEW


def test_a_page_says_with_which_resets_it_is_understood(lanes: Lanes) -> None:
    """Not the clock, which may be set back, but what was on record when the page was logged decides."""
    lanes.take(OLD, RESET)
    early = msgspec.structs.replace(control.PageHeader("binance", "trades", "BTC-USDT", 7, epoch=1), resets=1)
    late = msgspec.structs.replace(early, resets=0)
    body = page(range(7, 9), 106, 0).frames[1]
    decoded = lanes.take(record(Kind.PAGE, control.encode_page(late), body, at=99))
    assert decoded.trades == {}
    decoded = lanes.take(record(Kind.PAGE, control.encode_page(early), body, at=1))
    assert decoded.trades[NEW].trade_id.tolist() == [7, 8]
    assert lanes.stored()[1] == [(1, 5), (7, 8)]


ABSURD_MS = {"years before": -4 * 365 * 86_400_000, "an hour before": -3_600_000, "months ahead": 300 * 86_400_000}
UNDERTAKEN = fact(control.Undertaken("binance", "BTC-USDT", 990), at=60)


def absurd_first(ms: int) -> list[Record]:
    """Return a stream whose first trade tells a time that cannot be, far from those of the others."""
    return [frames(range(1000, 1001), ms, 30), frames(range(1001, 1010), 1, 40)]


@pytest.mark.parametrize("ms", ABSURD_MS.values(), ids=ABSURD_MS)
@pytest.mark.parametrize("place", [1000, 1004], ids=["the first", "one among others"])
@pytest.mark.parametrize("pages_first", [False, True], ids=["stream first", "pages first"])
def test_one_absurd_time_does_not_keep_the_ids_below_open(lanes: Lanes, ms: int, place: int, pages_first: bool) -> None:
    """What was undertaken below it is held once it is served, whichever lane is decoded first; it stays stored."""
    others = [frames(range(n, n + 1), ms if n == place else n - 1000, n - 960) for n in range(1000, 1010)]
    pages = [page(range(990, 996), -10, 70, last=1000), page(range(995, 1001), -5, 80, last=1000)]
    if pages_first:
        lanes.take(UNDERTAKEN)
    else:
        lanes.take(*others)
        lanes.take(UNDERTAKEN)
    for one in pages:
        lanes.take(one)
    if pages_first:
        lanes.take(*others)
    assert lanes.stored() == {0: [(990, 1009)]}
    assert lanes.ledger.gaps() == []
    assert lanes.ledger.quarantined() == {}
    assert lanes.ledger.resets("binance", "BTC-USDT") == []


def test_one_absurd_time_does_not_let_another_numbering_in(lanes: Lanes) -> None:
    """Ids that were asked for and are later than everything held are of another numbering, whatever the first said."""
    lanes.take(*absurd_first(ABSURD_MS["years before"]))
    lanes.take(UNDERTAKEN)
    lanes.take(page(range(990, 1000), 500, 70, last=999))
    assert lanes.stored() == {0: [(1000, 1009)]}
    assert lanes.ledger.quarantined() == {("binance", "BTC-USDT", "numbering"): 10}


def test_what_nobody_asked_for_below_the_first_is_kept_apart(lanes: Lanes) -> None:
    """An id far below in an answer that was asked for others, or for the newest, opens nothing down to it."""
    lanes.take(OLD)
    lanes.take(page(range(7, 8), 5, 70, kind="head"))
    lanes.take(page(range(1000, 1001), 0, 80, last=1005), page(range(8, 9), 5, 90, epoch=1))
    assert lanes.stored() == {0: [(1000, 1009)]}
    assert [(row.epoch, row.from_id) for row in lanes.ledger.sequences()] == [(0, 1000)]

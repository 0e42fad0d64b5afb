"""Decoding a lane: trades as columns, facts for the ledger, everything else kept apart with its bytes."""

from __future__ import annotations

import json

import pytest

from trading_platform.completeness.records import Claim, SequenceKey, TailEvent
from trading_platform.domain.days import day_start
from trading_platform.domain.errors import UsageError
from trading_platform.domain.position import START, Position
from trading_platform.domain.trades.trade import SOURCES
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoded import Decoded
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, Record
from trading_platform.venues import VENUES

KEY = SequenceKey("binance", "BTC-USDT")
NOW = day_start("2024-08-08") + 3600 * 10**9
SYMBOLS = {"BTCUSDT": "BTC-USDT"}


def record(kind: Kind, *frames: bytes, at: int = 0, connection: int = 0) -> Record:
    """Return a record received `at` ns after NOW, lying at that offset."""
    return Record(Position(0, at), Position(0, at + 1), kind, connection, NOW + at, at, frames)


def fact(value: control.Control, at: int = 0) -> Record:
    """Return a control record."""
    return record(Kind.CONTROL, control.encode_control(value), at=at)


CONNECTED = fact(control.Connected("binance", 1, SYMBOLS))


def trade(number: int, *, price: str = "100.5", ms: int = NOW // 10**6, symbol: str = "BTCUSDT") -> bytes:
    """Return a trade frame as the venue sends it."""
    data = {"e": "trade", "E": ms, "s": symbol, "t": number, "p": price, "q": "0.1", "T": ms, "m": True, "M": True}
    return json.dumps({"stream": f"{symbol.lower()}@trade", "data": data}, separators=(",", ":")).encode()


def listed(*numbers: int) -> bytes:
    """Return a REST page of these trades."""
    page = [
        {"id": n, "price": "100.5", "qty": "0.1", "quoteQty": "10.05", "time": NOW // 10**6, "isBuyerMaker": True}
        for n in numbers
    ]
    return json.dumps(page).encode()


def decode(*records: Record, decoder: Decoder | None = None) -> Decoded:
    """Decode records with a fresh decoder."""
    decoder = decoder or Decoder("live-binance", VENUES, Bounds.of("2020-01-01"))
    return decoder.decode(records, START, Position(0, 1000))


def test_trades_become_columns() -> None:
    """Ids, times in ns, numbers and the taker's side come out; the tail is alive."""
    decoded = decode(CONNECTED, record(Kind.FRAMES, trade(7), trade(8), at=5, connection=1))
    columns = decoded.trades[KEY]
    assert columns.trade_id.tolist() == [7, 8]
    assert columns.price.tolist() == [100.5, 100.5]
    assert columns.side.tolist() == [-1, -1]
    assert columns.ts_recv.tolist() == [NOW + 5] * 2
    assert decoded.batch.seen[KEY].tails == [TailEvent("live", NOW + 5)]
    assert decoded.batch.quarantine == []


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b"{not json", "json"),
        (trade(7, price="1_000"), "number"),
        (trade(7, ms=day_start("2019-12-31") // 10**6), "too_early"),
        (trade(7, ms=day_start("2026-08-08") // 10**6), "in_the_future"),
    ],
)
def test_what_cannot_be_a_trade_is_kept_apart_with_its_bytes(frame: bytes, kind: str) -> None:
    """The reason is named, the raw bytes are there, and the good frames around it count."""
    decoded = decode(CONNECTED, record(Kind.FRAMES, trade(6), frame, trade(8), at=5, connection=1))
    assert decoded.trades[KEY].trade_id.tolist() == [6, 8]
    (bad,) = decoded.batch.quarantine
    assert bad.raw == frame
    assert (bad.position, bad.item) == (Position(0, 5), 1)
    assert bad.kind == kind


def test_more_digits_than_float64_holds_are_flagged_and_stored() -> None:
    """Sixteen digits are stored as the nearest number, and the raw bytes keep the rest."""
    decoded = decode(CONNECTED, record(Kind.FRAMES, trade(7, price="1234567890.1234567"), connection=1))
    assert decoded.trades[KEY].trade_id.tolist() == [7]
    assert [item.kind for item in decoded.batch.quarantine] == ["precision"]


def test_context_survives_between_processes() -> None:
    """A decoder that goes on in the middle of a lane knows which symbols a connection carries."""
    first = Decoder("live-binance", VENUES, Bounds.of("2016-01-01"))
    decode(CONNECTED, decoder=first)
    second = Decoder("live-binance", VENUES, Bounds.of("2016-01-01"), first.context())
    decoded = decode(record(Kind.FRAMES, trade(7), connection=1), decoder=second)
    assert decoded.trades[KEY].trade_id.tolist() == [7]


def test_frames_of_an_unknown_connection_are_kept_apart() -> None:
    """Nothing is guessed about frames whose subscription is not in the log."""
    decoded = decode(record(Kind.FRAMES, trade(7), connection=9))
    assert decoded.trades == {}
    assert [item.kind for item in decoded.batch.quarantine] == ["connection"]


def test_a_lost_connection_opens_the_tail_unless_another_carries_the_symbol() -> None:
    """Make before break: only the last connection's end is the end of listening."""
    second = fact(control.Connected("binance", 2, SYMBOLS), at=1)
    one_left = decode(CONNECTED, second, fact(control.Disconnected(1, "cut"), at=2))
    assert KEY not in one_left.batch.seen
    none_left = decode(CONNECTED, fact(control.Disconnected(1, "cut"), at=2))
    assert none_left.batch.seen[KEY].tails == [TailEvent("open", NOW + 2)]


def test_a_new_start_ends_what_the_dead_one_listened_to() -> None:
    """A recorder killed -9 says nothing; its successor's start does."""
    decoded = decode(CONNECTED, fact(control.Started("binance", SYMBOLS), at=3))
    assert decoded.batch.seen[KEY].tails == [TailEvent("open", NOW + 3)]


def test_a_page_tells_which_ids_the_listing_skips() -> None:
    """Holes between ids that came are claims; before the first and beyond the last one nothing is said."""
    page = control.PageHeader("binance", "trades", "BTC-USDT", from_id=10)
    decoded = decode(record(Kind.PAGE, control.encode_page(page), listed(12, 13, 16), at=4))
    claims = [(claim.first_id, claim.last_id) for claim in decoded.batch.seen[KEY].skips]
    assert claims == [(14, 15)]
    assert decoded.batch.seen[KEY].unserved == []
    assert decoded.trades[KEY].source.tolist() == [SOURCES.index("rest")] * 3


def test_a_page_tells_what_of_it_the_venue_does_not_serve() -> None:
    """A listing that begins late has forgotten the rest; one that ends early has nothing more."""
    page = control.PageHeader("binance", "trades", "BTC-USDT", from_id=10, to_id=20)
    decoded = decode(record(Kind.PAGE, control.encode_page(page), listed(12, 13, 14), at=4))
    assert decoded.batch.seen[KEY].unserved == [
        Claim(10, 11, "retention", NOW + 4),
        Claim(15, 20, "not served", NOW + 4),
    ]
    assert decoded.batch.seen[KEY].skips == []


def test_a_request_refused_by_the_venue_is_a_claim() -> None:
    """What it says of the ids is on record, as one of the two answers that it takes to give them up."""
    refused = control.Unserved("binance", "BTC-USDT", 10, 12, "not served: HTTP 400")
    decoded = decode(fact(refused, at=7))
    assert decoded.batch.seen[KEY].unserved == [Claim(10, 12, "not served: HTTP 400", NOW + 7)]


def test_an_empty_page_proves_nothing() -> None:
    """No trade, no claim, no tail."""
    page = control.PageHeader("binance", "trades", "BTC-USDT", from_id=10)
    decoded = decode(record(Kind.PAGE, control.encode_page(page), b"[]"))
    assert decoded.trades == {}
    assert decoded.batch.seen == {}


def test_a_page_of_html_is_kept_apart_and_closes_nothing() -> None:
    """An answer that is no page must not count as an empty one."""
    page = control.PageHeader("binance", "head", "BTC-USDT")
    decoded = decode(record(Kind.PAGE, control.encode_page(page), b"<html>busy</html>"))
    assert [item.source for item in decoded.batch.quarantine] == ["rest"]
    assert decoded.batch.seen == {}


def test_a_head_probe_closes_the_tail() -> None:
    """The newest trade, asked for after the end, is the end."""
    page = control.PageHeader("binance", "head", "BTC-USDT")
    decoded = decode(record(Kind.PAGE, control.encode_page(page), listed(20), at=4))
    assert decoded.batch.seen[KEY].tails == [TailEvent("closed", NOW + 4)]


def test_any_cut_of_a_lane_into_batches_gives_the_same_quarantine() -> None:
    """Rows of the quarantine are named by where they lie, not by the batch that met them."""
    records = [CONNECTED, *(record(Kind.FRAMES, b"x", trade(n), b"y", at=n, connection=1) for n in range(1, 6))]
    whole = decode(*records).batch.quarantine
    decoder = Decoder("live-binance", VENUES, Bounds.of("2016-01-01"))
    pieces = [item for one in records for item in decode(one, decoder=decoder).batch.quarantine]
    assert pieces == whole
    assert len({(item.position, item.item) for item in whole}) == len(whole) == 10


@pytest.mark.parametrize("kind", [Kind.CONTROL, Kind.PAGE])
@pytest.mark.parametrize("frames", [(), (b"\xff{}",), (b'{"type":' + b"[" * 100_000,)], ids=["none", "no text", "deep"])
def test_a_record_of_ours_that_cannot_be_read_is_kept_apart(kind: Kind, frames: tuple[bytes, ...]) -> None:
    """Bytes that are no text, nesting without end, no bytes at all: kept apart, and decoding goes on."""
    decoded = decode(record(kind, *frames, at=1), CONNECTED, record(Kind.FRAMES, trade(7), at=5, connection=1))
    assert [item.position for item in decoded.batch.quarantine] == [Position(0, 1)]
    assert decoded.trades[KEY].trade_id.tolist() == [7]


def test_a_venue_of_a_later_version_is_named() -> None:
    """Records of an exchange that this program does not know are not passed over: it says what to do."""
    page = control.PageHeader("nowhere", "trades", "BTC-USDT", from_id=10)
    for unknown in (
        fact(control.Connected("nowhere", 1, SYMBOLS)),
        record(Kind.PAGE, control.encode_page(page), b"[]"),
    ):
        with pytest.raises(UsageError, match="nowhere"):
            decode(unknown)


def test_a_channel_of_a_later_version_is_named() -> None:
    """Rows of another kind are never taken for trades; a record written before channels had names is of trades."""
    page = control.PageHeader("binance", "trades", "BTC-USDT", from_id=10, channel="quotes")
    for unknown in (
        fact(control.Connected("binance", 1, SYMBOLS, channel="quotes")),
        record(Kind.PAGE, control.encode_page(page), b"[]"),
    ):
        with pytest.raises(UsageError, match="quotes"):
            decode(unknown)
    nameless = b'{"type":"connected","venue":"binance","connection":1,"symbols":{"BTCUSDT":"BTC-USDT"}}'
    told = decode(record(Kind.CONTROL, nameless), record(Kind.FRAMES, trade(5), at=1, connection=1))
    assert told.trades[KEY].trade_id.tolist() == [5]


def test_an_id_that_contradicts_is_kept_apart_with_its_own_frame() -> None:
    """Of two frames that bear the same id and time, each has its own reason, its own bytes, and one row."""
    late = NOW // 10**6 + 60_000
    impossible, odd = trade(7, ms=late, price="1e18"), trade(7, ms=late, price="1234567890.1234567")
    frames = [trade(5_000_000), trade(5_000_001, ms=late), impossible, odd, trade(5_000_002, ms=late)]
    decoded = decode(CONNECTED, record(Kind.FRAMES, *frames, at=5, connection=1))
    assert [(item.kind, item.item, item.raw) for item in decoded.batch.quarantine] == [
        ("price", 2, impossible),
        ("numbering", 3, odd),
    ]
    assert decoded.trades[KEY].trade_id.tolist() == [5_000_000, 5_000_001, 5_000_002]

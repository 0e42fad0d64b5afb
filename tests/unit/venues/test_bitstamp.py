"""Bitstamp: ids that all pairs share, the same trade from stream and REST, what its errors mean, what it lists."""

from __future__ import annotations

import json
import re

import pytest

from trading_platform.domain.errors import FrameError, SymbolError
from trading_platform.domain.trades.sequencing import prove_completeness
from trading_platform.venues.answers import Answer
from trading_platform.venues.bitstamp import Bitstamp

VENUE = Bitstamp()
FRAME = (
    b'{"data":{"id":216000477,"timestamp":"1641343699","amount":0.0792,"amount_str":"0.07920000","price":3805.44,'
    b'"price_str":"3805.44","type":0,"microtimestamp":"1641343699596000","buy_order_id":1443875737346049,'
    b'"sell_order_id":1443875731320832},"channel":"live_trades_ethusd","event":"trade"}'
)
SYMBOLS = {"ethusd": "ETH-USD"}


def test_stream_and_rest_name_a_trade_by_the_same_text() -> None:
    """Equal but for the time, which REST cuts to seconds; an id that a pair lacks proves nothing."""
    (streamed,) = VENUE.decode_frame(FRAME, SYMBOLS)
    row = {"date": "1641343699", "tid": "216000477", "amount": "0.07920000", "type": "0", "price": "3805.44"}
    (listed,) = VENUE.history.read(json.dumps([row]).encode(), "ETH-USD").trades
    assert listed == streamed._replace(ts_event=1641343699 * 10**9)
    assert (streamed.trade_id, streamed.trade_uid, streamed.side) == (None, "216000477", "buy")
    assert not prove_completeness(VENUE.sequencing)
    assert VENUE.peek(FRAME) == [("ethusd", 216000477)]


def test_whole_recordings_decode_as_a_plain_reader_reads_them(shared_data) -> None:
    """Every captured trade, as a regular expression finds it; every other message holds none."""
    lines = shared_data("ws/cryptofeed/BITSTAMP.ws.1.0").read_text().splitlines()
    sent = [line.partition(": ")[2] for line in lines if re.match(r"[0-9.]+: ", line)]
    plain = [
        (*re.findall(r'"(?:id|amount_str|price_str|type|microtimestamp)":"?([0-9.]+)', text),)
        for text in sent
        if '"event":"trade"' in text
    ]
    found = [trade for text in sent for trade in VENUE.decode_frame(text.encode(), SYMBOLS)]
    assert [
        (each.trade_uid, each.quantity, each.price, "01"[each.side == "sell"], str(each.ts_event // 1000))
        for each in found
    ] == plain
    assert len(found) == 10
    kinds = [VENUE.classify(text.encode()).kind for text in sent]
    assert (kinds.count("trades"), kinds.count("ack")) == (10, 10)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (b'"id":216000477', b'"id":-1', "shape"),
        (b'"type":0', b'"type":2', "shape"),
        (b'"microtimestamp":"1641343699596000"', b'"microtimestamp":"1641343699"', "time"),
        (b'"price_str":"3805.44"', b'"price_str":"3_8"', "number"),
        (b'"price_str":"3805.44"', b'"price_str":"1","price_str":"2"', "shape"),
        (b'"amount_str":"0.07920000",', b"", "shape"),
        (b"live_trades_ethusd", b"live_trades_ETHUSD", "stream"),
        (b"live_trades_ethusd", b"live_orders_ethusd", "stream"),
    ],
)
def test_a_broken_trade_is_refused(old: bytes, new: bytes, kind: str) -> None:
    """Each with its kind."""
    with pytest.raises(FrameError) as raised:
        VENUE.decode_frame(FRAME.replace(old, new), SYMBOLS)
    assert raised.value.kind == kind


def test_a_row_that_is_none_leaves_the_others() -> None:
    """It is handed back with what is wrong."""
    rows = [
        {"date": "1641343699", "tid": "7", "amount": "1", "type": "1", "price": "2"},
        {"date": "1641343698", "tid": "6.5", "amount": "1", "type": "1", "price": "2"},
        {"date": "1641343697", "tid": "5", "amount": "1", "type": "2", "price": "2"},
    ]
    page = VENUE.history.read(json.dumps(rows).encode(), "ETH-USD")
    assert [trade.trade_uid for trade in page.trades] == ["7"]
    assert [row.error.kind for row in page.refused] == ["shape", "id"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(200, body=b"[]"), "ok"),
        (Answer(200, body=b'{"buy":"1.1","sell":"1.1"}'), "ok"),
        (Answer(200, body=b"<html></html>"), "retry"),
        (Answer(200, body=b'{"status":"error","reason":"no"}'), "refused"),
        (Answer(400, body=b'{"response_code":"400.002"}'), "rate_limited"),
        (Answer(400, body=b'{"response_code":"400.001"}'), "refused"),
        (Answer(400, body=b"<html></html>"), "refused"),
        (Answer(403), "banned"),
        (Answer(404), "refused"),
        (Answer(503), "retry"),
        (Answer(403, to="stream"), "refused"),
        (Answer(400, to="stream"), "refused"),
    ],
)
def test_what_an_answer_means(answer: Answer, kind: str) -> None:
    """Too many requests are told by a code inside a 400."""
    assert VENUE.judge(answer).kind == kind


def test_errors_of_the_stream() -> None:
    """An error names no channel; one about our rate passes."""
    error = b'{"event":"bts:error","channel":"","data":{"code":null,"message":"Bad subscription string."}}'
    assert VENUE.classify(error) == ("nack", (), "", "Bad subscription string.", False)
    assert VENUE.classify(error.replace(b"Bad subscription string.", b"Rate limit exceeded.")).passing
    assert VENUE.classify(error.replace(b'{"code":null,"message":"Bad subscription string."}', b"null")).kind == "nack"
    assert VENUE.classify(b"[]").kind == "other"


def test_the_recorded_listing_is_read(shared_data) -> None:
    """Every pair that was listed has a canonical name, and its spelling is the one that is made without asking."""
    line = shared_data("ws/cryptofeed/BITSTAMP.0").read_text().partition(": ")[2].partition("\n")[0]
    listed = VENUE.decode_instruments(line.encode())
    assert len(listed) == len(json.loads(line)) > 50
    assert all(VENUE.venue_symbol(each.symbol) == each.venue_symbol for each in listed)
    (bitcoin,) = [each for each in listed if each.symbol == "BTC-USD"]
    assert bitcoin[2:] == ("btcusd", "spot", "BTC", "USD", "0.01", "0.00000001", "Enabled")
    perpetual = json.dumps([{"name": "BTC/USD-PERP", "url_symbol": "btcusd-perp"}]).encode()
    assert VENUE.decode_instruments(perpetual) == []


def test_other_kinds_have_no_spelling() -> None:
    """Perpetuals, and names that no path of the venue can have."""
    for symbol in ("BTC-USD-PERP", "币安人生-USDT"):
        with pytest.raises(SymbolError):
            VENUE.venue_symbol(symbol)

"""Bybit: two markets with one name for different things, what its replies mean, and what it lists."""

from __future__ import annotations

import json

import pytest

from trading_platform.domain.errors import FrameError, SymbolError
from trading_platform.venues.answers import Answer
from trading_platform.venues.bybit import Bybit

VENUE = Bybit()
SPOT = (
    b'{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":[{"i":"2290000000061666327",'
    b'"T":1672304486865,"p":"16578.50","v":"0.001","S":"Buy","s":"BTCUSDT","BT":false,"RPI":false}]}'
)


def test_the_markets_have_streams_of_their_own() -> None:
    """Ten topics a message, an address for each market."""
    names = [VENUE.venue_symbol(f"A{number}-USDT") for number in range(23)]
    plan = VENUE.connect("wss://host", names)
    assert plan.url == "wss://host/v5/public/spot"
    assert [len(json.loads(message.message)["args"]) for message in plan.say] == [10, 10, 3]
    assert len({message.request for message in plan.say}) == 3
    assert VENUE.stream_of(names[0]) != VENUE.stream_of(VENUE.venue_symbol("A1-USDT-PERP"))


def test_a_spot_trade_is_named_by_what_it_says() -> None:
    """Its id is the stream's own: no text id, but what tells repeats apart."""
    (trade,) = VENUE.decoder({"spot/BTCUSDT": "BTC-USDT"}).decode(SPOT)
    assert (trade.trade_id, trade.trade_uid, trade.channel_id) == (None, None, "2290000000061666327")
    assert VENUE.peek(SPOT) == [("spot/BTCUSDT", 2 * 1672304486865)]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (b'"s":"BTCUSDT"', b'"s":"ETHUSDT"', "stream"),
        (b'"S":"Buy"', b'"S":"Bid"', "shape"),
        (b'"T":1672304486865', b'"T":1672304486', "time"),
        (b'"p":"16578.50"', b'"p":"1_6"', "number"),
        (b'"p":"16578.50"', b'"p":"1","p":"2"', "shape"),
        (b'"i":"2290000000061666327"', b'"i":"' + b"9" * 41 + b'"', "id"),
        (b'"data":[', b'"dato":[', "shape"),
    ],
)
def test_a_broken_trade_is_refused(old: bytes, new: bytes, kind: str) -> None:
    """Each with its kind."""
    with pytest.raises(FrameError) as raised:
        VENUE.decoder({"spot/BTCUSDT": "BTC-USDT"}).decode(SPOT.replace(old, new))
    assert raised.value.kind == kind


def test_replies() -> None:
    """A refusal names the message; a pong is a sign of life."""
    refused = b'{"success":false,"ret_msg":"Invalid symbol :[publicTrade.X]","req_id":"r","op":"subscribe"}'
    assert VENUE.classify(refused)[:3] == ("nack", (), "r")
    assert VENUE.classify(refused.replace(b"Invalid symbol", b"error:already subscribed")).kind == "ack"
    assert VENUE.classify(b'{"success":true,"ret_msg":"pong","req_id":"","op":"ping"}').kind == "heartbeat"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(403), "banned"),
        (Answer(403, to="stream"), "banned"),
        (Answer(200, body=b'{"retCode":0,"retMsg":"OK"}'), "ok"),
        (Answer(200, body=b'{"retCode":10006,"retMsg":"Too many visits."}'), "rate_limited"),
        (Answer(200, body=b'{"retCode":10016,"retMsg":"Internal server error."}'), "retry"),
        (Answer(200, body=b'{"retCode":10001,"retMsg":"params error"}'), "refused"),
        (Answer(502), "retry"),
    ],
)
def test_what_an_answer_means(answer: Answer, kind: str) -> None:
    """403 is a ban; errors come inside a 200."""
    assert VENUE.judge(answer).kind == kind


def test_the_listing_goes_on_to_linear_and_its_pages() -> None:
    """Spot at once, linear by a cursor; dated futures are left out."""
    row = {"symbol": "BTCUSDT", "status": "Trading", "baseCoin": "BTC", "quoteCoin": "USDT"}
    perpetual = {**row, "contractType": "LinearPerpetual"}
    dated = {**row, "symbol": "BTCUSDT-26DEC25", "contractType": "LinearFutures"}

    def body(category: str, cursor: str, *rows: object) -> bytes:
        return json.dumps({"result": {"category": category, "list": rows, "nextPageCursor": cursor}}).encode()

    spot, first = body("spot", "", row), body("linear", "first%3D1%26of", perpetual, dated)
    assert [found.symbol for found in VENUE.decode_instruments(spot)] == ["BTC-USDT"]
    assert [found.venue_symbol for found in VENUE.decode_instruments(first)] == ["linear/BTCUSDT"]
    more = VENUE.more_instruments(first)
    assert more is not None
    assert more.params[-1] == ("cursor", "first=1&of")
    assert VENUE.more_instruments(body("linear", "", perpetual)) is None


def test_other_kinds_have_no_spelling() -> None:
    """Inverse and dated contracts are of other markets."""
    for symbol in ("BTC-USD-211231", "BTC-USD-PERP"):
        with pytest.raises(SymbolError):
            VENUE.venue_symbol(symbol)

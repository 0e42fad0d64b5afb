"""The stream side of the simulated Binance answers as its documents say."""

from __future__ import annotations

import json

import pytest

from trading_platform.domain.trades.trade import Trade
from trading_platform.simulate.exchanges.binance_stream import BinanceSession, shutdown_payload, trade_payload
from trading_platform.simulate.sockets import text_frame
from trading_platform.simulate.tape import Print
from trading_platform.venues.binance import Binance

ROW = Print(1723161255342000000, 0, 7, "BTCUSDT", 1723161255342, 1723161255343, "61837.63000000", "0.02000000", True)


@pytest.mark.parametrize(
    ("target", "streams", "combined", "micros"),
    [
        ("/stream?streams=btcusdt@trade/ethusdt@trade", ["btcusdt@trade", "ethusdt@trade"], True, False),
        ("/stream?streams=btcusdt@trade&timeUnit=MICROSECOND", ["btcusdt@trade"], True, True),
        ("/stream", [], True, False),
        ("/ws/btcusdt@trade", ["btcusdt@trade"], False, False),
        ("/ws/btcusdt@trade?timeUnit=microsecond", ["btcusdt@trade"], False, True),
        ("/ws", [], False, False),
        ("/ws/btcusdt%40trade", ["btcusdt@trade"], False, False),
        ("/stream?streams=btcusdt%40trade%2Fethusdt%40trade", ["btcusdt@trade", "ethusdt@trade"], True, False),
    ],
)
def test_addresses_subscribe(target, streams, combined, micros):
    """Combined and raw addresses subscribe to what they name, in their form and unit of time."""
    session = BinanceSession.open(target)
    assert (list(session.streams), session.combined, session.micros) == (streams, combined, micros)


@pytest.mark.parametrize(
    "target", ["/", "/wsx", "/api/v3/time", "/stream?streams=" + "/".join(f"s{n}" for n in range(1025))]
)
def test_other_addresses_are_nothing(target):
    """Other paths, and more than 1024 streams, lead nowhere."""
    assert BinanceSession.open(target) is None


def test_subscriptions_are_changed_and_listed():
    """SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS act and acknowledge as documented."""
    session = BinanceSession.open("/ws")
    ask = session.answer
    assert (
        ask('{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@depth"],"id":1}') == '{"result":null,"id":1}'
    )
    assert ask('{"method":"UNSUBSCRIBE","params":["btcusdt@depth"],"id":312}') == '{"result":null,"id":312}'
    assert ask('{"method":"LIST_SUBSCRIPTIONS","id":3}') == '{"result":["btcusdt@aggTrade"],"id":3}'


def test_the_combined_property_is_set_and_read():
    """SET_PROPERTY switches between raw and combined events."""
    session = BinanceSession.open("/ws")
    assert session.answer('{"method":"GET_PROPERTY","params":["combined"],"id":2}') == '{"result":false,"id":2}'
    assert session.answer('{"method":"SET_PROPERTY","params":["combined",true],"id":5}') == '{"result":null,"id":5}'
    assert session.answer('{"method":"GET_PROPERTY","params":["combined"],"id":"a1"}') == '{"result":true,"id":"a1"}'


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        ("nonsense", 3, "Invalid JSON"),
        (b"\xff\xfe", 3, "Invalid JSON"),
        ("[1]", 3, "Invalid JSON"),
        ('{"method":"SUBSCRIBE","params":["a"]}', 2, "request ID must be"),
        ('{"method":"SUBSCRIBE","params":["a"],"id":1.5}', 2, "request ID must be"),
        ('{"method":"SUBSCRIBE","params":["a"],"id":"a b"}', 2, "request ID must be"),
        ('{"params":["a"],"id":1}', 2, "missing field `method`"),
        ('{"method":"SUBSCRIBED","params":["a"],"id":1}', 2, "unknown variant SUBSCRIBED"),
        ('{"method":"SUBSCRIBE","params":["a"],"id":1,"x":1}', 2, "too many parameters"),
        ('{"method":"SUBSCRIBE","params":[1],"id":1}', 2, "must be a string"),
        ('{"method":"GET_PROPERTY","params":[],"id":1}', 2, "property name must be a string"),
        ('{"method":"GET_PROPERTY","params":["colour"],"id":1}', 0, "Unknown property"),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1, "expected Boolean"),
    ],
)
def test_mistakes_get_the_documented_errors(message, code, says):
    """A wrong request changes nothing and is answered with the documented code."""
    session = BinanceSession.open("/ws")
    answer = json.loads(session.answer(message))
    assert answer["code"] == code
    assert says in answer["msg"]
    assert not session.streams


@pytest.mark.parametrize("combined", [True, False])
@pytest.mark.parametrize("micros", [True, False])
def test_the_adapter_reads_what_the_simulator_writes(combined, micros):
    """Every form of a trade event comes back as the same trade."""
    payload = trade_payload(ROW, combined=combined, micros=micros)
    assert (b"1723161255342000" in payload) is micros
    (trade,) = Binance().decode_frame(payload, {"BTCUSDT": "BTC-USDT"})
    assert trade == Trade("BTC-USDT", 7, 1723161255342000000, "61837.63000000", "0.02000000", "sell")
    assert Binance().decode_frame(shutdown_payload(1, combined=combined), {"BTCUSDT": "BTC-USDT"}) == []


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_have_the_length_they_say(size):
    """The header of a text frame tells the payload's length in the shortest form."""
    frame = text_frame(b"x" * size)
    header = 2 if size < 126 else 4 if size < 65536 else 10
    assert len(frame) == header + size
    assert frame[0] == 0x81

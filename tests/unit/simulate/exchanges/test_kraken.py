"""The stream side of the simulated Kraken answers as its documents and captured frames say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.builders.venue_thread import synthetic
from tests.support.judges.shape import shape
from trading_platform.simulate.exchange import Refusal, Stage
from trading_platform.simulate.exchanges.kraken import KrakenExchange, iso
from trading_platform.simulate.faults import FaultPlan
from trading_platform.simulate.synthetic_market import DEMO_START_NS
from trading_platform.simulate.tape import Print
from trading_platform.simulate.tape_epochs import TapeNumbering

MARKET = synthetic(60)
FIRST = 5_000_000_001
NOW_NS = DEMO_START_NS + 60 * 10**9
SUBSCRIBE = {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USDT"], "snapshot": False}}


def make() -> KrakenExchange:
    heads = {listing.venue_symbol: MARKET.head_at(listing.venue_symbol, NOW_NS) for listing in MARKET.listings}
    return KrakenExchange(Stage(MARKET, heads.get, lambda: NOW_NS, TapeNumbering(), FaultPlan(), 0))


def opened(exchange: KrakenExchange) -> Any:
    session = exchange.open("/v2")
    assert not isinstance(session, Refusal)
    return session


def ask(session: Any, request: object) -> list[dict[str, Any]]:
    return [json.loads(answer) for answer in session.reply(json.dumps(request))]


def rows(*times: int, name: str = "BTCUSDT") -> list[Print]:
    return [
        Print(time * 10**6, 0, FIRST + n, name, time, time, "83744.30000000", "0.00044780", False)
        for n, time in enumerate(times)
    ]


def test_its_messages_have_the_shape_of_captured_ones(shared_data):
    """Trades, the answer to a subscription and the pong have the names and types of captured frames."""
    folder = "ws/nautilus-adapters/kraken/"
    exchange = make()
    session = opened(exchange)
    (_, frame), *_ = exchange.payloads(rows(1_000_000_000_000, 1_000_000_000_000), None)
    assert shape(frame) == shape(shared_data(folder + "ws_trade_update.json").read_bytes())
    (ack,) = session.reply(json.dumps(SUBSCRIBE | {"req_id": 1}))
    assert shape(ack) == shape(shared_data(folder + "ws_subscribe_response.json").read_bytes())
    (pong,) = session.reply('{"method":"ping","req_id":42}')
    assert shape(pong) == shape(shared_data(folder + "ws_pong.json").read_bytes())
    lines = shared_data("rest/error-payloads/payloads.jsonl").read_text().splitlines()
    captured = [row["body"] for row in map(json.loads, lines) if row.get("kind") == "trade"]
    assert captured
    assert {str(shape(body)) for body in captured} == {str(shape(frame))}
    # Their literals too: a price with the pair's decimals, a quantity with eight.
    assert b'"price":83744.30,"qty":0.00044780,"ord_type":' in frame


def test_a_connection_begins_with_the_status():
    """The first message is of the status channel, and tells connections apart."""
    exchange = make()
    first, second = (json.loads(opened(exchange).greet()[0]) for _ in range(2))
    assert first["channel"] == "status"
    assert (first["data"][0]["system"], first["data"][0]["api_version"]) == ("online", "v2")
    assert first["data"][0]["connection_id"] != second["data"][0]["connection_id"]


def test_each_symbol_is_answered_by_itself():
    """One message of three symbols gets three answers: accepted, unknown, accepted."""
    session = opened(make())
    answers = ask(
        session, {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USDT", "A/B", "SOL/USDT"]}}
    )
    assert [answer["success"] for answer in answers] == [True, False, True]
    assert answers[1]["error"] == "Currency pair not supported A/B"
    assert list(session.topics) == ["BTC/USDT", "SOL/USDT"]
    assert ask(session, SUBSCRIBE)[0]["error"] == "Already subscribed"
    done = ask(session, SUBSCRIBE | {"method": "unsubscribe"})
    assert done[0]["success"] is True
    assert list(session.topics) == ["SOL/USDT"]
    assert ask(session, SUBSCRIBE | {"method": "unsubscribe"})[0]["success"] is False


def test_a_snapshot_is_the_newest_trades():
    """A subscription that asks for one is followed by the last 50 trades, ascending."""
    wanted = {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USDT"], "snapshot": True}}
    ack, snapshot = ask(opened(make()), wanted)
    assert ack["result"]["snapshot"] is True
    assert snapshot["type"] == "snapshot"
    head = MARKET.head_at("BTCUSDT", NOW_NS) or 0
    assert [row["trade_id"] for row in snapshot["data"]] == list(range(head - 49, head + 1))


def test_trades_of_one_instant_and_symbol_share_a_frame():
    """A run of equal symbol and time is one frame; another time or symbol begins the next."""
    exchange = make()
    given_rows = rows(1, 1, 2) + rows(2, name="ETHUSDT") + rows(2)
    frames = [(topic, len(json.loads(frame)["data"])) for topic, frame in exchange.payloads(given_rows, None)]
    assert frames == [("BTC/USDT", 2), ("BTC/USDT", 1), ("ETH/USDT", 1), ("BTC/USDT", 1)]


def test_the_truth_is_what_the_stream_tells():
    """Id, literals, side and µs of the truth are those of the frame."""
    exchange = make()
    for row in MARKET.page("BTCUSDT", FIRST, FIRST + 200, 200):
        text = exchange.payloads([row], None)[0][1].decode()
        told = exchange.told(row)
        assert f'"side":"{told.side}","price":{told.price},"qty":{told.quantity},' in text
        assert f'"trade_id":{told.trade_id},"timestamp":"{iso(told.ts_event)}"' in text
        assert told.ts_event % 1000 == 0


@pytest.mark.parametrize(
    "message",
    [
        "{", "[]", "7", '{"method":"add_order"}', '{"method":"subscribe"}', '{"method":"subscribe","params":[]}',
        '{"method":"subscribe","params":{"channel":"trade"}}', '{"method":"subscribe","params":{"channel":"nothing"}}',
        '{"method":"subscribe","params":{"channel":"trade","symbol":[7]}}',
    ],
)  # fmt: skip
def test_what_is_wrong_is_answered_with_an_error(message):
    """Nonsense and requests that lack something get `success: false` and a text."""
    (answer,) = opened(make()).reply(message)
    assert json.loads(answer)["success"] is False
    assert json.loads(answer)["error"]


@given(st.binary(max_size=80) | st.text(max_size=80))
def test_any_message_is_answered(message):
    """Whatever a client sends, the answer is JSON."""
    assert all(json.loads(answer) for answer in opened(make()).reply(message))


def test_other_addresses_lead_nowhere():
    """Only /v2 is a stream."""
    assert isinstance(make().open("/"), Refusal)
    assert isinstance(make().open("/v2?x=1"), object)

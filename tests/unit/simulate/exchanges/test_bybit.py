"""The stream side of the simulated Bybit answers as its documents and captured frames say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.judges.shape import shape
from trading_platform.simulate.exchange import Refusal, Stage
from trading_platform.simulate.exchanges.bybit import BybitExchange
from trading_platform.simulate.faults import FaultPlan
from trading_platform.simulate.synthetic_market import DEMO_START_NS, SyntheticMarket
from trading_platform.simulate.tape import Print
from trading_platform.simulate.tape_epochs import TapeNumbering

NOW_NS = DEMO_START_NS + 10 * 10**9
MARKET = SyntheticMarket(start_ns=DEMO_START_NS, end_ns=NOW_NS, profiles=BybitExchange.profiles)
TRADE = "publicTrade.BTCUSDT"

LINEAR_EXAMPLE = (
    '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":[{"T":1672304486865,"s":"BTCUSDT",'
    '"S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick","i":"20f43950-d8dd-5b31-9112-a178eb6023af","BT":false,'
    '"RPI":false,"seq":1783284617}]}'
)
"""After the example of the exchange's documents, docs/v5/websocket/public/trade."""


def make() -> BybitExchange:
    heads = {listing.venue_symbol: MARKET.head_at(listing.venue_symbol, NOW_NS) for listing in MARKET.listings}
    return BybitExchange(Stage(MARKET, heads.get, lambda: NOW_NS, TapeNumbering(), FaultPlan(), 0))


def opened(category: str = "linear") -> Any:
    session = make().open(f"/v5/public/{category}")
    assert not isinstance(session, Refusal)
    return session


def ask(session: Any, **request: object) -> dict[str, Any]:
    (answer,) = session.reply(json.dumps(request))
    told = json.loads(answer)
    assert isinstance(told, dict)
    return told


def frame(name: str, *times: int) -> bytes:
    rows = [Print(t * 10**6, 3, 8 + n, name, t, t, "27451.00000000", "0.01000000", True) for n, t in enumerate(times)]
    ((_, payload),) = make().payloads(rows, None)
    return payload


def test_its_frames_have_the_shape_of_documented_and_captured_ones(shared_data):
    """A linear frame has the documented names and types; a captured one's are among them, and so are spot's."""
    linear, spot = (shape(frame(name, 1_709_891_679_000)) for name in ("BTCUSDTPERP", "BTCUSDT"))
    assert linear == shape(LINEAR_EXAMPLE)
    captured: Any = shape(shared_data("ws/nautilus-adapters/bybit/ws_public_trade.json").read_bytes())
    for mine in (linear, spot):
        assert isinstance(mine, dict)
        assert mine.keys() == captured.keys()
        (row,), (other,) = mine["data"], captured["data"]
        assert other.keys() <= row.keys()
    (row,), (other,) = linear["data"], captured["data"]
    assert {name: row[name] for name in other} == other
    (row,) = spot["data"]
    assert {name: row[name] for name in other if name != "i"} == {n: other[n] for n in other if n != "i"}
    assert (row["i"], "L" in row) == ("whole text", False)


def test_ids_of_2021_have_todays_form(shared_data):
    """Captured ids of its API of 2021 are UUIDs of the version that the simulator prints."""
    lines = shared_data("ws/cryptofeed/BYBIT.ws.26.0").read_text().splitlines()
    frames = [json.loads(line.partition(": ")[2]) for line in lines if '{"topic":"trade.' in line]
    captured = {row["trade_id"][14] for told in frames for row in told["data"]}
    mine = json.loads(frame("BTCUSDTPERP", 1, 1))["data"]
    assert captured == {row["i"][14] for row in mine} == {"5"}
    sides = {row["side"] for told in frames for row in told["data"]}
    assert {row["S"] for row in mine} < sides == {"Buy", "Sell"}


def test_answers_have_the_shape_of_captured_ones(shared_data):
    """An accepted and a refused subscription look as captured, names and types."""
    folder = "ws/nautilus-adapters/bybit/"
    session = opened()
    (ack,) = session.reply(json.dumps({"op": "subscribe", "args": [TRADE], "req_id": "sub-1"}))
    assert shape(ack) == shape(shared_data(folder + "ws_subscription_ack.json").read_bytes())
    (nack,) = session.reply(json.dumps({"op": "subscribe", "args": ["invalid.topic.BTCUSDT"]}))
    assert shape(nack) == shape(shared_data(folder + "ws_subscription_failure.json").read_bytes())


def test_a_ping_is_answered():
    """As the documents show it, with the request's id."""
    answer = ask(opened(), op="ping", req_id="100001")
    assert answer == {
        "success": True,
        "ret_msg": "pong",
        "conn_id": answer["conn_id"],
        "req_id": "100001",
        "op": "ping",
    }


def test_spot_takes_ten_arguments_in_a_message():
    """Eleven are refused as a whole, on linear they are not."""
    topics = [f"kline.{n}.BTCUSDT" for n in range(11)]
    spot, linear = opened("spot"), opened("linear")
    assert ask(spot, op="subscribe", args=topics)["ret_msg"] == "args size >10"
    assert not spot.topics
    assert ask(spot, op="subscribe", args=topics[:10]) | {"conn_id": ""} == {
        "success": True, "ret_msg": "subscribe", "conn_id": "", "req_id": "", "op": "subscribe",
    }  # fmt: skip
    assert ask(linear, op="subscribe", args=topics)["success"] is True
    assert len(linear.topics) == 11


def test_a_connection_takes_21000_characters_of_arguments():
    """What would go beyond is refused, whatever it is made of; after unsubscribing there is room."""
    session = opened()
    topics = [f"kline.{n:06d}.BTCUSDT" for n in range(2000)]
    room = 21_000 // len(topics[0])
    assert ask(session, op="subscribe", args=topics[:room])["success"] is True
    assert ask(session, op="subscribe", args=topics[room : room + 1])["success"] is False
    assert ask(session, op="unsubscribe", args=topics[:1])["success"] is True
    assert ask(session, op="subscribe", args=topics[room : room + 1])["success"] is True


def test_one_wrong_topic_refuses_the_message():
    """Unknown symbols, doubled and unlisted topics change nothing."""
    exchange = make()
    session: Any = exchange.open("/v5/public/linear")
    assert (
        ask(session, op="subscribe", args=[TRADE, "publicTrade.NOPE"])["ret_msg"]
        == "Invalid symbol :[publicTrade.NOPE]"
    )
    assert not session.topics
    assert ask(session, op="subscribe", args=[TRADE])["success"] is True
    assert ask(session, op="subscribe", args=[TRADE])["ret_msg"] == f"error:already subscribed,topic:{TRADE}"
    # SOLUSDT trades on spot only.
    assert ask(session, op="subscribe", args=["publicTrade.SOLUSDT"])["success"] is False


def test_spot_and_linear_of_one_name_are_two_topics():
    """A listener to one market never receives a frame of the other."""
    exchange = make()
    topics = {listing.symbol: exchange.topic(listing) for listing in MARKET.listings}
    assert topics["BTC-USDT"] == f"spot {TRADE}"
    assert topics["BTC-USDT-PERP"] == f"linear {TRADE}"


def test_ids_are_unique_and_have_no_order():
    """Over all symbols no id comes twice, and their order is not that of the trades."""
    exchange = make()
    rows = [row for block in MARKET.blocks(DEMO_START_NS) for row in block]
    uids = [exchange.told(row).trade_uid for row in rows]
    assert len(set(uids)) == len(uids) > 200
    assert uids != sorted(uids, key=str)
    spot = [uid for uid in uids if uid is not None and "-" not in uid]
    assert {len(uid) for uid in spot} == {19}
    assert spot != sorted(spot)


def test_a_frame_holds_at_most_1024_trades():
    """More of one instant go into a second frame."""
    rows = [Print(10**6, 0, n, "BTCUSDT", 1, 1, "1.00", "1.0", False) for n in range(1, 1031)]
    assert [len(json.loads(payload)["data"]) for _, payload in make().payloads(rows, None)] == [1024, 6]


@pytest.mark.parametrize(
    "message",
    ["{", "[]", "{}", '{"op":"order.create"}', '{"op":"subscribe"}', '{"op":"subscribe","args":[7]}'],
)
def test_what_is_wrong_is_answered_with_a_failure(message):
    """Nonsense gets `success: false`."""
    (answer,) = opened().reply(message)
    assert json.loads(answer)["success"] is False


@given(st.binary(max_size=80) | st.text(max_size=80))
def test_any_message_is_answered(message):
    """Whatever a client sends, the answer is JSON."""
    assert all(json.loads(answer) for answer in opened().reply(message))


@pytest.mark.parametrize("target", ["/", "/v5/public", "/v5/public/option", "/v5/private", "/realtime"])
def test_other_addresses_lead_nowhere(target):
    """There are two streams, and nothing else."""
    assert isinstance(make().open(target), Refusal)

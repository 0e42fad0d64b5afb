"""The simulated Bitstamp answers as its documents, its captured frames and its recorded listing say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.judges.shape import shape
from trading_platform.simulate.exchange import HttpAnswer, Refusal, Stage
from trading_platform.simulate.exchanges.bitstamp import BitstampExchange
from trading_platform.simulate.exchanges.bitstamp_rest import BitstampRest, RequestLimit
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.synthetic_market import DEMO_START_NS, SyntheticMarket
from trading_platform.simulate.tape_epochs import TapeNumbering

NOW_NS = DEMO_START_NS + 7200 * 10**9
MARKET = SyntheticMarket(start_ns=DEMO_START_NS, end_ns=NOW_NS, profiles=BitstampExchange.profiles)
HEADS = {listing.venue_symbol: MARKET.head_at(listing.venue_symbol, NOW_NS) for listing in MARKET.listings}
SUBSCRIBE = {"event": "bts:subscribe", "data": {"channel": "live_trades_btcusd"}}


def stage(*events: Event) -> Stage:
    return Stage(MARKET, HEADS.get, lambda: NOW_NS, TapeNumbering(), FaultPlan(events=events), 0)


def opened() -> Any:
    session = BitstampExchange(stage()).open("/")
    assert not isinstance(session, Refusal)
    return session


def ask(api: BitstampRest, path: str, query: str = "", now_s: float = 0.0) -> HttpAnswer:
    return api.handle("GET", f"/api/v2/{path}", query, {}, now_s=now_s, wall_ns=0)


def rows(api: BitstampRest, query: str = "", pair: str = "btcusd") -> list[dict[str, str]]:
    answer = ask(api, f"transactions/{pair}/", query)
    assert answer.status == 200
    told = json.loads(answer.body)
    assert isinstance(told, list)
    return told


def test_its_messages_have_the_shape_of_captured_ones(shared_data):
    """Trades and answers to subscriptions have the names, types and order of captured frames."""
    lines = shared_data("ws/cryptofeed/BITSTAMP.ws.1.0").read_text().splitlines()
    trade = next(line.partition(": ")[2] for line in lines if '"event":"trade"' in line)
    answer = next(line.partition(": ")[2] for line in lines if "succeeded" in line and "live_trades" in line)
    exchange = BitstampExchange(stage())
    printed = MARKET.page("ETHUSD", 0, HEADS["ETHUSD"] or 0, 50)
    frames = [frame for _, frame in exchange.payloads(printed, None)]
    assert len(frames) == 50
    mine = [json.loads(frame) for frame in frames]
    assert list(mine[0]) == list(json.loads(trade))
    assert list(mine[0]["data"]) == list(json.loads(trade)["data"])
    shapes = [shape(frame) for frame in frames]
    assert shape(trade.encode()) in shapes
    (told,) = opened().reply(json.dumps(SUBSCRIBE))
    assert shape(told) == shape(answer.encode())


def test_its_listing_has_the_shape_of_the_recorded_one(shared_data):
    """Each pair has exactly the recorded names, in their types."""
    line = shared_data("ws/cryptofeed/BITSTAMP.0").read_text().partition(": ")[2].partition("\n")[0]
    recorded, mine = json.loads(line)[0], json.loads(ask(BitstampRest(stage()), "trading-pairs-info/").body)[0]
    assert {name: type(value) for name, value in mine.items()} == {
        name: type(value) for name, value in recorded.items()
    }


def test_subscriptions_are_answered_by_channel():
    """A second one like the first; one to a channel that does not exist by an error that names none."""
    session = opened()
    first, second = session.reply(json.dumps(SUBSCRIBE)), session.reply(json.dumps(SUBSCRIBE))
    assert first == second
    assert list(session.topics) == ["live_trades_btcusd"]
    (error,) = session.reply(json.dumps({"event": "bts:subscribe", "data": {"channel": "live_trades_xxxusd"}}))
    assert json.loads(error)["event"] == "bts:error"
    session.reply(json.dumps({**SUBSCRIBE, "event": "bts:unsubscribe"}))
    assert not session.topics
    (beat,) = session.reply('{"event":"bts:heartbeat"}')
    assert json.loads(beat)["data"] == {"status": "success"}


@given(st.one_of(st.binary(max_size=60), st.sampled_from([b"[]", b'{"event":1}', b'{"event":"bts:subscribe"}'])))
def test_nonsense_is_answered_with_an_error(message: bytes):
    """Whatever a client sends, one answer comes, and nothing is subscribed."""
    session = opened()
    (answer,) = session.reply(message)
    assert json.loads(answer)["event"] == "bts:error"
    assert not session.topics


def test_windows_of_the_past():
    """A minute, an hour without a word, a day; newest first, each within its window, all ids told."""
    api = BitstampRest(stage())
    minute, hour, day = rows(api, "time=minute"), rows(api), rows(api, "time=day")
    assert 0 < len(minute) < len(hour) < len(day)
    assert hour == day[: len(hour)] == rows(api, "time=hour")
    ids = [int(row["tid"]) for row in day]
    assert ids == sorted(ids, reverse=True)
    assert {second - first for first, second in zip(ids[1:], ids, strict=False)} == {len(MARKET.listings)}
    assert all(int(row["date"]) >= NOW_NS // 10**9 - 60 for row in minute)
    other = {row["tid"] for row in rows(api, "time=day", "ethusd")}
    assert not other & {row["tid"] for row in day}
    assert ask(api, "transactions/btcusd/", "time=year").status == 400


def test_what_is_refused():
    """Unknown pairs and paths, too many requests, a blocked address, pages instead of answers."""
    api = BitstampRest(stage(), RequestLimit(((2, 1.0),)))
    assert [ask(api, path).status for path in ("transactions/xxxusd/", "nothing/")] == [404, 404]
    third = ask(api, "eur_usd/")
    assert (third.status, json.loads(third.body)["response_code"]) == (400, "400.002")
    assert ask(api, "eur_usd/", now_s=3.0).status == 200
    api.end_trading(["BTCUSD"], listed=True)
    api.end_trading(["ETHUSD"], listed=False)
    told = {row["url_symbol"]: row["trading"] for row in json.loads(ask(api, "trading-pairs-info/", now_s=6.0).body)}
    assert told == {"btcusd": "Disabled", "xrpeur": "Enabled"}
    assert ask(api, "transactions/ethusd/", now_s=9.0).status == 404


@pytest.mark.parametrize(
    ("kind", "status"), [("rest_429", 400), ("rest_418", 403), ("rest_5xx", 503), ("rest_garbage", 200)]
)
def test_planned_failures(kind: str, status: int):
    """Each as the exchange tells it, for its seconds."""
    event = Event(kind=kind, at_s=0, seconds=5.0)
    api = BitstampRest(stage(event))
    api.begin(event, 0.0)
    assert ask(api, "eur_usd/", now_s=1.0).status == status
    assert json.loads(ask(api, "eur_usd/", now_s=6.0).body)["buy"]

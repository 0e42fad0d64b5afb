"""The REST side of the simulated Kraken: pages by time, pairs, limits and errors as its documents say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.builders.venue_thread import synthetic
from tests.support.judges.shape import shape
from trading_platform.simulate.exchange import HttpAnswer, Stage
from trading_platform.simulate.exchanges.kraken_rest import CallRate, KrakenRest, trade_ns
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.synthetic_market import DEMO_START_NS
from trading_platform.simulate.tape_epochs import TapeNumbering

MARKET = synthetic(60)
FIRST = 5_000_000_001
NOW_NS = DEMO_START_NS + 60 * 10**9
HEAD = MARKET.head_at("BTCUSDT", NOW_NS) or 0
TRADES = MARKET.page("BTCUSDT", FIRST, HEAD, 10_000)


class World:
    """A REST side with all of a minute issued, asked at moments of our choice."""

    def __init__(self, *events: Event, limits: CallRate | None = None, **chances: float) -> None:
        heads = {listing.venue_symbol: MARKET.head_at(listing.venue_symbol, NOW_NS) for listing in MARKET.listings}
        plan = FaultPlan(events=events, **chances)
        stage = Stage(MARKET, heads.get, lambda: NOW_NS, TapeNumbering(), plan, 0)
        self.api = KrakenRest(stage, limits or CallRate(most=10_000.0))

    def ask(self, path: str, now_s: float = 0.0, **params: object) -> HttpAnswer:
        query = "&".join(f"{name}={value}" for name, value in params.items())
        return self.api.handle("GET", f"/0/public/{path}", query, {}, now_s=now_s, wall_ns=0)

    def told(self, path: str, now_s: float = 0.0, **params: object) -> Any:
        answer = self.ask(path, now_s, **params)
        assert answer.status == 200
        return json.loads(answer.body)

    def page(self, **params: object) -> tuple[list[int], str]:
        """Return the ids of a page of trades, and the cursor after it."""
        told = self.told("Trades", pair="XBTUSDT", **params)
        assert told["error"] == []
        return [row[6] for row in told["result"]["XBTUSDT"]], told["result"]["last"]


def test_its_answers_have_the_shape_of_recorded_ones(shared_data):
    """Trades, pairs, time, status and the error inside 200 have the names and types of recorded answers."""
    folder, world = "ws/nautilus-adapters/kraken/", World()
    for path, name in {
        "Trades?pair=XBTUSDT": "http_trades.json",
        "AssetPairs?pair=XBTUSDT": "http_asset_pairs.json",
        "Time": "http_server_time.json",
        "SystemStatus": "http_system_status.json",
    }.items():
        path, _, query = path.partition("?")
        answer = world.api.handle("GET", f"/0/public/{path}", query, {}, now_s=0.0, wall_ns=0)
        assert shape(answer.body) == shape(shared_data(folder + name).read_bytes()), name
    lines = shared_data("rest/error-payloads/payloads.jsonl").read_text().splitlines()
    (recorded,) = [row for row in map(json.loads, lines) if row["exchange"] == "kraken"]
    refused = World(limits=CallRate(most=0.5)).ask("Time")
    assert (refused.status, refused.body.decode()) == (recorded["http_status"], recorded["body"])


def test_a_walk_by_the_cursor_meets_every_trade_but_those_parted_by_a_pages_end():
    """From 0 on with `last` as the next `since`: ids rise; what is lost shares its instant with a page's last row."""
    world, since, seen = World(), "0", []
    while True:
        ids, last = world.page(since=since, count=97)
        if not ids:
            assert last == since
            break
        seen += ids
        since = last
    assert seen == sorted(set(seen))
    by_id = {row.trade_id: trade_ns(row) for row in TRADES}
    lost = by_id.keys() - set(seen)
    ends = {by_id[number] for number in seen[96::97]}
    assert lost
    assert {by_id[number] for number in lost} <= ends


def test_a_page_is_what_is_later_than_its_cursor():
    """Whatever the instant, the first row is the first trade later than it; a cursor in seconds is understood."""
    world = World()
    for row in TRADES[::53]:
        for since in (trade_ns(row) - 1, trade_ns(row), trade_ns(row) + 1):
            wanted = [other.trade_id for other in TRADES if trade_ns(other) > since][:5]
            assert world.page(since=since, count=5)[0] == wanted
    assert world.page(since=DEMO_START_NS // 10**9, count=3)[0] == [FIRST, FIRST + 1, FIRST + 2]
    assert world.page(count=3)[0] == [HEAD - 2, HEAD - 1, HEAD]
    assert world.page(since=NOW_NS + 10**12)[0] == []


def test_a_rows_time_is_a_double_beside_the_cursors_ns():
    """A row prints its time with 17 digits, at most 120 ns beside the exact one, which `last` tells."""
    told = World().told("Trades", pair="XBTUSDT", since=0, count=200)
    for row, trade in zip(told["result"]["XBTUSDT"], TRADES, strict=False):
        assert abs(row[2] * 10**9 - trade_ns(trade)) < 300
    assert told["result"]["last"] == str(trade_ns(TRADES[199]))


def test_a_pair_has_three_names():
    """Key, altname and wsname lead to the same trades; another name is an error."""
    world = World()
    for name in ("XBTUSDT", "XBT/USDT"):
        assert list(world.told("Trades", pair=name)["result"]) == ["XBTUSDT", "last"]
    assert world.told("Trades", pair="BTCUSDT") == {"error": ["EQuery:Unknown asset pair"]}
    pairs = world.told("AssetPairs")["result"]
    assert {row["wsname"] for row in pairs.values()} == {"XBT/USDT", "ETH/USDT", "SOL/USDT"}


@pytest.mark.parametrize("params", [{"count": 0}, {"count": 1001}, {"count": "x"}, {"since": "-1"}, {"since": "1e9"}])
def test_a_wrong_parameter_is_an_error_inside_200(params):
    """The answer is 200 and names the parameter."""
    (error,) = World().told("Trades", pair="XBTUSDT", **params)["error"]
    assert error.startswith("EGeneral:Invalid arguments:")


def test_calls_are_counted_and_forgiven():
    """Fifteen calls at once are answered, the next ones refused inside 200; a second later one more is answered."""
    world = World(limits=CallRate())
    errors = [world.told("Time")["error"] for _ in range(17)]
    assert errors == [[]] * 15 + [["EGeneral:Too many requests"]] * 2
    assert [world.told("Time", now_s=1.01)["error"] for _ in range(2)] == [[], ["EGeneral:Too many requests"]]
    assert [record.used_weight for record in world.api.requests][:3] == [1, 2, 3]


def test_planned_faults_are_shown_in_the_exchanges_words():
    """429 and 503 are errors inside 200, a ban is the proxy's 429, other statuses are pages."""
    world = World()

    def meets(**event: Any) -> HttpAnswer:
        world.api.begin(Event(at_s=0, **event), 0.0)
        return world.ask("Time")

    assert meets(kind="rest_429").body == b'{"error":["EGeneral:Too many requests"]}'
    assert meets(kind="rest_5xx").body == b'{"error":["EService:Unavailable"]}'
    assert meets(kind="rest_5xx", status=520).status == 520
    assert meets(kind="rest_418").status == 429
    assert meets(kind="rest_418", retry_after="7").headers[-1] == ("retry-after", "7")
    garbage = meets(kind="rest_garbage")
    assert (garbage.status, garbage.body[:6]) == (200, b"<html>")
    assert world.ask("Time", now_s=99.0).status == 200


def test_history_can_lack_trades_or_have_them_otherwise():
    """Forgotten ids are in no page, which is full all the same; a changed trade has another price."""
    world = World(
        Event(kind="rest_forget", at_id=FIRST + 3, count=4, symbol="BTC-USDT"),
        Event(kind="rest_conflict", at_id=FIRST + 9, symbol="BTC-USDT"),
    )
    told = world.told("Trades", pair="XBTUSDT", since=0, count=8)["result"]["XBTUSDT"]
    assert [row[6] - FIRST for row in told] == [0, 1, 2, 7, 8, 9, 10, 11]
    assert float(told[5][0]) != float(TRADES[9].price)
    assert float(told[4][0]) == float(TRADES[8].price)


def test_a_halted_pair_is_listed_and_a_delisted_one_unknown():
    """`cancel_only` is the status of the one; the other is no pair any more."""
    world = World()
    world.api.end_trading(["BTCUSDT"], listed=True)
    world.api.end_trading(["ETHUSDT"], listed=False)
    pairs = world.told("AssetPairs")["result"]
    assert {row["altname"]: row["status"] for row in pairs.values()} == {"XBTUSDT": "cancel_only", "SOLUSDT": "online"}
    assert world.told("Trades", pair="ETHUSDT") == {"error": ["EQuery:Unknown asset pair"]}

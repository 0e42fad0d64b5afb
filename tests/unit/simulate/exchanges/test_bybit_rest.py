"""The REST side of the simulated Bybit: the newest trades, instruments, limits and errors as its documents say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.judges.shape import shape
from trading_platform.simulate.exchange import HttpAnswer, Stage
from trading_platform.simulate.exchanges.bybit import BybitExchange
from trading_platform.simulate.exchanges.bybit_rest import BybitRest, IpLimit
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.synthetic_market import DEMO_START_NS, SyntheticMarket
from trading_platform.simulate.tape_epochs import TapeNumbering

NOW_NS = DEMO_START_NS + 200 * 10**9
MARKET = SyntheticMarket(start_ns=DEMO_START_NS, end_ns=NOW_NS, profiles=BybitExchange.profiles)
NAMES = {"spot": "BTCUSDT", "linear": "BTCUSDTPERP"}


class World:
    """A REST side with 200 seconds issued, asked at moments of our choice."""

    def __init__(self, *events: Event, limits: IpLimit | None = None) -> None:
        self.heads = {listing.venue_symbol: MARKET.head_at(listing.venue_symbol, NOW_NS) for listing in MARKET.listings}
        self.stage = Stage(MARKET, self.heads.get, lambda: NOW_NS, TapeNumbering(), FaultPlan(events=events), 0)
        self.api = BybitRest(self.stage, limits)

    def ask(self, path: str, now_s: float = 0.0, **params: object) -> HttpAnswer:
        query = "&".join(f"{name}={value}" for name, value in params.items())
        return self.api.handle("GET", f"/v5/market/{path}", query, {}, now_s=now_s, wall_ns=0)

    def told(self, path: str, now_s: float = 0.0, **params: object) -> Any:
        answer = self.ask(path, now_s, **params)
        assert answer.status == 200
        return json.loads(answer.body)

    def newest(self, category: str, **params: object) -> list[dict[str, Any]]:
        told = self.told("recent-trade", category=category, symbol="BTCUSDT", **params)
        assert told["retCode"] == 0
        rows = told["result"]["list"]
        assert isinstance(rows, list)
        return rows


def test_its_answers_have_the_shape_of_recorded_ones(shared_data):
    """Recent trades hold the recorded names with their types; listings have exactly the recorded ones."""
    folder, world = "ws/nautilus-adapters/bybit/", World()
    mine: Any = shape(world.ask("recent-trade", category="linear", symbol="BTCUSDT").body)
    recorded: Any = shape(shared_data(folder + "http_get_trades_recent.json").read_bytes())
    assert recorded.keys() <= mine.keys()
    (row,), (other,) = mine["result"]["list"], recorded["result"]["list"]
    assert {name: row[name] for name in other} == other
    for category in ("spot", "linear"):
        told = json.loads(shared_data(folder + f"http_get_instruments_{category}.json").read_text())
        listed = world.told("instruments-info", category=category, symbol="BTCUSDT")
        assert _names(listed["result"]["list"][0]) == _names(told["result"]["list"][0])
        assert listed.keys() == told.keys()


def _names(value: Any) -> Any:
    """Return the names of objects with the types of what they hold; numbers in texts are texts."""
    return {n: _names(v) for n, v in value.items()} if isinstance(value, dict) else type(value).__name__


@pytest.mark.parametrize(("category", "most", "default"), [("spot", 60, 60), ("linear", 1000, 500)])
def test_only_the_newest_trades_can_be_had(category, most, default):
    """Newest first, up to the category's most, as the stream tells them."""
    world = World()
    exchange = BybitExchange(world.stage)
    head = world.heads[NAMES[category]] or 0
    wanted = [exchange.told(row) for row in MARKET.newest(NAMES[category], head, most)][::-1]
    assert len(wanted) == most
    rows = world.newest(category, limit=100_000)
    assert [
        (row["execId"], row["price"], row["size"], row["side"].lower(), int(row["time"]) * 10**6) for row in rows
    ] == [(told.trade_uid, told.price, told.quantity, told.side, told.ts_event) for told in wanted]
    assert len(world.newest(category)) == default
    assert world.newest(category, limit=3) == rows[:3]


def test_linear_instruments_come_in_pages():
    """A cursor leads to the next page, until it is empty; spot knows no pages."""
    world, seen, cursor = World(), [], ""
    while True:
        result = world.told("instruments-info", category="linear", limit=1, cursor=cursor)["result"]
        seen += [row["symbol"] for row in result["list"]]
        cursor = result["nextPageCursor"]
        if not cursor:
            break
    assert seen == ["BTCUSDT", "ETHUSDT"]
    spot = world.told("instruments-info", category="spot", limit=1)["result"]
    assert ([row["symbol"] for row in spot["list"]], spot["nextPageCursor"]) == (["BTCUSDT", "ETHUSDT", "SOLUSDT"], "")


def test_who_asks_too_often_is_banned_for_ten_minutes():
    """After 600 requests within 5 seconds every answer is 403 for ten minutes; then it answers again."""
    world = World()
    assert {world.ask("time").status for _ in range(600)} == {200}
    banned = world.ask("time", now_s=4.0)
    assert (banned.status, banned.body) == (403, b"access too frequent")
    assert [world.ask("time", now_s=now_s).status for now_s in (10.0, 603.9, 604.1)] == [403, 403, 200]


def test_planned_faults_are_shown_in_the_exchanges_words():
    """Too many visits and an internal error are codes inside 200, a ban is 403, other statuses are pages."""
    world = World()

    def meets(now_s: float = 0.0, **event: Any) -> HttpAnswer:
        world.api.begin(Event(at_s=0, **event), now_s)
        return world.ask("time", now_s)

    assert json.loads(meets(kind="rest_429").body)["retCode"] == 10006
    assert json.loads(meets(kind="rest_5xx").body)["retCode"] == 10016
    assert meets(kind="rest_5xx", status=502).status == 502
    assert meets(kind="rest_garbage").body.startswith(b"<html>")
    assert meets(kind="rest_418", seconds=30.0).status == 403
    assert [world.ask("time", now_s).status for now_s in (29.0, 31.0)] == [403, 200]


def test_history_can_lack_trades_or_have_them_otherwise():
    """A forgotten trade is not among the newest, a changed one has another price."""
    head = World().heads["BTCUSDT"] or 0
    world = World(
        Event(kind="rest_forget", at_id=head - 1, symbol="BTC-USDT"),
        Event(kind="rest_conflict", at_id=head, symbol="BTC-USDT"),
    )
    plain = World().newest("spot", limit=3)
    rows = world.newest("spot", limit=3)
    assert [row["execId"] for row in rows] == [plain[0]["execId"], plain[2]["execId"]]
    assert rows[0]["price"] != plain[0]["price"]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("recent-trade", {"category": "option", "symbol": "BTCUSDT"}),
        ("recent-trade", {"category": "spot", "symbol": "NOPE"}),
        ("recent-trade", {"category": "spot"}),
        ("recent-trade", {"category": "spot", "symbol": "BTCUSDT", "limit": "0"}),
        ("instruments-info", {"category": "linear", "cursor": "x"}),
    ],
)
def test_a_wrong_parameter_is_a_code_inside_200(path, params):
    """10001 and a text."""
    assert World().told(path, **params)["retCode"] == 10001


def test_a_halted_symbol_is_listed_no_more_or_otherwise():
    """Spot drops it, linear has it under another status; a delisted one is unknown."""
    world = World()
    world.api.end_trading(["BTCUSDT", "BTCUSDTPERP"], listed=True)
    world.api.end_trading(["ETHUSDT"], listed=False)
    assert [r["symbol"] for r in world.told("instruments-info", category="spot")["result"]["list"]] == ["SOLUSDT"]
    closed = world.told("instruments-info", category="linear", status="Closed")["result"]["list"]
    assert [row["symbol"] for row in closed] == ["BTCUSDT"]
    assert world.told("recent-trade", category="spot", symbol="ETHUSDT")["retCode"] == 10001


def test_other_paths_lead_nowhere():
    """404, as text."""
    assert World().ask("orderbook").status == 404

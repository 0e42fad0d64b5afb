"""Trades that a venue does not hand out: given up after two answers ten minutes apart, and not before.

The venue is a function from a request to a page; time stands still but for the waits of the recovery.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from trading_platform.domain.days import day_start
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.recovery.fetch_lane import FetchLane, LaneEnvironment
from trading_platform.ingest.recovery.fetcher import Endpoint, FetchContext
from trading_platform.ingest.recovery.recovery import Outcome, recover_missing
from trading_platform.ingest.replay.replay import replay
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.venues import VENUES

BOUNDS = Bounds.of("2020-01-01")
KEY = ("binance", "BTC-USDT")
MIDNIGHT = day_start("2024-08-08")
FIRST, LAST = 1, 4000


class Venue:
    """Serves those of the ids FIRST to LAST that `has` says; `says` may answer a request in its own way."""

    def __init__(self, has: Callable[[int], bool]) -> None:
        self.has = has
        self.says: Callable[[int], httpx.Response | None] = lambda from_id: None
        self.requests = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        limit = int(request.url.params["limit"])
        if "fromId" not in request.url.params:
            return self.page([LAST])
        from_id = int(request.url.params["fromId"])
        answer = self.says(from_id)
        if answer is not None:
            return answer
        return self.page([number for number in range(max(from_id, FIRST), LAST + 1) if self.has(number)][:limit])

    @staticmethod
    def page(ids: list[int]) -> httpx.Response:
        rows = [
            {"id": n, "price": "5.5", "qty": "0.25", "time": MIDNIGHT // 10**6 + n, "isBuyerMaker": True} for n in ids
        ]
        return httpx.Response(200, content=json.dumps(rows, separators=(",", ":")).encode())


class World:
    """A data directory that holds trade 1 and knows of trade LAST; its clock moves only when told or waited on."""

    def __init__(self, root: Path) -> None:
        self.data = DataDir(root).create()
        self.ledger = Ledger.open(self.data)
        self.now_s = 1_723_600_000.0
        self.environment = LaneEnvironment(wall_ns=lambda: int(self.now_s * 1e9))
        with FetchLane(self.data, self.ledger, VENUES, BOUNDS, environment=self.environment) as lane:
            lane.page(control.PageHeader(*KEY[:1], "trades", KEY[1]), Venue.page([FIRST]).content)

    def wait(self, seconds: float) -> bool:
        self.now_s += seconds
        return False

    def recover(self, venue: Venue) -> Outcome:
        context = FetchContext(
            BOUNDS,
            pass_all,
            1.0,
            self.wait,
            random.Random(1),
            wall_ns=self.environment.wall_ns,
            monotonic=lambda: self.now_s,
            environment=self.environment,
            network=httpx.MockTransport(venue),
        )
        endpoints = {"binance": Endpoint(VENUES["binance"], "http://venue.invalid")}
        return recover_missing(self.data, self.ledger, endpoints, context, patient=False)

    def later(self, minutes: float, venue: Venue) -> Outcome:
        self.now_s += 60 * minutes
        return self.recover(venue)

    def account(self) -> dict[str, list[tuple[int, int]]]:
        state = self.ledger.state(*KEY)
        return {"open": state.open(), "void": list(state.void), "lost": list(state.unrecoverable)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give the world."""
    world = World(tmp_path / "data")
    yield world
    world.ledger.close()


def test_beyond_the_venues_memory_trades_are_lost_and_never_void(world: World) -> None:
    """A listing that begins later than asked has forgotten the rest: open at first, then lost, with the reason."""
    venue = Venue(lambda number: number > 2500)
    assert not world.recover(venue).nothing_open
    assert world.account() == {"open": [(2, 2500)], "void": [], "lost": []}
    assert not world.later(9, venue).nothing_open
    assert world.later(11, venue).nothing_open
    assert world.account() == {"open": [], "void": [], "lost": [(2, 2500)]}
    (gap,) = world.ledger.gaps(("unrecoverable",))
    assert gap.reason == "retention"


def test_an_id_between_two_that_are_listed_is_void_after_ten_minutes(world: World) -> None:
    """Wherever it lies in the gap, at its ends too: pages begin and end at trades that are held."""
    unused = {2, 3, 1000, 1001, 1002, 2000, LAST - 1}
    venue = Venue(lambda number: number not in unused)
    assert not world.recover(venue).nothing_open
    assert world.account()["void"] == []
    assert world.later(11, venue).nothing_open
    assert world.account() == {
        "open": [],
        "void": [(2, 3), (1000, 1002), (2000, 2000), (LAST - 1, LAST - 1)],
        "lost": [],
    }


def test_what_a_venue_has_nothing_of_is_lost_after_ten_minutes(world: World) -> None:
    """Empty pages: no proof the first time, and the end of asking the second."""
    venue = Venue(lambda number: False)
    assert not world.recover(venue).nothing_open
    assert world.account()["open"] == [(2, LAST - 1)]
    assert world.later(11, venue).nothing_open
    assert world.account() == {"open": [], "void": [], "lost": [(2, LAST - 1)]}
    assert {gap.reason for gap in world.ledger.gaps(("unrecoverable",))} == {"not served"}


def test_pages_that_a_venue_refuses_are_lost_and_the_others_fetched(world: World) -> None:
    """HTTP 400 for old ids: what lies behind them is asked for all the same."""
    venue = Venue(lambda number: True)
    venue.says = lambda from_id: httpx.Response(400, text="too old") if from_id <= 1500 else None
    world.recover(venue)
    assert world.account()["open"] == [(2, 2000)]
    world.later(11, venue)
    assert world.account() == {"open": [], "void": [], "lost": [(2, 2000)]}


def test_a_wrong_key_or_a_refused_address_loses_nothing(world: World) -> None:
    """HTTP 401 and 403 are about who asks: the ids stay open however often they are answered so."""
    venue = Venue(lambda number: True)
    for status in (401, 403, 401):
        venue.says = lambda from_id, status=status: httpx.Response(status, text="who are you")
        assert not world.later(11, venue).nothing_open
    assert world.account() == {"open": [(2, LAST - 1)], "void": [], "lost": []}


def test_a_trade_that_comes_after_all_is_held(world: World) -> None:
    """What was given up is stored when it arrives, say from an archive."""
    venue = Venue(lambda number: number > 2500)
    world.recover(venue)
    world.later(11, venue)
    with FetchLane(world.data, world.ledger, VENUES, BOUNDS, environment=world.environment) as lane:
        lane.page(control.PageHeader(*KEY[:1], "trades", KEY[1]), Venue.page([700]).content)
    assert world.account()["lost"] == [(2, 699), (701, 2500)]


def test_the_log_rebuilds_what_was_given_up(world: World, tmp_path: Path) -> None:
    """The answers are in the log: a ledger made from it alone says the same."""
    venue = Venue(lambda number: number > 2500 and number != 3000)
    world.recover(venue)
    world.later(11, venue)
    before = world.account()
    assert before == {"open": [], "void": [(3000, 3000)], "lost": [(2, 2500)]}
    scratch = Ledger.open(DataDir(tmp_path / "scratch").create())
    replay(
        world.data,
        world.ledger,
        VENUES,
        BOUNDS,
        pass_all,
        days=lambda day: True,
        scratch=scratch,
        on_lane=lambda lane: None,
    )
    scratch.close()
    assert world.account() == before

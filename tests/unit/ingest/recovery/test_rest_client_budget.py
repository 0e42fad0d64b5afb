"""What the venue's own log says about us: our share of its weight, silence while it forbids asking. Virtual time."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import httpx
import pytest

from tests.support.builders.venue_thread import synthetic
from trading_platform.domain.errors import Banned, RateLimited, VenueError
from trading_platform.ingest.recovery.rest_client import RestClient
from trading_platform.simulate.exchanges.binance_rest import BinanceRest, WeightLimit
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.venues.answers import Answer, AnswerVerdict
from trading_platform.venues.binance import Binance
from trading_platform.venues.history import Missing
from trading_platform.venues.limits import limit_of

ADAPTER = Binance()
WEIGHT = limit_of(ADAPTER.limits, "weight").most
FIRST = 5_000_000_001


class World:
    """The simulator's REST behind a transport without sockets; only waiting moves the clock."""

    def __init__(self, plan: FaultPlan | None = None, seed: int = 0) -> None:
        market = synthetic(60.0, symbols=["BTC-USDT"])
        self.now = 0.0
        self.api = BinanceRest(
            market, head=lambda name: FIRST + 500, server_ms=lambda: 0, plan=plan, seed=seed, limits=WeightLimit()
        )

    def client(self, share: float, seed: int = 1, adapter: Binance = ADAPTER) -> RestClient:
        return RestClient(
            adapter,
            "http://venue",
            share=share,
            wall_ns=lambda: int(self.now * 1e9),
            monotonic=lambda: self.now,
            wait=self._wait,
            rng=random.Random(seed),
            transport=httpx.MockTransport(self._answer),
        )

    def _wait(self, seconds: float) -> bool:
        self.now += seconds
        return False

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.now += 0.02
        query = request.url.query.decode()
        answer = self.api.handle(
            request.method, request.url.path, query, dict(request.headers), now_s=self.now, wall_ns=int(self.now * 1e9)
        )
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)


def ask(client: RestClient, times: int) -> int:
    """Ask for pages; return how many were answered."""
    answered = 0
    for number in range(times):
        try:
            first = FIRST + number % 400
            client.get(ADAPTER.history.request("BTCUSDT", ADAPTER.history.from_ids(Missing(first, first + 9))))
        except VenueError:
            continue
        answered += 1
    return answered


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_the_venue_never_charges_us_more_than_our_share(share: float) -> None:
    """By its own log no minute holds more than the share of 6,000, and nothing is refused."""
    world = World()
    assert ask(world.client(share), 800) == 800
    asked = world.api.requests
    assert {record.status for record in asked} == {200}
    assert max(record.used_weight for record in asked) <= share * WEIGHT
    assert len(asked) == 800


def test_two_programs_at_one_address_do_not_get_it_banned() -> None:
    """Each counts the other's weight from the headers: together they stay within the venue's limit."""
    world = World()
    both = [world.client(0.5), world.client(0.5, seed=2)]
    for number in range(600):
        assert ask(both[number % 2], 1) == 1
    assert max(record.used_weight for record in world.api.requests) <= WEIGHT
    assert {record.status for record in world.api.requests} == {200}


@pytest.mark.parametrize("retry_after", [None, "5", "", "70", "-1", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_nothing_is_asked_within_a_minute_of_a_429(retry_after: str | None) -> None:
    """Whatever the header says, or says wrongly: by the venue's log 60 s pass, and no 418 follows."""
    world = World(FaultPlan(rest_429=0.1), seed=4)
    world.api.begin(Event(kind="rest_429", at_s=0, seconds=20, retry_after=retry_after), 0.0)
    ask(world.client(0.5), 60)
    log = list(world.api.requests)
    refused = [pair for pair in pairwise(log) if pair[0].status == 429]
    assert len(refused) > 3
    assert all(later.mono_s - earlier.mono_s >= 60.0 for earlier, later in refused)
    assert 418 not in {record.status for record in log}


def test_nothing_is_asked_within_a_ban() -> None:
    """Three days of 418: one request sees it, and none follows, whoever asks."""
    world = World()
    world.api.begin(Event(kind="rest_418", at_s=0, seconds=3 * 86_400), 0.0)
    client = world.client(0.5)
    for _ in range(50):
        with pytest.raises((Banned, RateLimited)):
            client.get(ADAPTER.history.newest("BTCUSDT"))
    assert [record.status for record in world.api.requests] == [418]


def test_a_storm_of_errors_is_met_with_one_request_in_thirty_seconds() -> None:
    """Half an hour of 503: after five failures in a row the venue is asked twice a minute at most."""
    world = World()
    world.api.begin(Event(kind="rest_5xx", at_s=0, seconds=1800, status=503), 0.0)
    client = world.client(0.5)
    while world.now < 1800:
        ask(client, 1)
    storm = [record.mono_s for record in world.api.requests if record.mono_s < 1800]
    assert len(storm) <= 5 + 1800 / 30
    assert ask(client, 20) == 20


class Heedless(Binance):
    """Does not look at what the venue says is used."""

    def judge(self, answer: Answer) -> AnswerVerdict:
        return replace(super().judge(answer), used={})


def test_without_a_budget_the_venue_would_ban_us() -> None:
    """The log can tell: a client that takes ten times its share, and does not look at the sum, is refused."""
    world = World()
    ask(world.client(10.0, adapter=Heedless()), 400)
    assert {record.status for record in world.api.requests} >= {200, 429}

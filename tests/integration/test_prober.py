"""Heads asked on behalf of others: in the log and the ledger before they are told."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.waiting import wait_until
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.recovery.fetch_lane import FetchLane
from trading_platform.ingest.recovery.head_prober import Prober
from trading_platform.ingest.recovery.rest_client import RestClient, Waiter
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.venues import VENUES

ADAPTER = VENUES["binance"]
BOUNDS = Bounds.of("2016-01-01")
SPELLING = {"BTC-USDT": "BTCUSDT", "ETH-USDT": "ETHUSDT"}
PAGE = (
    b'[{"id":%d,"price":"62000.00","qty":"0.1","quoteQty":"6200","time":1710460200000,"isBuyerMaker":true,'
    b'"isBestMatch":true}]'
)
FIRST = 5_000_000_001


class World:
    """A data directory that knows one trade of BTC-USDT, and a venue that answers what it is told to."""

    def __init__(self, path: Path) -> None:
        self.data = DataDir(path).create()
        self.told: list[dict[str, int | None]] = []
        self.asked: list[str] = []
        self.answer: Callable[[], httpx.Response] = lambda: httpx.Response(200, content=PAGE % (FIRST + 9))
        ledger = Ledger.open(self.data)
        with FetchLane(self.data, ledger, VENUES, BOUNDS) as lane:
            lane.page(control.PageHeader("binance", "trades", "BTC-USDT", FIRST), PAGE % FIRST)
        ledger.close()

    def prober(self) -> Prober:
        def client(ledger: Ledger, on_ban: Callable[[int], None], wait: Waiter) -> RestClient:
            return RestClient(
                ADAPTER,
                "http://venue",
                share=0.5,
                wall_ns=lambda: 10**18,
                monotonic=lambda: 0.0,
                wait=wait,
                rng=random.Random(1),
                banned_until_ns=ledger.ban_until("binance"),
                on_ban=on_ban,
                transport=httpx.MockTransport(self._answer),
            )

        opened = lambda: Ledger.open(self.data)  # noqa: E731
        return Prober(self.data, opened, ADAPTER, client, BOUNDS, SPELLING, self.told.append)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.params["symbol"])
        return self.answer()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "data")


def test_a_head_is_in_the_ledger_before_it_is_told(world: World) -> None:
    """What the probe shows to be missing is an open gap, and the tail stays live: somebody listens."""
    with world.prober() as prober:
        prober.ask(["BTC-USDT"])
        wait_until(lambda: world.told, what="an answer")
        ledger = Ledger.open(world.data)
        (row,) = ledger.sequences("binance", "BTC-USDT")
        assert (row.head, row.tail) == (FIRST + 9, "live")
        assert [(gap.first_missing, gap.last_missing) for gap in ledger.gaps()] == [(FIRST + 1, FIRST + 8)]
        ledger.close()
    assert world.told == [{"BTC-USDT": FIRST + 9}]


def test_the_first_answer_about_what_was_never_seen_undertakes_nothing(world: World) -> None:
    """What was traded before we listened is not ours to hold: it is told, and not logged."""
    with world.prober() as prober:
        prober.ask(["ETH-USDT", "DOGE-USDT"])
        wait_until(lambda: world.told, what="an answer")
    assert world.told == [{"ETH-USDT": FIRST + 9}]
    ledger = Ledger.open(world.data)
    assert [row.symbol for row in ledger.sequences()] == ["BTC-USDT"]
    ledger.close()


def test_what_traded_since_and_was_never_seen_is_undertaken(world: World) -> None:
    """Deaf from the start: everything after the first answer is ours, and missing."""
    with world.prober() as prober:
        prober.ask(["ETH-USDT"])
        wait_until(lambda: world.told, what="an answer")
        world.answer = lambda: httpx.Response(200, content=PAGE % (FIRST + 12))
        prober.ask(["ETH-USDT"])
        wait_until(lambda: len(world.told) == 2, what="another answer")
    ledger = Ledger.open(world.data)
    (row,) = ledger.sequences("binance", "ETH-USDT")
    assert (row.from_id, row.head) == (FIRST + 10, FIRST + 12)
    assert [(gap.first_missing, gap.last_missing) for gap in ledger.gaps()] == [(FIRST + 10, FIRST + 11)]
    ledger.close()


def test_a_ban_is_on_record_and_nothing_more_is_asked(world: World) -> None:
    """A 418 is told to the log; the next probe is not sent."""
    world.answer = lambda: httpx.Response(418, headers={"Retry-After": "3600"})
    with world.prober() as prober:
        prober.ask(["BTC-USDT"])
        wait_until(lambda: world.told, what="an answer")
        prober.ask(["BTC-USDT"])
        wait_until(lambda: len(world.told) == 2, what="another answer")
    assert world.told == [{}, {}]
    assert len(world.asked) == 1
    ledger = Ledger.open(world.data)
    assert ledger.ban_until("binance") > 10**18
    assert ledger.ban_until("binance/stream") == 0
    ledger.close()


def test_closing_ends_a_wait(world: World) -> None:
    """The venue asks for a minute of patience; whoever stops us does not wait for it."""
    asked = threading.Event()

    def busy() -> httpx.Response:
        asked.set()
        return httpx.Response(429)

    world.answer = busy
    with world.prober() as prober:
        prober.ask(["BTC-USDT"])
        assert asked.wait(20)
    assert not prober._thread.is_alive()
    assert world.told == []


def test_a_ban_is_on_record_while_its_end_is_waited_for(world: World) -> None:
    """Whoever is killed within the wait has told the ban already: the next process knows of it."""
    world.answer = lambda: httpx.Response(418)
    ledger = Ledger.open(world.data)
    with world.prober() as prober:
        prober.ask(["BTC-USDT"])
        wait_until(lambda: ledger.ban_until("binance"), what="the ban is in the ledger")
        assert world.told == []
    ledger.close()


def test_a_question_about_nothing_of_ours_is_none(world: World) -> None:
    """A symbol that we do not listen to wakes nobody: a simulated hour once stood still for it (seed 193)."""
    prober = world.prober()
    prober.ask(["DOGE-USDT"])
    prober.ask([])
    assert prober._asked.empty()
    prober.ask(["DOGE-USDT", "BTC-USDT"])
    assert prober._next() == ["BTC-USDT"]

"""No single answer of a venue is believed where another fact is at hand."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.recovery.fetch_lane import FetchLane
from trading_platform.ingest.recovery.fetcher import Endpoint, FetchContext
from trading_platform.ingest.recovery.recovery import fetch_days, recover_missing, undertake
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.venues import VENUES

BOUNDS = Bounds.of("2016-01-01")
PAIR = ("binance", "BTC-USDT")
DAY = "2024-03-15"
MIDNIGHT_MS = 1_710_460_800_000
FIRST = 5_000_000_000
"""The first trade of the day; one a second, from an hour before to an hour after."""
LEAST, HEAD = FIRST - 3600, FIRST + 3599


def row(number: int, **other: Any) -> dict[str, Any]:
    time = MIDNIGHT_MS + (number - FIRST) * 1000
    return {"id": number, "price": "1.5", "qty": "2", "time": time, "isBuyerMaker": True} | other


class Venue:
    """Answers truly, but for what `lies` says of a request's parameters, as often as told."""

    def __init__(self, lies: Callable[[dict[str, str]], Any] = lambda params: None, times: int = 10**9) -> None:
        self.lies, self.times = lies, times
        self.asked: list[dict[str, str]] = []
        self.network = httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        params = dict(request.url.params)
        self.asked.append(params)
        lie = self.lies(params) if self.times > 0 else None
        self.times -= lie is not None
        return httpx.Response(200, content=msgspec.json.encode(self._truth(params) if lie is None else lie))

    @staticmethod
    def _truth(params: dict[str, str]) -> list[dict[str, Any]]:
        limit = int(params["limit"])
        if "startTime" in params:
            number = FIRST + -(-(int(params["startTime"]) - MIDNIGHT_MS) // 1000)
            number = max(LEAST, number)
            return [] if number > HEAD else [aggregate(number)]
        if "fromId" not in params:
            return [row(number) for number in range(HEAD - limit + 1, HEAD + 1)]
        first = max(LEAST, int(params["fromId"]))
        return [row(number) for number in range(first, min(HEAD, first + limit - 1) + 1)]


def aggregate(number: int, **other: Any) -> dict[str, Any]:
    time = MIDNIGHT_MS + (number - FIRST) * 1000
    return {"a": 1, "p": "1.5", "q": "2", "f": number, "l": number, "T": time, "m": True} | other


class Place:
    """A data directory, and a recovery that asks a venue without sockets."""

    def __init__(self, path: Path) -> None:
        self.data = DataDir(path).create()
        self.ledger = Ledger.open(self.data)
        self.endpoints = {"binance": Endpoint(VENUES["binance"], "http://venue")}

    def context(self, venue: Venue) -> FetchContext:
        clock = iter(range(10**9))
        return FetchContext(
            BOUNDS,
            pass_all,
            100.0,
            lambda seconds: False,
            random.Random(1),
            monotonic=lambda: next(clock) * 1e-3,
            network=venue.network,
        )

    def holds(self, *numbers: int) -> None:
        body = msgspec.json.encode([row(number) for number in numbers])
        with FetchLane(self.data, self.ledger, VENUES, BOUNDS) as lane:
            lane.page(control.PageHeader("binance", "trades", "BTC-USDT"), body)

    def recover(self, venue: Venue) -> Any:
        return recover_missing(self.data, self.ledger, self.endpoints, self.context(venue), patient=False)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "data")
    yield made
    made.ledger.close()


FIRSTS = {
    "before the day": aggregate(FIRST - 100),
    "not yet": aggregate(FIRST, T=4_000_000_000_000),
    "another time": aggregate(FIRST + 50, T=MIDNIGHT_MS + 1000),
    "not the first": aggregate(FIRST + 50),
    "of another symbol": aggregate(FIRST - 10**9, T=MIDNIGHT_MS + 5),
}


@pytest.mark.parametrize("lie", FIRSTS.values(), ids=FIRSTS)
def test_the_first_trade_of_a_day_is_checked(place: Place, lie: dict[str, Any]) -> None:
    """By its own time, by what is listed around it: else a day began late, or millions of ids were undertaken."""
    venue = Venue(lambda params: [lie] if "startTime" in params else None)
    context = place.context(venue)
    assert not undertake(place.data, place.ledger, place.endpoints, context, {PAIR: DAY})
    assert place.ledger.sequences() == []
    done = fetch_days(place.data, place.ledger, place.endpoints, context, [PAIR], DAY, DAY)
    assert len(done.problems) == 1
    assert done.problems[0].startswith("binance BTC-USDT: trade ")
    assert place.ledger.sequences() == []
    assert undertake(place.data, place.ledger, place.endpoints, place.context(Venue()), {PAIR: DAY})
    assert place.ledger.sequences()[0].from_id == FIRST - 1


def test_a_venue_that_knows_no_trade_of_a_day_that_we_hold_is_not_believed(place: Place) -> None:
    """An empty answer is no answer where a trade of that day was delivered."""
    place.holds(FIRST + 100)
    venue = Venue(lambda params: [] if "startTime" in params else None)
    done = fetch_days(place.data, place.ledger, place.endpoints, place.context(venue), [PAIR], DAY, DAY)
    assert "although" in done.problems[0]


PAGES: dict[str, Callable[[dict[str, str]], list[dict[str, Any]]]] = {
    "the beginning": lambda params: [row(number) for number in range(LEAST, LEAST + int(params["limit"]))],
    "too many rows": lambda params: [row(int(params["fromId"]) + number) for number in range(int(params["limit"]) + 1)],
    "one id before": lambda params: [row(int(params["fromId"]) - 1 + number) for number in range(5)],
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_a_page_that_was_not_asked_for_is_kept_apart(
    place: Place, page: Callable[[dict[str, str]], list[dict[str, Any]]]
) -> None:
    """Neither its trades nor what it lacks counts; another time the venue answers, and all is there."""
    place.holds(FIRST, FIRST + 50)
    lying = Venue(lambda params: page(params) if "fromId" in params else None)
    done = place.recover(lying)
    assert "not the page that was asked for" in " ".join(done.problems)
    assert {kind for _, _, kind in place.ledger.quarantined("binance")} == {"page"}
    assert place.ledger.sequences()[0].from_id == FIRST
    assert place.ledger.state(*PAIR, 0).unserved == []
    for gap in place.ledger.gaps():
        place.ledger.retry(gap.id)
    assert place.recover(Venue()).nothing_open


@pytest.mark.parametrize("head", [[row(FIRST + 10)], [row(5)], []], ids=["older", "ancient", "none"])
def test_an_older_head_than_was_delivered_closes_nothing(place: Place, head: list[dict[str, Any]]) -> None:
    """A cache of the venue's: asked once more, and if it insists the end stays open."""
    place.holds(FIRST, FIRST + 50)
    done = place.recover(Venue(lambda params: head if "fromId" not in params else None))
    assert "although" in " ".join(done.problems)
    assert [tail.symbol for tail in done.open_tails] == ["BTC-USDT"]
    assert place.ledger.sequences()[0].head == FIRST + 50
    once = Venue(lambda params: head if "fromId" not in params else None, times=1)
    assert place.recover(once).open_tails == ()


def test_a_head_far_beyond_the_list_opens_no_gap(place: Place) -> None:
    """Fifty million ids on, says one answer; the list after what we hold ends before: nothing to fetch for a day."""
    place.holds(FIRST, HEAD - 10)
    head = [row(HEAD + 50_000_000, time=MIDNIGHT_MS + 3_600_000)]
    done = place.recover(Venue(lambda params: head if "fromId" not in params else None))
    assert "but the list ends at" in " ".join(done.problems)
    assert place.ledger.sequences()[0].head <= HEAD

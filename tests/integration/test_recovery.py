"""Recovery against a real venue over loopback: dead helpers' leftovers, tails, days fetched whole, refusals."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.recovery.fetch_lane import FetchLane
from trading_platform.ingest.recovery.fetcher import Endpoint, FetchContext
from trading_platform.ingest.recovery.recovery import fetch_days, probe_ended, recover_missing, undertake
from trading_platform.ingest.recovery.rest_client import Stopped
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake import publish as lake
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.venues import VENUES
from trading_platform.venues.adapter import Request
from trading_platform.venues.binance.history import BinanceHistory
from trading_platform.venues.history import Missing

BOUNDS = Bounds.of("2016-01-01")
PAIR = ("binance", "BTC-USDT")
MIDNIGHT = 1710460800 * 10**9


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    """Give an empty data directory."""
    return DataDir(tmp_path / "data").create()


@pytest.fixture
def ledger(data: DataDir) -> Iterator[Ledger]:
    """Give its ledger."""
    book = Ledger.open(data)
    yield book
    book.close()


@pytest.fixture
def played(simulator: Callable[..., Simulator]) -> Callable[..., Simulator]:  # noqa: F811
    """Start a venue whose market is over: REST serves all of it."""
    import websockets.sync.client

    def start(seconds: float, plan: FaultPlan | None = None) -> Simulator:
        venue = simulator(synthetic(seconds, symbols=["BTC-USDT"]), plan=plan)
        url = f"{venue.ws_url}/ws/btcusdt@trade"
        with websockets.sync.client.connect(url, close_timeout=0.1) as stream:
            while not venue.wait_ended(0):
                with suppress(TimeoutError):
                    stream.recv(0.1)
        return venue

    return start


def context(wait: Callable[[float], bool] | None = None) -> FetchContext:
    """Return real time and a fixed chance."""
    return FetchContext(BOUNDS, pass_all, 0.5, wait or threading.Event().wait, random.Random(1))


def endpoints(venue: Simulator) -> dict[str, Endpoint]:
    """Return where the venue is asked."""
    return {"binance": Endpoint(VENUES["binance"], venue.rest_url)}


def promise_all(data: DataDir, ledger: Ledger, venue: Simulator) -> None:
    """Promise to hold everything from the venue's first trade on, as if it had been streamed and lost."""
    first = min(line["trade_id"] for line in venue.truth())
    with FetchLane(data, ledger, VENUES, BOUNDS) as lane:
        lane.fact(control.Undertaken("binance", "BTC-USDT", first))


def stored_ids(data: DataDir) -> list[int]:
    """Return the published ids."""
    tables = [lake.read_leaf(data, leaf, ["trade_id"]) for leaf in lake.leaves(data, "ticks")]
    return [number for table in tables if table is not None for number in table["trade_id"].to_pylist()]


def test_everything_missing_is_fetched_and_published(
    data: DataDir, ledger: Ledger, played: Callable[..., Simulator]
) -> None:
    """From a promise and a head probe to every trade of the venue in the lake, across midnight."""
    venue = played(1200)
    promise_all(data, ledger, venue)
    outcome = recover_missing(data, ledger, endpoints(venue), context())
    assert outcome.nothing_open
    assert stored_ids(data) == sorted(line["trade_id"] for line in venue.truth())
    assert {day for _, _, day in outcome.touched} == {"2024-03-14", "2024-03-15"}


def test_a_dead_recoverys_lease_is_taken_over(data: DataDir, ledger: Ledger, played: Callable[..., Simulator]) -> None:
    """What a killed recovery had leased is fetched at once by the next one."""
    venue = played(60)
    promise_all(data, ledger, venue)
    recover_missing(data, ledger, {}, context())
    with FetchLane(data, ledger, VENUES, BOUNDS) as lane:
        newest = BinanceHistory().read(_head(venue), "BTC-USDT").trades
        assert newest
        lane.page(control.PageHeader("binance", "head", "BTC-USDT"), _head(venue))
    lease = ledger.lease(100, now_ns=2**62, holder="fetch-7/dead", ttl_ns=2**60)
    assert lease is not None
    assert recover_missing(data, ledger, endpoints(venue), context()).nothing_open


def _head(venue: Simulator) -> bytes:
    return _ask(venue, BinanceHistory().newest("BTCUSDT"))


def _page(venue: Simulator, trade_id: int) -> bytes:
    """Return the page of one trade."""
    return _ask(venue, BinanceHistory().request("BTCUSDT", BinanceHistory().from_ids(Missing(trade_id, trade_id))))


def _ask(venue: Simulator, request: Request) -> bytes:
    import httpx

    return httpx.get(venue.rest_url + request.path, params=list(request.params), trust_env=False).content


def test_days_are_fetched_with_witnesses_on_either_side(
    data: DataDir, ledger: Ledger, played: Callable[..., Simulator]
) -> None:
    """A day never recorded comes whole, with the last trade before it; what is held is not asked for again."""
    venue = played(1200)
    truth = venue.truth()
    outcome = fetch_days(data, ledger, endpoints(venue), context(), [PAIR], "2024-03-15", "2024-03-15")
    assert outcome.open_gaps == ()
    ids = stored_ids(data)
    midnight = 1710460800 * 10**9
    inside = [line["trade_id"] for line in truth if line["ts_event"] >= midnight]
    assert ids == [min(inside) - 1, *inside]
    pages = outcome.pages
    again = fetch_days(data, ledger, endpoints(venue), context(), [PAIR], "2024-03-15", "2024-03-15")
    assert again.pages < pages


def test_a_witness_that_the_venue_never_had_is_not_missed(
    data: DataDir, ledger: Ledger, played: Callable[..., Simulator]
) -> None:
    """Where the venue's own trades begin within the days, nothing before its first trade is undertaken."""
    venue = played(1200)
    outcome = fetch_days(data, ledger, endpoints(venue), context(), [PAIR], "2024-03-14", "2024-03-15")
    ids = [line["trade_id"] for line in venue.truth()]
    assert (outcome.open_gaps, outcome.not_fetched) == ((), ())
    assert stored_ids(data) == ids
    (row,) = ledger.sequences()
    assert (row.from_id, row.head, row.tail) == (ids[0], ids[-1], "closed")


def test_a_day_is_undertaken_once_and_never_given_up(
    data: DataDir, ledger: Ledger, played: Callable[..., Simulator]
) -> None:
    """From the last trade before the day on all is missing; asked once, kept by a later day, filled by recovery."""
    venue = played(1200)
    ids = [line["trade_id"] for line in venue.truth() if line["ts_event"] >= MIDNIGHT]
    assert undertake(data, ledger, endpoints(venue), context(), {PAIR: "2024-03-15"})
    asked = len(venue.server.api.requests)
    assert ledger.sequences()[0].from_id == min(ids) - 1
    assert undertake(data, ledger, endpoints(venue), context(), {PAIR: "2024-03-15"})
    assert len(venue.server.api.requests) == asked
    assert not undertake(data, ledger, endpoints(venue), context(), {PAIR: "2024-03-16"})
    assert undertake(data, ledger, endpoints(venue), context(), {PAIR: max(ids)})
    assert ledger.sequences()[0].from_id == min(ids) - 1
    assert recover_missing(data, ledger, endpoints(venue), context(), since={PAIR: "2024-03-15"}).nothing_open
    assert stored_ids(data) == [min(ids) - 1, *ids]


def test_an_id_is_undertaken_without_asking(data: DataDir, ledger: Ledger) -> None:
    """A venue that is down keeps nobody from promising everything from an id on; for a day it is left for later."""
    nobody = {"binance": Endpoint(VENUES["binance"], "http://127.0.0.1:9")}
    gives_up = context(lambda seconds: seconds > 0)
    assert undertake(data, ledger, nobody, gives_up, {PAIR: 17})
    assert [(row.from_id, row.head) for row in ledger.sequences()] == [(17, 16)]
    with pytest.raises(Stopped):
        undertake(data, ledger, nobody, gives_up, {PAIR: "2024-03-15"})
    assert ledger.sequences()[0].from_id == 17


@pytest.mark.parametrize(("heard", "left"), [(40, 0), (0, 100)])
def test_a_quiet_stop_leaves_nothing_open(
    data: DataDir, ledger: Ledger, played: Callable[..., Simulator], heard: int, left: int
) -> None:
    """What the probe at the end shows is fetched, one page of it; what lies beyond a page is for recovery."""
    venue = played(1200)
    ids = [line["trade_id"] for line in venue.truth()]
    last_heard = ids[-1] - heard if heard else ids[-1] - 1000 - left  # the head itself comes with the probe
    with FetchLane(data, ledger, VENUES, BOUNDS) as lane:
        lane.page(control.PageHeader("binance", "trades", "BTC-USDT"), _page(venue, last_heard))
    assert probe_ended(data, ledger, endpoints(venue), context(), frozenset({"binance"})) == 0
    assert sum(gap.missing for gap in ledger.gaps()) == left
    assert [(row.head, row.tail) for row in ledger.sequences()] == [(ids[-1], "closed")]


def test_what_was_fetched_is_published_while_recovery_goes_on(
    data: DataDir, ledger: Ledger, played: Callable[..., Simulator]
) -> None:
    """Each request takes eight seconds: what the first pages brought is in the lake before the last is asked."""
    venue = played(1200)
    promise_all(data, ledger, venue)
    ids = [line["trade_id"] for line in venue.truth()]
    published: list[int] = []

    def wait(seconds: float) -> bool:
        published.append(len(stored_ids(data)))
        return False

    given = context(wait)._replace(monotonic=lambda: 8.0 * len(venue.server.api.requests))
    assert recover_missing(data, ledger, endpoints(venue), given).nothing_open
    assert any(0 < count < len(ids) for count in published)


def test_what_was_fetched_is_published_when_recovery_is_stopped(
    data: DataDir, ledger: Ledger, played: Callable[..., Simulator]
) -> None:
    """A stop between two pages: what the first brought is durable, decoded and in the lake."""
    venue = played(1200)
    promise_all(data, ledger, venue)
    with pytest.raises(Stopped):
        recover_missing(data, ledger, endpoints(venue), context(lambda seconds: len(venue.server.api.requests) > 2))
    held = stored_ids(data)
    assert len(held) >= 1000
    assert sorted(held) == [number for number in held if ledger.holds(*PAIR, 0, number)]


def test_an_end_without_time_asks_for_what_fits(
    data: DataDir, ledger: Ledger, played: Callable[..., Simulator]
) -> None:
    """Told to stop before it could ask, the end says how many tails it leaves open, and raises nothing."""
    venue = played(60)
    promise_all(data, ledger, venue)
    assert probe_ended(data, ledger, endpoints(venue), context(lambda seconds: True), frozenset({"binance"})) == 1


def test_an_answer_that_is_no_page_closes_nothing(
    data: DataDir, ledger: Ledger, played: Callable[..., Simulator]
) -> None:
    """HTML with status 200 is no empty page: the gap stays open, the bytes are kept apart."""
    venue = played(30, FaultPlan(events=[Event(at_s=0, kind="rest_garbage", seconds=3600)]))
    promise_all(data, ledger, venue)
    outcome = recover_missing(data, ledger, endpoints(venue), context(), patient=False)
    assert not outcome.nothing_open or not stored_ids(data)
    assert ledger.quarantined("binance")


def test_a_ban_outlives_the_process(data: DataDir, ledger: Ledger, played: Callable[..., Simulator]) -> None:
    """After a 418 the next recovery asks nothing: the ban came back from the log through the ledger."""
    venue = played(30, FaultPlan(events=[Event(at_s=0, kind="rest_418", seconds=3600)]))
    promise_all(data, ledger, venue)
    first = recover_missing(data, ledger, endpoints(venue), context(), patient=False)
    asked = len(venue.server.api.requests)
    second = recover_missing(data, ledger, endpoints(venue), context(), patient=False)
    assert len(venue.server.api.requests) == asked
    assert "banned" in " ".join(first.problems + second.problems)
    assert ledger.ban_until("binance") > 0

"""Exchange faults of the catalogue (docs/faults.md): whatever the venue says or leaves out, each id has one place.

The venue is the simulator, its REST sometimes twisted on the way; what comes out is judged by
tests/support/judges/identity.py.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.builders.ingest_in_process import SmallIngest
from tests.support.builders.ingest_process import run
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.judges.identity import accounts, judge, lake_rows
from trading_platform.ingest.recovery.fetch_lane import LaneEnvironment
from trading_platform.ingest.recovery.recovery import Outcome
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.synthetic_market import DEMO_START_NS, SyntheticMarket
from trading_platform.simulate.tape import Print

Start = Callable[..., Simulator]
FIRST = 5_000_000_001
"""Id of the synthetic market's first trade of BTC-USDT."""
BTC = "BTC-USDT"
LATER_NS = 11 * 60 * 10**9


def recover(ingest: SmallIngest, network: httpx.BaseTransport | None = None, *, later_ns: int = 0) -> Outcome:
    """Recover over this network, so much later by every wall clock."""
    wall_ns = lambda: time.time_ns() + later_ns  # noqa: E731
    return ingest.recover(network=network, wall_ns=wall_ns, environment=LaneEnvironment(wall_ns=wall_ns))


class World:
    """A venue whose market was played as fast as it was taken, and the ingest that took it."""

    def __init__(self, start: Start, root: Path, *, market: Any = None, seconds: float = 60.0, **faults: Any) -> None:
        market = market or synthetic(seconds, symbols=[BTC])
        self.venue = start(market, plan=FaultPlan(**faults), speed=None)
        self.ingest = SmallIngest(root / "data", self.venue.ws_url, self.venue.rest_url)
        self.data_dir = self.ingest.data.root

    def play(self) -> None:
        """Record the whole market."""
        self.ingest.record(lambda: self.venue.wait_ended(0))
        self.ingest.process()

    def recover(self, *, later_ns: int = 0) -> Outcome:
        """Recover, so much later by every wall clock."""
        return recover(self.ingest, later_ns=later_ns)

    def wrong(self) -> list[str]:
        """Return what the judge finds wrong."""
        return judge(self.data_dir, self.venue.truth())


@pytest.fixture
def world(simulator: Start, tmp_path: Path) -> Iterator[Callable[..., World]]:  # noqa: F811
    """Give a maker of worlds that have been played."""
    made = []

    def make(**options: Any) -> World:
        made.append(World(simulator, tmp_path, **options))
        made[-1].play()
        return made[-1]

    yield make
    for one in made:
        one.ingest.close()


@pytest.mark.parametrize("count", [1, 1000, 1001, 2000])
def test_a_sequence_gap_of_any_size_is_filled(world: Callable[..., World], count: int) -> None:
    """E2, E17: a gap of one, of a page, a page and one, two pages: one row of the ledger, then filled."""
    one = world(seconds=240.0, events=[Event(kind="drop", at_id=FIRST + 50, count=count)])
    (gap,) = one.ingest.ledger.gaps()
    assert (gap.first_missing, gap.last_missing) == (FIRST + 50, FIRST + 49 + count)
    one.ingest.assert_whole(one.venue.truth(), bitten=True)
    assert lake_rows(one.data_dir, BTC)[50].source == "rest"


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_a_hundred_thousand_missing_ids_are_fetched(world: Callable[..., World]) -> None:
    """E2: a gap of 100,000: a hundred pages within the venue's limits, and every trade is there."""
    one = world(seconds=3 * 3600.0, events=[Event(kind="drop", at_id=FIRST + 50, count=100_000)])
    assert [gap.missing for gap in one.ingest.ledger.gaps()] == [100_000]
    one.ingest.assert_whole(one.venue.truth(), bitten=True)


def test_repeats_of_the_last_thousand_are_one_copy_each(world: Callable[..., World]) -> None:
    """E3: everything sent twice, and the last 1,000 once more in the middle: one row each, no gap, no conflict."""
    one = world(seconds=240.0, duplicate=1.0, events=[Event(kind="replay", at_id=FIRST + 1500, count=1000)])
    assert one.ingest.ledger.gaps() == []
    one.ingest.assert_whole(one.venue.truth())
    assert one.ingest.ledger.conflicts() == []


@pytest.mark.parametrize("depth", [1, 1000])
def test_disorder_of_any_depth_is_no_gap_for_good(world: Callable[..., World], depth: int) -> None:
    """E4: a trade that comes one or 1,000 frames late leaves no gap, and lies where its id says."""
    late = Event(kind="reorder", at_id=FIRST + 100, count=3, depth=depth)
    one = world(seconds=240.0, events=[late])
    assert one.ingest.ledger.gaps() == []
    one.ingest.assert_whole(one.venue.truth())


def test_what_rest_says_otherwise_is_a_conflict_and_no_second_row(world: Callable[..., World]) -> None:
    """E6: a page that brings missing ids prices a held one otherwise: a conflict on record, the first copy stays."""
    drops = [Event(kind="drop", at_id=FIRST + at) for at in (100, 120)]
    one = world(events=[*drops, Event(kind="rest_conflict", at_id=FIRST + 110)])
    one.ingest.assert_whole(one.venue.truth(), bitten=True)
    (conflict,) = one.ingest.ledger.conflicts()
    assert conflict.trade_id == FIRST + 110
    (row,) = [row for row in lake_rows(one.data_dir, BTC) if row.trade_id == FIRST + 110]
    (line,) = [line for line in one.venue.truth() if line["trade_id"] == FIRST + 110]
    assert (row.source, row.price) == ("ws", float(line["price"]))


class MicroMarket(SyntheticMarket):
    """A market whose trade times have microseconds, as the stream tells them; REST tells milliseconds."""

    def blocks(self, from_ns: int) -> Iterator[list[Print]]:
        """Yield finer prints."""
        for block in super().blocks(from_ns):
            yield [_fine(row) for row in block]

    def page(self, venue_symbol: str, from_id: int, head: int, limit: int) -> list[Print]:
        """Return finer prints."""
        return [_fine(row) for row in super().page(venue_symbol, from_id, head, limit)]


def _fine(row: Print) -> Print:
    return row._replace(time=row.time * 1000 + row.trade_id % 1000, event_time=row.event_time * 1000)


def test_milliseconds_and_microseconds_of_one_trade_agree(world: Callable[..., World]) -> None:
    """E6: µs by stream, ms by REST: one row each, the finer time kept, no conflict."""
    market = MicroMarket(seed=7, start_ns=DEMO_START_NS, end_ns=DEMO_START_NS + 60 * 10**9, symbols=[BTC])
    one = world(market=market, events=[Event(kind="drop", at_id=FIRST + at) for at in (100, 120)])
    one.ingest.assert_whole(one.venue.truth(), bitten=True)
    assert one.ingest.ledger.conflicts() == []
    times = {row.trade_id: row.ts_event for row in lake_rows(one.data_dir, BTC)}
    assert times[FIRST + 110] % 10**6 == (FIRST + 110) % 1000 * 1000
    assert times[FIRST + 120] % 10**6 == 0


def test_ids_beyond_the_venues_memory_are_declared_lost(world: Callable[..., World]) -> None:
    """E10: the venue serves nothing before some id any more: said twice, ten minutes apart, it is unrecoverable."""
    events = [Event(kind="drop", at_id=FIRST + 50, count=20), Event(kind="rest_forget", at_id=FIRST, count=75)]
    one = world(seconds=180.0, events=events)
    lost = set(range(FIRST + 50, FIRST + 70))
    first = one.recover()
    assert [gap.missing for gap in first.open_gaps] == [20]
    soon = one.recover(later_ns=60 * 10**9)
    assert [gap.missing for gap in soon.open_gaps] == [20]
    assert one.wrong() == []
    later = one.recover(later_ns=LATER_NS)
    assert later.nothing_open
    book = accounts(one.data_dir)[BTC]
    assert (book.unrecoverable, book.void, book.open) == (lost, set(), set())
    day = ("--from", "2024-03-14", "--to", "2024-03-14")
    assert run("backfill", "--assets", "bars", *day, data_dir=one.data_dir).returncode == 0
    assert one.wrong() == []
    days = json.loads(run("status", "--days", "--json", data_dir=one.data_dir).stdout)
    assert [(day["unrecoverable"], day["state"]) for day in days] == [(20, "incomplete")]


def test_ids_that_a_listing_skips_twice_were_never_trades(world: Callable[..., World]) -> None:
    """E10: the venue holds what is before and behind, and twice not these: void, and bars count them as complete."""
    events = [Event(kind=kind, at_id=FIRST + 50, count=3) for kind in ("drop", "rest_forget")]
    plan = [*events, Event(kind="drop", at_id=FIRST + 49), Event(kind="drop", at_id=FIRST + 53)]
    one = world(events=plan)
    assert not one.recover().nothing_open
    assert one.recover(later_ns=LATER_NS).nothing_open
    book = accounts(one.data_dir)[BTC]
    assert (book.void, book.unrecoverable) == (set(range(FIRST + 50, FIRST + 53)), set())
    assert one.wrong() == []


class Twisted(httpx.HTTPTransport):
    """The network, changing the first `times` answers that hold trades."""

    def __init__(self, twist: Callable[[httpx.Request, bytes], httpx.Response], times: int) -> None:
        super().__init__()
        self._twist, self.left, self.asked = twist, times, 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the venue does, or not quite."""
        self.asked += 1
        assert self.asked < 200, "it asks for ever"
        answer = super().handle_request(request)
        body = answer.read()
        if "fromId" in request.url.params and self.left:
            self.left -= 1
            return self._twist(request, body)
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)


def _rows(body: bytes) -> list[Any]:
    rows: list[Any] = json.loads(body)
    return rows


def _json(rows: list[Any]) -> httpx.Response:
    return httpx.Response(200, json=rows)


def short(_: httpx.Request, body: bytes) -> httpx.Response:
    """Seven rows, though more exist."""
    return _json(_rows(body)[:7])


def empty(_: httpx.Request, __: bytes) -> httpx.Response:
    """No row at all."""
    return _json([])


def again(_: httpx.Request, body: bytes) -> httpx.Response:
    """Every row twice, the newest first."""
    return _json([row for row in reversed(_rows(body)) for _ in range(2)])


def html(_: httpx.Request, __: bytes) -> httpx.Response:
    """A page for people."""
    return httpx.Response(200, text="<html><body>Service Temporarily Unavailable</body></html>")


def truncated(_: httpx.Request, body: bytes) -> httpx.Response:
    """JSON that ends in the middle."""
    return httpx.Response(200, content=body[: len(body) * 2 // 3])


class _Broken(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield b"this is no gzip"


def no_gzip(_: httpx.Request, __: bytes) -> httpx.Response:
    """An encoding that it is not in."""
    return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=_Broken())


def nothing(_: httpx.Request, __: bytes) -> httpx.Response:
    """200 and no body."""
    return httpx.Response(200)


def an_error(_: httpx.Request, __: bytes) -> httpx.Response:
    """The venue's error under the status of a success."""
    return httpx.Response(200, json={"code": -1000, "msg": "An unknown error occurred while processing the request."})


TWISTS = (short, empty, again, html, truncated, no_gzip, nothing, an_error)


class Gap(NamedTuple):
    """A venue, and what was recorded of it with 1,500 trades missing."""

    venue: Simulator
    data_dir: Path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gap]:
    """Record once what the twisted answers below shall fill."""
    folder = tmp_path_factory.mktemp("recorded")
    plan = FaultPlan(events=[Event(kind="drop", at_id=FIRST + 50, count=1500)])
    with Simulator(synthetic(180.0, symbols=[BTC]), folder / "truth.jsonl", plan=plan, speed=None) as venue:
        ingest = SmallIngest(folder / "data", venue.ws_url, venue.rest_url)
        ingest.record(lambda: venue.wait_ended(0))
        ingest.process()
        ingest.close()
        yield Gap(venue, folder / "data")


@pytest.fixture
def gap(recorded: Gap, tmp_path: Path) -> Iterator[SmallIngest]:
    """Give a copy of it."""
    shutil.copytree(recorded.data_dir, tmp_path / "data")
    ingest = SmallIngest(tmp_path / "data", recorded.venue.ws_url, recorded.venue.rest_url)
    yield ingest
    ingest.close()


@pytest.mark.parametrize("twist", TWISTS, ids=lambda twist: twist.__name__)
def test_a_page_that_is_none_or_half_is_asked_for_again(recorded: Gap, gap: SmallIngest, twist: Any) -> None:
    """E17, E18: the first two answers are short, empty, repeated or no page: nothing counts as filled, then all is."""
    network = Twisted(twist, 2)
    for attempt in range(6):
        outcome = recover(gap, network, later_ns=attempt * 60 * 10**9)
        assert judge(gap.data.root, recorded.venue.truth()) == []
        if outcome.nothing_open:
            break
    assert outcome.nothing_open
    assert network.left == 0
    assert len(lake_rows(gap.data.root, BTC)) == len(recorded.venue.truth())


def test_a_listing_that_ignores_where_to_begin_ends(recorded: Gap, gap: SmallIngest) -> None:
    """E17: every page holds the newest trades, whatever was asked: it ends, and nothing is called filled or void."""
    truth = recorded.venue.truth()
    newest = [
        {
            "id": line["trade_id"],
            "price": line["price"],
            "qty": line["quantity"],
            "time": line["ts_event"] // 10**6,
            "isBuyerMaker": line["side"] == "sell",
        }
        for line in truth[-5:]
    ]
    network = Twisted(lambda _, __: _json(newest), 100)
    for attempt in range(3):
        outcome = recover(gap, network, later_ns=attempt * 60 * 10**9)
        assert [lost.missing for lost in outcome.open_gaps] == [1500]
        assert judge(gap.data.root, truth) == []
    assert network.asked < 20
    assert recover(gap, later_ns=4 * 60 * 10**9).nothing_open
    assert judge(gap.data.root, truth) == []


def test_halted_and_delisted_symbols_are_no_outage(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """E14: one symbol is halted, one delisted, one trades on: nobody reconnects, nothing is lost."""
    symbols = [BTC, "ETH-USDT", "SOL-USDT"]
    events = [Event(kind="halt", at_s=10, symbol=BTC), Event(kind="delist", at_s=20, symbol="ETH-USDT")]
    venue = simulator(synthetic(60.0, symbols=symbols), plan=FaultPlan(events=events), speed=None)
    ingest = SmallIngest(tmp_path / "data", venue.ws_url, venue.rest_url, symbols)
    ingest.record(lambda: venue.wait_ended(0))
    assert ingest.ends() == ["stopped"]
    ingest.process()
    outcome = ingest.recover()
    assert judge(ingest.data.root, venue.truth()) == []
    # Nobody can be asked what the delisted one traded last: its end stays unknown, and says why.
    assert {symbol: book.tail for symbol, book in accounts(ingest.data.root).items()} == {
        BTC: "closed",
        "ETH-USDT": "open",
        "SOL-USDT": "closed",
    }
    assert [tail.symbol for tail in outcome.open_tails] == ["ETH-USDT"]
    assert outcome.open_gaps == ()
    assert "Invalid symbol" in " ".join(outcome.problems)
    assert len(venue.server.api.requests) == len(symbols)
    ingest.close()


def test_a_burst_is_taken_whole(world: Callable[..., World]) -> None:
    """E19: ten minutes as fast as the machine takes them: nothing dropped, nothing fetched."""
    one = world(seconds=600.0)
    assert {row.source for row in lake_rows(one.data_dir, BTC)} == {"ws"}
    one.ingest.assert_whole(one.venue.truth())

"""Clock faults of the catalogue (docs/faults.md): the wall clock may say anything, a trade lies where its venue says.

Deadlines are on the monotonic clock; the wall clock is handed to the recorder and jumps at will.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.support.builders.ingest_in_process import SmallIngest
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.judges.identity import accounts, judge, lake_rows
from trading_platform.domain.days import day_start
from trading_platform.ingest.recorder.recorder import Clocks
from trading_platform.ingest.recovery.fetch_lane import LaneEnvironment
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.synthetic_market import SyntheticMarket

Start = Callable[..., Simulator]
BTC = "BTC-USDT"
FIRST = 5_000_000_001
HOUR_NS = 3600 * 10**9
S = 10**9


class Wall:
    """A wall clock that can be moved.

    Attributes
    ----------
    ahead_ns : how far it is ahead of the true time.
    """

    def __init__(self) -> None:
        self.ahead_ns = 0
        self.strobes = False
        self._asked = count()

    def start_strobing(self, phase: int) -> None:
        """Go a second back, to the true time and a second ahead in turn, beginning anywhere."""
        self.strobes, self._asked = True, count(phase)

    def __call__(self) -> int:
        """Tell the time, or what it takes for it."""
        strobe_ns = (next(self._asked) % 3 - 1) * S if self.strobes else 0
        return time.time_ns() + self.ahead_ns + strobe_ns


@pytest.mark.parametrize("jump", ["an hour back", "an hour ahead", "a second to and fro"])
def test_a_wall_clock_that_jumps_moves_no_trade(simulator: Start, tmp_path: Path, jump: str) -> None:  # noqa: F811
    """C1: ±1 h in the middle, or ±1 s all the time: no pause seen, every trade at its place, the end found."""
    wall = Wall()
    plan = FaultPlan(drop=0.02, events=[Event(kind="cut", at_s=30)])
    venue = simulator(synthetic(60.0, symbols=[BTC]), speed=20.0, plan=plan)
    clocks = Clocks(wall, time.monotonic_ns)
    ingest = SmallIngest(tmp_path / "data", venue.ws_url, venue.rest_url, clocks=clocks)

    def until() -> bool:
        if venue.server.sent > 100:
            wall.strobes = jump == "a second to and fro"
            wall.ahead_ns = {"an hour back": -HOUR_NS, "an hour ahead": HOUR_NS}.get(jump, 0)
        return venue.wait_ended(0)

    ingest.record(until)
    # A machine at work may stand still for seconds; nothing else opens another connection.
    assert ingest.opened() == 2 + sum("was paused" in end for end in ingest.ends()), ingest.ends()
    ingest.process()
    outcome = ingest.recover(patient=True, wall_ns=wall, environment=LaneEnvironment(wall_ns=wall))
    assert outcome.nothing_open, outcome
    assert judge(ingest.data.root, venue.truth()) == []
    ingest.close()


def test_after_a_step_back_the_end_is_found_all_the_same(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """C1: recorded and probed an hour ahead; set right, recorded again and stopped: recovery knows the later end."""
    wall = Wall()
    wall.ahead_ns = HOUR_NS
    venue = simulator(synthetic(80.0, symbols=[BTC]), speed=20.0)
    clocks = Clocks(wall, time.monotonic_ns)
    ingest = SmallIngest(tmp_path / "data", venue.ws_url, venue.rest_url, clocks=clocks)
    ingest.record(lambda: venue.server.sent > 100)
    ingest.process()
    assert ingest.recover(wall_ns=wall, environment=LaneEnvironment(wall_ns=wall)).nothing_open
    wall.ahead_ns = 0
    ingest.record(lambda: venue.wait_ended(0))
    ingest.process()
    # Who listens again knows the end no more, whatever time the answer before bears.
    assert accounts(ingest.data.root)[BTC].tail != "closed"
    assert judge(ingest.data.root, venue.truth()) == []
    outcome = ingest.recover(wall_ns=wall, environment=LaneEnvironment(wall_ns=wall))
    assert outcome.nothing_open, outcome
    assert judge(ingest.data.root, venue.truth()) == []
    ingest.close()


@pytest.mark.parametrize("phase", range(3))
def test_an_end_is_found_though_the_clock_steps_between_two_readings(
    simulator: Start,  # noqa: F811
    tmp_path: Path,
    phase: int,
) -> None:
    """C1: whatever the first of three readings is, an answer comes after what was known when it was asked for."""
    wall = Wall()
    venue = simulator(synthetic(60.0, symbols=[BTC]), speed=None)
    ingest = SmallIngest(tmp_path / "data", venue.ws_url, venue.rest_url, clocks=Clocks(wall, time.monotonic_ns))
    ingest.record(lambda: venue.wait_ended(0))
    ingest.process()
    wall.start_strobing(phase)
    outcome = ingest.recover(wall_ns=wall, environment=LaneEnvironment(wall_ns=wall))
    assert outcome.nothing_open, outcome
    assert judge(ingest.data.root, venue.truth()) == []
    ingest.close()


def test_a_gap_is_due_though_the_clock_was_set_back(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """C1: a gap that was tried an hour ahead is not put off until then."""
    wall = Wall()
    wall.ahead_ns = HOUR_NS
    forget = [Event(kind=kind, at_id=FIRST + 50) for kind in ("drop", "rest_forget")]
    venue = simulator(synthetic(60.0, symbols=[BTC]), speed=None, plan=FaultPlan(events=forget))
    ingest = SmallIngest(tmp_path / "data", venue.ws_url, venue.rest_url)
    ingest.record(lambda: venue.wait_ended(0))
    ingest.process()
    environment = LaneEnvironment(wall_ns=wall)
    assert not ingest.recover(wall_ns=wall, environment=environment).nothing_open
    venue.server.api.issued.events.clear()  # the venue remembers
    wall.ahead_ns = 0
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        wall.ahead_ns += int(seconds * S)
        return False

    assert ingest.recover(patient=True, wall_ns=wall, environment=environment, wait=wait).nothing_open
    assert sum(waits) < 150
    ingest.close()


TIMES = {
    "1970": 0,
    "seconds": 1_710_460_205,
    "nanoseconds": 1_710_460_205_000_000_000,
    "in two years": (time.time_ns() // S // 86_400 * 86_400 + 2 * 366 * 86_400) * 1000,
}


@pytest.mark.parametrize("name", TIMES)
def test_an_impossible_trade_time_is_kept_apart_and_asked_for(
    simulator: Start,  # noqa: F811
    tmp_path: Path,
    name: str,
) -> None:
    """C2: 1970, seconds, nanoseconds or the future: in quarantine with the reason, and fetched as the gap it is."""
    events = [Event(kind="odd_time", at_id=FIRST + 50, count=2, shown_time=TIMES[name])]
    venue = simulator(synthetic(30.0, symbols=[BTC]), speed=None, plan=FaultPlan(events=events))
    ingest = SmallIngest(tmp_path / "data", venue.ws_url, venue.rest_url)
    ingest.record(lambda: venue.wait_ended(0))
    ingest.process()
    kept = ingest.ledger.quarantined("binance")
    assert sum(kept.values()) == 2
    assert {kind for _, _, kind in kept} <= {"time", "shape", "in_the_future", "too_early"}
    assert [(gap.first_missing, gap.last_missing) for gap in ingest.ledger.gaps()] == [(FIRST + 50, FIRST + 51)]
    ingest.assert_whole(venue.truth(), bitten=True)
    ingest.close()


MIDNIGHTS = ["2017-01-01", "2024-02-29", "2024-03-31"]
"""A year's end after a leap second, the beginning of a leap day, and of the day that has 23 hours in Europe."""


@pytest.mark.parametrize("day", MIDNIGHTS)
def test_days_are_utc_and_half_open(simulator: Start, tmp_path: Path, day: str) -> None:  # noqa: F811
    """C3: around an odd midnight every trade lies in the UTC day of its time, by no other clock."""
    midnight = day_start(day)
    market = SyntheticMarket(seed=7, start_ns=midnight - 15 * S, end_ns=midnight + 15 * S, symbols=[BTC])
    venue = simulator(market, speed=None)
    ingest = SmallIngest(tmp_path / "data", venue.ws_url, venue.rest_url)
    ingest.record(lambda: venue.wait_ended(0))
    ingest.assert_whole(venue.truth())
    leaves = sorted(path.name for path in (ingest.data.lake / "ticks/venue=binance/symbol=BTC-USDT").iterdir())
    assert len(leaves) == 2
    assert leaves[1] == f"date={day}"
    rows = lake_rows(ingest.data.root, BTC)
    assert min(row.ts_event for row in rows if row.ts_event >= midnight) < midnight + 5 * S
    ingest.close()

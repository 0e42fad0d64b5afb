"""A venue whose ids start again, over loopback: every trade of every numbering once, none in the place of another."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from quality.schemas import GATES
from tests.support.builders.ingest_in_process import BOUNDS, SmallIngest
from tests.support.builders.ingest_process import Ingest
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401
from tests.support.judges.identity import lake_rows
from tests.support.waiting import wait_until
from trading_platform.domain.days import day_start
from trading_platform.domain.id_ranges import IdRanges
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.recovery.fetch_lane import FetchLane
from trading_platform.ingest.replay.replay import replay
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake
from trading_platform.store.lake.coverage import coverage
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.store.verify import verify_store

FIRST = 5_000_000_001
BTC = "BTC-USDT"
Venue = Callable[..., Simulator]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[[Simulator], SmallIngest]]:
    """Make recorders, closed at the end."""
    made: list[SmallIngest] = []

    def make(venue: Simulator) -> SmallIngest:
        made.append(SmallIngest(tmp_path / f"data-{len(made)}", venue.ws_url, venue.rest_url))
        return made[-1]

    yield make
    for one in made:
        one.close()


def wrong(data_dir: Path, truth: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with the account of each numbering, and with the lake, by SQL and files alone."""
    found = []
    rows = lake_rows(data_dir, BTC)
    held = [(row.epoch, row.trade_id) for row in rows]
    if held != sorted(set(held)):
        found.append("the lake holds a trade twice, or in another order")
    issued = {(line["epoch"], line["trade_id"]): line for line in truth}
    for row in rows:
        line = issued.get((row.epoch, row.trade_id))
        said = None if line is None else (line["ts_event"], float(line["price"]), float(line["quantity"]), line["side"])
        if said != (row.ts_event, row.price, row.quantity, row.side):
            found.append(f"{row} is {said}")
    with closing(sqlite3.connect(data_dir / "ledger.sqlite")) as db:
        sequences = db.execute("SELECT epoch, from_id, head FROM sequences ORDER BY epoch").fetchall()
        ranges = db.execute("SELECT epoch, kind, first_id, last_id FROM ranges").fetchall()
        gaps = db.execute("SELECT epoch, 'open', first_missing, last_missing FROM gaps WHERE state = 'open'").fetchall()
    for epoch, from_id, head in sequences:
        kinds = {
            kind: IdRanges((a, b) for e, k, a, b in [*ranges, *gaps] if (e, k) == (epoch, kind))
            for kind in ("stored", "void", "unrecoverable", "open")
        }
        if sum(map(len, kinds.values())) != head - from_id + 1:
            found.append(f"epoch {epoch}: the kinds of ids are not all from {from_id} to {head}, each once")
        # Beyond the head of a numbering that ended unheard nobody knows of anything.
        lost = {n for e, n in issued if e == epoch and from_id <= n <= head} - {n for e, n in held if e == epoch}
        if any(number not in kinds["open"] and number not in kinds["unrecoverable"] for number in lost):
            found.append(f"epoch {epoch}: of {sorted(lost)} some are called held")
        if list(kinds["stored"]) != list(IdRanges((n, n) for e, n in held if e == epoch)):
            found.append(f"epoch {epoch}: stored is not what the lake holds")
    if [epoch for epoch, _, _ in sequences] != sorted({epoch for epoch, _ in issued}):
        found.append(f"epochs {sequences}")
    return found


def renumber(at: int, first_id: int, **more: Any) -> Event:
    return Event(at_id=FIRST + at, kind="renumber", first_id=first_id, **more)


@pytest.mark.parametrize("first_id", [1, FIRST + 60, FIRST - 50, FIRST + 10**12], ids=["1", "used", "below", "ahead"])
@pytest.mark.parametrize("trouble", [{}, {"drop": 0.05, "duplicate": 0.1, "reorder": 0.1}], ids=["calm", "rough"])
def test_ids_that_start_again_are_an_epoch_of_their_own(
    simulator: Venue,  # noqa: F811
    small: Callable[[Simulator], SmallIngest],
    first_id: int,
    trouble: dict[str, float],
) -> None:
    """Wherever they start, and whatever frames are lost or repeated around it, both numberings are whole."""
    plan = FaultPlan(**trouble, events=[renumber(150, first_id)])
    venue = simulator(synthetic(20, symbols=[BTC]), plan=plan, seed=5)
    mine = small(venue)
    mine.record(lambda: venue.wait_ended(0))
    mine.process()
    outcome = mine.recover()
    truth = venue.truth()
    assert wrong(mine.data.root, truth) == []
    assert outcome.open_tails == ()
    # What the old numbering lost nobody serves any more: it is asked for until that is proved.
    assert {gap.epoch for gap in outcome.open_gaps} == ({0} if trouble else set())
    if not trouble:
        assert len(lake_rows(mine.data.root, BTC)) == len(truth)


def test_the_judge_has_teeth(simulator: Venue, small: Callable[[Simulator], SmallIngest]) -> None:  # noqa: F811
    """Negative control: against the truth of one numbering only, two are wrong."""
    venue = simulator(synthetic(10, symbols=[BTC]), plan=FaultPlan(events=[renumber(30, 1)]))
    mine = small(venue)
    mine.record(lambda: venue.wait_ended(0))
    mine.process()
    mine.recover()
    truth = venue.truth()
    assert wrong(mine.data.root, truth) == []
    assert wrong(mine.data.root, [line | {"epoch": 0} for line in truth])
    assert wrong(mine.data.root, truth[:-1])


@pytest.mark.parametrize("shown_id", [1, FIRST + 20, FIRST + 3_000_000, 10**15], ids=["1", "used", "far", "further"])
def test_a_stray_id_is_kept_apart(
    simulator: Venue,  # noqa: F811
    small: Callable[[Simulator], SmallIngest],
    shown_id: int,
) -> None:
    """A frame with an impossible id begins no numbering and opens no gap; its bytes are in quarantine."""
    plan = FaultPlan(events=[Event(at_id=FIRST + 150, kind="stray_id", shown_id=shown_id)])
    venue = simulator(synthetic(20, symbols=[BTC]), plan=plan)
    mine = small(venue)
    mine.record(lambda: venue.wait_ended(0))
    mine.process()
    assert mine.ledger.gaps() == []
    assert mine.recover().nothing_open
    assert wrong(mine.data.root, venue.truth()) == []
    assert mine.ledger.quarantined() == {("binance", BTC, "numbering"): 1}
    with closing(sqlite3.connect(mine.data.root / "ledger.sqlite")) as db:
        ((raw,),) = db.execute("SELECT raw FROM quarantine").fetchall()
    assert f'"t":{shown_id},'.encode() in raw


@pytest.mark.parametrize("first_id", [1, FIRST + 1, FIRST + 10**12], ids=["1", "used", "ahead"])
def test_ids_that_start_again_while_nobody_listens(
    simulator: Venue,  # noqa: F811
    small: Callable[[Simulator], SmallIngest],
    first_id: int,
) -> None:
    """A recovery meanwhile ends and mixes nothing up; the next start finds the new numbering."""
    # Unheard, the clock runs at ten times real time; while somebody listens, as fast as they take it.
    deaf = [Event(at_id=FIRST + 1000, kind="cut"), Event(at_id=FIRST + 1000, kind="refuse_connect", seconds=1.0)]
    plan = FaultPlan(events=[*deaf, renumber(1020, first_id)])
    venue = simulator(synthetic(120, symbols=[BTC]), plan=plan)
    mine = small(venue)
    mine.record(mine.ends)
    mine.process()
    wait_until(lambda: venue.truth()[-1]["epoch"] == 1, what="the venue starts its ids again")
    mine.recover()
    assert len({row.epoch for row in lake_rows(mine.data.root, BTC)}) == 1
    mine.record(lambda: venue.wait_ended(0))
    mine.process()
    outcome = mine.recover()
    assert outcome.open_tails == ()
    assert wrong(mine.data.root, venue.truth()) == []
    assert {row.epoch for row in lake_rows(mine.data.root, BTC)} == {0, 1}


def test_ids_that_start_again_twice(simulator: Venue, small: Callable[[Simulator], SmallIngest]) -> None:  # noqa: F811
    """Each numbering is one of its own, though both begin at 1; history sent again stays where it belongs."""
    events = [renumber(80, 1), Event(at_id=FIRST + 120, kind="replay", count=60), renumber(160, 1)]
    venue = simulator(synthetic(20, symbols=[BTC]), plan=FaultPlan(events=events))
    mine = small(venue)
    mine.record(lambda: venue.wait_ended(0))
    mine.process()
    assert mine.recover().nothing_open
    truth = venue.truth()
    assert wrong(mine.data.root, truth) == []
    assert [(row.epoch, row.trade_id) for row in lake_rows(mine.data.root, BTC)] == [
        (line["epoch"], line["trade_id"]) for line in truth
    ]


PROJECTED = ("sequences", "turns", "ranges", "evidence", "coverage", "quarantine")


def account(data_dir: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of the ledger that a replay of the log rebuilds."""
    with closing(sqlite3.connect(data_dir / "ledger.sqlite")) as db:
        return {name: sorted(db.execute(f"SELECT * FROM {name}"), key=repr) for name in PROJECTED}


def replayed(mine: SmallIngest, tmp_path: Path) -> None:
    """Rebuild ledger and lake from the log."""
    scratch, venues = Ledger.open(DataDir(tmp_path / "scratch").create()), {"binance": mine.adapter}
    replay(
        mine.data, mine.ledger, venues, BOUNDS, pass_all, days=lambda _: True, scratch=scratch, on_lane=lambda _: None
    )
    scratch.close()


def test_what_is_derived_knows_two_numberings(
    simulator: Venue,  # noqa: F811
    small: Callable[[Simulator], SmallIngest],
    tmp_path: Path,
) -> None:
    """Bars and coverage doubt the time between the two, checks pass, and the log alone gives the same to the byte."""
    events = [renumber(150, 1), Event(at_id=FIRST + 170, kind="drop", count=3), Event(at_id=FIRST + 200, kind="cut")]
    venue = simulator(synthetic(20, symbols=[BTC]), plan=FaultPlan(events=events))
    mine = small(venue)
    mine.record(lambda: venue.wait_ended(0))
    mine.process()
    assert mine.recover().nothing_open
    truth, day = venue.truth(), "2024-03-14"
    assert wrong(mine.data.root, truth) == []
    Pipeline(mine.data, mine.ledger, gates={"bars": pass_all}, timeframes=["1s"]).refresh("bars", day)
    ended = max(line["ts_event"] for line in truth if line["epoch"] == 0)
    begins = min(line["ts_event"] for line in truth if line["epoch"] == 1)
    bars = lake.read_leaf(mine.data, Leaf("bars", "binance", BTC, day, "1s"))
    assert bars is not None
    doubted = {row["ts_open"].value // 10**9 for row in bars.to_pylist() if not row["complete"]}
    edges = {truth[0]["ts_event"] // 10**9, truth[-1]["ts_event"] // 10**9}
    turn = set(range(ended // 10**9, begins // 10**9 + 1))
    first_second = 1710460200  # before the first trade nothing is covered
    assert doubted - set(range(day_start(day) // 10**9, first_second)) == edges | turn
    told = coverage(mine.data, mine.ledger, "binance", BTC).to_pylist()
    assert [row["state"] for row in told] == ["proved", "lost", "proved"]
    assert verify_store(mine.data, mine.ledger, GATES).violations == ()
    files = {path: path.read_bytes() for path in (mine.data.lake / "ticks").glob("**/*.parquet")}
    before = account(mine.data.root)
    replayed(mine, tmp_path)
    assert account(mine.data.root) == before
    assert {path: path.read_bytes() for path in files} == files


def test_ingest_tells_that_ids_start_again(simulator: Venue, tmp_path: Path) -> None:  # noqa: F811
    """The command itself records through a turn, says so as an error, and stops with nothing open."""
    plan = FaultPlan(events=[renumber(700, 1)])
    venue = simulator(synthetic(120, symbols=[BTC]), plan=plan, speed=40.0)
    ingest = Ingest(venue, tmp_path / "data", [BTC])
    try:
        venue.wait_ended(60)
        assert ingest.stop() == 0
    finally:
        ingest.end()
    log = (tmp_path / "ingest.log").read_text(encoding="utf-8")
    assert log.count("the venue's ids start again") == 1
    assert wrong(tmp_path / "data", venue.truth()) == []


@pytest.mark.parametrize("days", [-1500, -1, 200], ids=["years before", "a day before", "months ahead"])
def test_a_first_trade_of_an_absurd_time_leaves_nothing_below_it_open(
    simulator: Venue,  # noqa: F811
    small: Callable[[Simulator], SmallIngest],
    tmp_path: Path,
    days: int,
) -> None:
    """What was undertaken below it is fetched; no numbering begins; it stays stored with the time that it told."""
    odd_ms = (day_start("2024-03-14") + days * 86_400 * 10**9) // 10**6
    lost = Event(at_id=FIRST, kind="drop", count=60)
    plan = FaultPlan(events=[lost, Event(at_id=FIRST + 60, kind="odd_time", count=1, shown_time=odd_ms)])
    venue = simulator(synthetic(20, symbols=[BTC]), plan=plan)
    mine = small(venue)
    mine.record(lambda: venue.wait_ended(0))
    mine.process()
    with FetchLane(mine.data, mine.ledger, {"binance": mine.adapter}, BOUNDS) as lane:
        lane.fact(control.Undertaken("binance", BTC, FIRST))
    assert mine.recover().nothing_open
    rows = lake_rows(mine.data.root, BTC)
    assert {(row.epoch, row.trade_id) for row in rows} == {(0, line["trade_id"]) for line in venue.truth()}
    assert (FIRST + 60, odd_ms * 10**6) in {(row.trade_id, row.ts_event) for row in rows}
    assert mine.ledger.quarantined() == {}
    with closing(sqlite3.connect(mine.data.root / "ledger.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM ranges WHERE kind != 'stored'").fetchone() == (0,)
    before = account(mine.data.root)
    replayed(mine, tmp_path)
    assert account(mine.data.root) == before
    assert lake_rows(mine.data.root, BTC) == rows

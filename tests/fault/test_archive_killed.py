"""`backfill --fetch` killed -9 while it downloads and logs daily files: the next one goes on, and nothing is lost."""

from __future__ import annotations

import json
import random
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.builders.ingest_process import COMMAND, held, run
from tests.support.builders.venue_thread import Simulator, simulator  # noqa: F401  the fixture
from tests.support.judges import evidence
from tests.support.waiting import wait_until
from trading_platform.domain.days import DAY_NS, day_range, day_start
from trading_platform.simulate.exchanges import EXCHANGES
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.synthetic_market import Profile, SyntheticMarket

FIRST, LAST = "2024-12-30", "2025-01-02"
DAYS = list(day_range(FIRST, LAST))
FIRST_ID = 1001

Start = Callable[..., Simulator]


def market(per_day: int) -> SyntheticMarket:
    profile = Profile("BTC-USDT", FIRST_ID, 62_000.0, 2, 0.004, 5, per_day, 1.0, pauses=False)
    return SyntheticMarket(start_ns=day_start(FIRST) - DAY_NS // 2, profiles=(profile,))


def open_venue(simulator: Start, traded: SyntheticMarket, hole: int) -> Simulator:  # noqa: F811
    """Start a venue whose days are over, and whose files lack ten trades."""
    plan = FaultPlan(events=[Event(kind="archive_forget", at_id=hole, count=10)])
    now_ns = day_start(LAST) + 2 * DAY_NS
    return simulator(traded, exchange=EXCHANGES["binance"], plan=plan, speed=1.0, begins_at_ns=lambda: now_ns)


def words(venue: Simulator) -> list[str]:
    asked = ["--venue", "binance", "--symbols", "BTC-USDT", "--rest-url", venue.rest_url, "--fetch", "--json"]
    return ["backfill", "--assets", "ticks", "--from", FIRST, "--to", LAST, *asked]


def kill_when(venue: Simulator, data_dir: Path, due: Callable[[subprocess.Popen[bytes]], object]) -> bool:
    """Run the command until something is so, and kill it; return whether it was still running."""
    command = [*COMMAND, *words(venue), "--data-dir", str(data_dir)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or due(process), timeout_s=60, what="the moment to kill")
        return process.poll() is None
    finally:
        process.kill()
        process.wait(10)


def finish(venue: Simulator, data_dir: Path, traded: SyntheticMarket) -> dict[str, object]:
    """Let it run to its end and judge what is there; return what it says it fetched."""
    ended = run(*words(venue), data_dir=data_dir)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    verified = run("verify", data_dir=data_dir)
    assert verified.returncode == 0, verified.stdout
    begin, end = day_start(FIRST), day_start(LAST) + DAY_NS
    first, last = ((traded.head_at("BTCUSDT", edge - 1) or 0) for edge in (begin, end))
    ids = held(data_dir)["BTC-USDT"]["trade_id"].to_pylist()
    assert [number for number in ids if first < number <= last] == list(range(first + 1, last + 1))
    told: dict[str, object] = json.loads(ended.stdout)["fetched"]
    return told


def test_killed_twice_it_goes_on(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """Once with a download on disk, once with the first day in the log; only what is wanting is fetched afterwards."""
    traded = market(4000)
    venue, data_dir = open_venue(simulator, traded, FIRST_ID + 9000), tmp_path / "data"
    kill_when(venue, data_dir, lambda _: any(data_dir.glob("downloads/*/*/*.zip.*")))
    lane = data_dir / "log" / "fetch-0"
    kill_when(venue, data_dir, lambda _: any(b'"day":"2024-12-30"' in path.read_bytes() for path in lane.glob("*.seg")))
    finish(venue, data_dir, traded)
    again = json.loads(run(*words(venue), data_dir=data_dir).stdout)["fetched"]
    assert (again["files"], again["open"]) == (0, [])


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_killed_thirty_times(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """The same with days of several pieces, at random moments."""
    traded, rng, pause = market(300_000), random.Random(7), threading.Event()
    venue, data_dir = open_venue(simulator, traded, FIRST_ID + 400_000), tmp_path / "data"
    killed = 0
    for _ in range(30):
        lives_s = rng.uniform(0.5, 8.0)
        killed += kill_when(venue, data_dir, lambda _, lives_s=lives_s: pause.wait(lives_s) or True)
    told = finish(venue, data_dir, traded)
    facts = {"kills": killed, "days": len(DAYS), "files in the last run": told["files"], "lost": 0}
    evidence.write(
        "archive-kills",
        "A backfill from daily files killed with -9",
        facts,
        notes="Afterwards the command exits 0, `verify` exits 0, and every trade of the days is published once, those "
        "that the files lack fetched over REST.",
    )

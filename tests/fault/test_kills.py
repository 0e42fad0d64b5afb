"""Kill -9 the command or any of its workers at random moments: nothing durable is lost, nothing is left running."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.builders.ingest_process import ROLES, Ingest, expected, held, rows, run
from tests.support.builders.venue_thread import Simulator, recorded, simulator  # noqa: F401  the fixture
from tests.support.judges import evidence
from tests.support.waiting import wait_until
from trading_platform.simulate.faults import FaultPlan

PLAN = FaultPlan(drop=0.01, duplicate=0.01, reorder=0.02, cut=0.0002)
VICTIMS = ("ingest", *ROLES)


def _torment(venue: Simulator, data_dir: Path, kills: int, rng: random.Random, longest_s: float) -> Ingest:
    """Kill `kills` times with random pauses, starting again at once; return the ingest that runs at the end."""
    ingest = Ingest(venue, data_dir, ["BTC-USDT"])
    pause = threading.Event()
    for number in range(kills):
        ingest.wait_for("recorder")
        pause.wait(rng.uniform(0.0, longest_s))
        victim = VICTIMS[number % len(VICTIMS)]
        workers = ingest.process.children()
        ingest.kill(victim)
        if victim == "ingest":
            ingest = Ingest(venue, data_dir, ["BTC-USDT"])
            wait_until(lambda: not any(_runs(worker) for worker in workers), timeout_s=5, what="orphans end")  # noqa: B023
    return ingest


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _kill_and_judge(venue: Simulator, data_dir: Path, kills: int, longest_s: float) -> None:
    ingest = _torment(venue, data_dir, kills, random.Random(5), longest_s)
    assert venue.wait_ended(300)
    assert ingest.stop() == 0
    recovery = run("recover", "--once", "--rest-url", venue.rest_url, data_dir=data_dir)
    assert recovery.returncode == 0, recovery.stdout + recovery.stderr
    verified = run("verify", data_dir=data_dir)
    assert verified.returncode == 0, verified.stdout
    assert rows(held(data_dir)["BTC-USDT"]) == expected(venue.truth(), "BTC-USDT")


def test_killed_at_random_moments_nothing_is_lost(
    simulator: Callable[..., Simulator],  # noqa: F811
    shared_data: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """Eight kills of command, recorder, processor and publisher later the lake holds exactly what the venue issued."""
    venue = simulator(recorded(shared_data), plan=PLAN, speed=30.0)
    _kill_and_judge(venue, tmp_path / "data", kills=8, longest_s=2.0)


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_killed_fifty_times(
    simulator: Callable[..., Simulator],  # noqa: F811
    shared_data: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """The same with fifty kills over the whole recording."""
    venue = simulator(recorded(shared_data), plan=PLAN, speed=4.0)
    _kill_and_judge(venue, tmp_path / "data", kills=50, longest_s=3.0)
    never_sent = sum(not line["sent"] for line in venue.truth())
    evidence.write(
        "kills",
        "Ingest killed with -9",
        {"kills": 50, "trades issued": len(venue.truth()), "never delivered by the stream": never_sent, "lost": 0},
        notes="Victims in turn: the command, its recorder, its processor, its publisher, at random moments of a "
        "recording with drops, repeats, disorder and cuts. Afterwards `recover` exits 0, `verify` exits 0, and the "
        "lake holds exactly what the venue issued.",
    )

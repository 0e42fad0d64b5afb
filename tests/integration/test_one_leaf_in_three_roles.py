"""Ingest, `recover` and a Dagster run publish one leaf at once, over and over: nothing is lost, nothing there twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders.ingest_process import run
from tests.support.builders.venue_thread import Simulator, simulator  # noqa: F401  the fixture
from tests.support.judges import evidence
from tests.support.judges.identity import judge
from tests.support.waiting import wait_until
from trading_platform.domain.days import day_start
from trading_platform.simulate.faults import FaultPlan
from trading_platform.simulate.synthetic_market import SyntheticMarket
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake, staging
from trading_platform.store.lake.parquet import file_sha256
from trading_platform.store.ledger import Ledger

SCRIPT = Path(__file__).with_name("one_leaf_roles.py")
DAY = "2024-03-15"
LEAF = Leaf("ticks", "binance", "BTC-USDT", DAY)
UNLOCKED_ROUNDS = 60


class Roles:
    """The three processes."""

    def __init__(self, data_dir: Path, venue: Simulator) -> None:
        urls = {"ingest": [venue.rest_url, venue.ws_url], "recovery": [venue.rest_url], "dagster": [venue.rest_url]}
        self._processes = {
            role: subprocess.Popen(
                [sys.executable, str(SCRIPT), role, str(data_dir), DAY, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            for role, words in urls.items()
        }
        assert [self._answer(role) for role in self._processes] == ["ready"] * 3

    def tell(self, command: str, *roles: str) -> list[dict[str, Any]]:
        """Give all, or these, a command at once; return what they say when all have done it."""
        chosen = roles or tuple(self._processes)
        for role in chosen:
            stdin = self._processes[role].stdin
            assert stdin is not None
            stdin.write(f"{command}\n")
        return [json.loads(self._answer(role)) for role in chosen]

    def close(self) -> None:
        """End them."""
        for process in self._processes.values():
            process.communicate(timeout=30)

    def _answer(self, role: str) -> str:
        stdout = self._processes[role].stdout
        assert stdout is not None
        return stdout.readline().strip()


@pytest.fixture
def stage(tmp_path: Path, simulator: Callable[..., Simulator]) -> Iterator[tuple[Roles, Simulator, Path]]:  # noqa: F811
    """Give the roles on an empty data directory, and a venue that loses a twentieth on the way."""
    market = SyntheticMarket(seed=3, start_ns=day_start(DAY) + 3600 * 10**9, symbols=["BTC-USDT"])
    venue = simulator(market, plan=FaultPlan(drop=0.05), speed=10.0)
    with ExitStack() as stack:
        roles = Roles(tmp_path / "data", venue)
        stack.callback(roles.close)
        yield roles, venue, tmp_path / "data"


def rounds(roles: Roles, count: int) -> list[dict[str, Any]]:
    """Let all publish so many times; return what they said."""
    return [answer for _ in range(count) for answer in roles.tell("go")]


def overlaps(answers: list[dict[str, Any]]) -> int:
    """Return in how many rounds all three were at work at some moment."""
    turns = [answers[at : at + 3] for at in range(0, len(answers), 3)]
    return sum(max(a["began"] for a in turn) < min(a["ended"] for a in turn) for turn in turns)


def play(roles: Roles, venue: Simulator, data_dir: Path, count: int) -> dict[str, object]:
    """Record, let all three publish again and again, stop, drain, and judge; return the figures."""
    roles.tell("record", "ingest")
    wait_until(lambda: len(venue.truth()) > 100, what="trades come")
    answers = rounds(roles, count)
    assert [answer["error"] for answer in answers if "error" in answer] == []
    together = overlaps(answers)
    assert together == count
    assert "error" not in roles.tell("stop", "ingest")[0]
    issued = venue.truth()[-1]["trade_id"]
    done = run("recover", "--once", "--venue", "binance", "--rest-url", venue.rest_url, data_dir=data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    data = DataDir(data_dir)
    ledger = Ledger.open(data)
    (row,) = ledger.sequences()
    assert row.head >= issued
    # The market goes on: what it issued after the last look at it is nobody's loss.
    assert judge(data_dir, [line for line in venue.truth() if line["trade_id"] <= row.head]) == []
    record = ledger.leaf(LEAF)
    assert record is not None and record.rows == row.head - row.from_id + 1
    assert record.file_sha256 == file_sha256(data.lake / LEAF.path)
    assert (ledger.intent(LEAF), staging.parts(data), list(lake.leaves(data, "ticks"))) == (None, {}, [LEAF])
    refetched = sum(gap.last_missing - gap.first_missing + 1 for gap in ledger.gaps(("filled",)))
    ledger.close()
    return {"trades": record.rows, "rounds with all three at work": together, "ids of gaps that were filled": refetched}


def test_three_roles_publish_one_leaf(stage: tuple[Roles, Simulator, Path]) -> None:
    """A few rounds with nothing lost and nothing twice; without the leaf's lock it goes wrong."""
    roles, venue, data_dir = stage
    play(roles, venue, data_dir, 5)
    roles.tell("unlock")
    roles.tell("record", "ingest")
    for _ in range(UNLOCKED_ROUNDS):
        if any("error" in answer for answer in roles.tell("go")):
            break
    else:
        roles.tell("stop", "ingest")
        assert judge(data_dir, venue.truth()) != []
    roles.tell("stop", "ingest")


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_three_roles_publish_one_leaf_two_hundred_times(stage: tuple[Roles, Simulator, Path]) -> None:
    """The same over two hundred rounds."""
    roles, venue, data_dir = stage
    figures = play(roles, venue, data_dir, 200)
    evidence.write(
        "one-leaf-ingest-recover-dagster",
        "Ingest, recover and a Dagster run publish one leaf",
        {"rounds": 200, "publishes": 600, **figures, "trades lost": 0, "trades twice": 0, "differing from the log": 0},
        notes="Three processes, started once and told when: ingest (recorder, processor and publisher folded into one"
        " process) decodes, stages and publishes what came, 5 % of it lost on the way; `recover`'s act fetches and"
        " publishes; Dagster materializes `ticks` of the day. Judged from outside by truth, log, ledger and lake. The"
        " negative control publishes without the leaf's lock and goes wrong; it runs with the suite's small form.",
    )

"""A seed is a function, and what the hash and the judge say means something: planted bugs are found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.simulation import plants
from tests.simulation.story import Happening, Story, draw
from tests.simulation.world import SUITE_SEEDS, TEN_MINUTE_SEEDS, Plant, play
from trading_platform.ingest.recovery import rest_client as rest
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.store.lake import staging

ROOT = Path(__file__).resolve().parents[2]


PLAYED = ("3, minutes=3", "3, minutes=2, plant=plants.wall_clock", "3, minutes=2, plant=plants.chance")


@pytest.fixture(scope="module")
def elsewhere() -> list[dict[str, str]]:
    """Play the same in two other processes, whose strings have other hashes; return the digests of each."""
    script = "from tests.simulation import plants, world\n" + "\n".join(
        f"print(world.play({arguments}).digest)" for arguments in PLAYED
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        )
        for hash_seed in (1, 2)
    ]
    told = [process.communicate(timeout=240)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return [dict(zip(PLAYED, digests, strict=True)) for digests in told]


def test_a_seed_gives_the_same_trace_in_any_process(elsewhere: list[dict[str, str]]) -> None:
    """Three processes with other hashes of strings: every event, write and decision is the same, at the same time."""
    first, second = (digests[PLAYED[0]] for digests in elsewhere)
    assert first == second == play(3, minutes=3).digest
    assert play(4, minutes=1).digest != play(8, minutes=1).digest


@pytest.mark.parametrize("arguments", PLAYED[1:], ids=["clock", "chance"])
def test_a_look_at_the_real_world_changes_the_trace(elsewhere: list[dict[str, str]], arguments: str) -> None:
    """A planted wall clock, planted randomness: two processes give two traces, and the comparison tells."""
    first, second = (digests[arguments] for digests in elsewhere)
    assert first != second


def test_the_suites_seeds_meet_all_that_the_campaigns_do() -> None:
    """Every kind of fault of ten minutes happens in five seeds of the suite at least."""
    few, many = (
        Counter(
            kind
            for story in (draw(seed, 10.0) for seed in seeds)
            for kind in {*(event.kind for event in story.plan.events), *(one.kind for one in story.happenings)}
        )
        for seeds in (SUITE_SEEDS, TEN_MINUTE_SEEDS)
    )
    assert few.keys() == many.keys()
    assert min(few.values()) >= 5, few


def rough(**changes: object) -> Story:
    """Return a story in which one trade in ten is lost on its way, and nothing else happens."""
    story = draw(0, 4.0)
    story.plan, story.happenings, story.lifetime_s = FaultPlan(drop=0.1), [], 86_400.0
    story.rest_errors = story.short_pages = story.hang = story.deaf = 0.0
    for name, value in changes.items():
        setattr(story, name, value)
    return story


def test_a_rough_way_is_survived() -> None:
    """Without a planted bug the story that the controls use has a good end."""
    assert play(0, minutes=4, story=rough()).problems == []


@pytest.mark.parametrize(
    ("plant", "finding"),
    [
        (plants.forgotten_gap, "stored and not durable"),
        (plants.early_acknowledgement, "stored and not durable"),
        (plants.deaf_detector, "from_id rose"),
    ],
)
def test_a_planted_bug_is_found(plant: Plant, finding: str) -> None:
    """A detector that forgets, one that begins anew behind a hole, an acknowledgement before the sync."""
    problems = play(0, minutes=4, story=rough(), plant=plant).problems
    assert any(finding in problem for problem in problems), problems


def test_a_lost_part_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trades that never reach staging are missing in the lake at the end, and the judge says which."""
    write = staging.write_parts

    def lose(*args: Any, **rest: Any) -> bool:
        *name, tables = args
        return write(*name, tables={leaf: table for leaf, table in tables.items() if leaf.symbol != "ETH-USDT"}, **rest)

    monkeypatch.setattr(staging, "write_parts", lose)
    problems = play(0, minutes=4, story=rough()).problems
    assert any("issued and not in the lake" in problem and "ETH-USDT" in problem for problem in problems), problems


def test_an_impatient_client_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again five seconds after a 429 is named with the time."""
    monkeypatch.setattr(rest, "AFTER_LIMIT_S", 5.0)
    plan = FaultPlan(drop=0.1, events=(Event(kind="rest_429", at_s=100.0, seconds=60.0, retry_after=""),))
    story = rough(plan=plan, happenings=[Happening(120.0, "stop"), Happening(125.0, "reset")])
    problems = play(0, minutes=4, story=story).problems
    assert any("after a 429" in problem for problem in problems), problems


def test_the_command_line_replays_a_seed() -> None:
    """`--seed N --minutes M` prints the verdict and what replays it; `--trace` everything that happened."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", "5", "--minutes", "1", "--trace"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "replay with: python -m tests.simulation --seed 5 --minutes 1" in done.stdout
    assert done.stdout.count("\n") > 50

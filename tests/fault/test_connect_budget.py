"""A recorder that is killed again and again does not connect more often than one that lives: the venue's log judges."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulators import Simulator, simulator, synthetic  # noqa: F401  the fixture

SCRIPT = Path(__file__).with_name("connect_and_die.py")
ALLOWED = 5
"""Half of half of what connect_and_die's venue allows: from there on attempts are 60 s apart."""
LIVES = 12


@pytest.fixture
def lives() -> Iterator[subprocess.Popen[str]]:
    """Give a process that starts recorders."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    yield process
    process.communicate(timeout=10)


def live_and_die(lives: subprocess.Popen[str], venue: Simulator, root: Path, keeps: str) -> list[str]:
    """Let recorders live one after the other, each until it has connected or may not; return what each said."""
    assert lives.stdin is not None and lives.stdout is not None
    said = []
    for _ in range(LIVES):
        lives.stdin.write(f"{venue.ws_url} {root} {keeps}\n")
        pid = int(lives.stdout.readline())
        said.append(lives.stdout.readline().strip())
        os.kill(pid, signal.SIGKILL)
    return said


def opened(venue: Simulator) -> int:
    """Return how many connections the venue saw."""
    return sum(seen.what == "open" for seen in venue.server.connections)


def test_a_crash_loop_keeps_the_connect_budget(
    tmp_path: Path,
    simulator: Callable[..., Simulator],  # noqa: F811
    lives: subprocess.Popen[str],
) -> None:
    """Killed after each connect, the recorders of one data directory share the budget of one; forgetting breaks it."""
    venue = simulator(synthetic(3600))
    said = live_and_die(lives, venue, tmp_path / "data", "kept")
    assert said == ["open"] * ALLOWED + ["held back"] * (LIVES - ALLOWED)
    assert opened(venue) == ALLOWED
    # The control: recorders that do not know of each other exceed it.
    assert live_and_die(lives, venue, tmp_path / "other", "forgotten") == ["open"] * LIVES
    assert opened(venue) == ALLOWED + LIVES

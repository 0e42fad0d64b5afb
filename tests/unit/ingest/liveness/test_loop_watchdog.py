"""A loop that does not run is noticed by a thread that does; a process that did not run at all is not blamed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from trading_platform.ingest.liveness.loop_watchdog import ABORT_EXIT, BeatCheck, Watchdog

BLOCKED = """
import asyncio, threading
from trading_platform.ingest.liveness.loop_watchdog import Watchdog

async def main():
    with Watchdog(look_s=0.05, warn_s=0.2, abort_s=0.6) as watchdog:
        beating = asyncio.create_task(watchdog.keep_beating())
        await asyncio.sleep(0)
        threading.Event().wait()  # blocks the loop, for good

asyncio.run(main())
"""


@pytest.mark.process
def test_a_process_whose_loop_is_blocked_ends_and_says_where() -> None:
    """It exits by itself, with the stack of the thread that blocks."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == ABORT_EXIT
    assert "event loop is blocked" in done.stdout + done.stderr
    assert "in main" in done.stderr


def test_a_loop_that_runs_is_left_alone() -> None:
    """Beating as often as it looks, the watchdog finds nothing however long it watches."""
    aborted = threading.Event()

    async def main() -> None:
        with Watchdog(abort=aborted.set, look_s=0.01, warn_s=0.2, abort_s=0.4) as watchdog:
            beating = asyncio.create_task(watchdog.keep_beating())
            await asyncio.to_thread(aborted.wait, 0.6)
            beating.cancel()

    asyncio.run(main())
    assert not aborted.is_set()


def test_thirty_seconds_are_the_end_and_five_a_warning() -> None:
    """Once each, counted from the last beat."""
    check = BeatCheck(warn_s=5.0, abort_s=30.0, pause_s=5.0)
    verdicts = [check.verdict(float(now), beat=0.0) for now in range(1, 31)]
    assert verdicts.index("warn") == 4
    assert verdicts.count("warn") == 1
    assert verdicts.index("abort") == 29


def test_another_blockade_is_another_warning() -> None:
    """After the loop has run again the next blockade is told as well."""
    check = BeatCheck(warn_s=5.0, abort_s=30.0, pause_s=5.0)
    beats = {**dict.fromkeys(range(8), 0.0), **dict.fromkeys(range(8, 20), 8.0)}
    assert [check.verdict(float(now), beat) for now, beat in beats.items()].count("warn") == 2


def test_a_stopped_process_is_not_to_blame() -> None:
    """Nobody ran for a minute: the loop has its whole time again."""
    check = BeatCheck(warn_s=5.0, abort_s=30.0, pause_s=5.0)
    check.verdict(0.0, beat=0.0)
    assert check.verdict(60.0, beat=0.0) is None
    assert check.verdict(64.0, beat=0.0) is None
    assert check.verdict(65.0, beat=0.0) == "warn"

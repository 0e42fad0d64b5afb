"""System calls that fail or kill, injected by strace: the real kernel against what the in-process harnesses assume."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.fault.test_every_operation import SEGMENT_BYTES, judge, live
from tests.support.builders.ingest_process import Ingest, expected, held, rows, run
from tests.support.builders.platform_in_process import SmallPlatform
from tests.support.builders.venue_thread import Simulator, recorded, simulator  # noqa: F401  the fixture
from tests.support.faults.mounts import IN_CI
from tests.support.judges import evidence
from tests.support.waiting import wait_until

CALLS = ("pwrite64", "fdatasync", "fsync", "rename", "unlink", "ftruncate", "openat")
FALLBACK = "strace cannot attach here"
DETACHED_WITHIN_S = 5.0


@contextmanager
def attached(pid: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Attach strace to a process and all its threads; detach at the end."""
    if shutil.which("strace") is None:
        _incapable("strace is not installed")
    tracer = subprocess.Popen(["strace", "-f", *options, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    try:
        first = tracer.stderr.readline()
        if "attached" not in first:
            _incapable(f"{FALLBACK}: {first.strip()}")
        yield tracer
    finally:
        tracer.terminate()
        try:
            tracer.communicate(timeout=DETACHED_WITHIN_S)
        except subprocess.TimeoutExpired:
            # It can wait for ever for a thread that ended while it let go; the kernel lets go of the others itself.
            tracer.kill()
            tracer.communicate()


def _incapable(message: str) -> None:
    if IN_CI:
        pytest.fail(message)
    pytest.skip(message)


def test_a_failed_fdatasync_ends_the_recorder_and_nothing_is_lost(
    simulator: Callable[..., Simulator],  # noqa: F811
    shared_data: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """EIO from one fdatasync: the recorder names it and exits with 1, another takes over, recover fetches the rest."""
    venue = simulator(recorded(shared_data), speed=60.0)
    ingest, log = Ingest(venue, tmp_path / "data", ["BTC-USDT"]), tmp_path / "ingest.log"
    try:
        wait_until(lambda: b"stream open" in log.read_bytes(), what="recording")
        recorder = ingest.wait_for("recorder")
        inject = ("-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1", "-o", os.devnull)
        with attached(recorder.pid, *inject):
            wait_until(lambda: not recorder.is_running() or recorder.status() == "zombie", what="the recorder ends")
        wait_until(lambda: b"worker died" in log.read_bytes(), what="the supervisor sees it")
        text = log.read_text()
        assert "fdatasync" in text
        assert "Input/output error" in text
        died = next(line for line in text.splitlines() if "worker died" in line)
        assert '"exit_code":1' in died.replace(" ", "") or "exit_code=1" in died
        assert ingest.wait_for("recorder").pid != recorder.pid
        assert venue.wait_ended(60)
        assert ingest.stop() == 0
    finally:
        ingest.end()
    recovery = run("recover", "--once", "--rest-url", venue.rest_url, data_dir=tmp_path / "data")
    assert recovery.returncode == 0, recovery.stdout + recovery.stderr
    assert rows(held(tmp_path / "data")["BTC-USDT"]) == expected(venue.truth(), "BTC-USDT")


class Lives:
    """Children that live the small scenario under strace; one process forks them all."""

    def __init__(self, tmp_path: Path) -> None:
        self._tmp_path = tmp_path
        script = Path(__file__).with_name("live_and_die.py")
        self._server = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._number = 0

    def close(self) -> None:
        """End the process that forks."""
        self._server.communicate()

    def live(self, *options: str) -> tuple[Path, int, int]:
        """Live once under strace; return the data directory, how many trades were acknowledged, and the exit code."""
        self._number += 1
        root = self._tmp_path / f"life-{self._number}" / "data"
        root.parent.mkdir()
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(f"{root}\n")
        self._server.stdin.flush()
        child = int(self._server.stdout.readline())
        wait_until(lambda: _stopped(child), what="the child waits", every_s=0.002)
        try:
            with attached(child, *options):
                os.kill(child, signal.SIGCONT)
                code = int(self._next_line())
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
        told = root.parent / "acknowledged"
        return root, int(told.read_text() or 0) if told.exists() else 0, code

    def _next_line(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline()


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"T", "t"}


def kill_at_sampled_calls(tmp_path: Path, samples: int) -> Counter[str]:
    """Kill the scenario at sampled system calls and judge what is left; return how often at which call."""
    whole = SmallPlatform(tmp_path / "whole", segment_bytes=SEGMENT_BYTES)
    live(whole)
    whole.close()
    lives = Lives(tmp_path)
    try:
        trace = tmp_path / "trace"
        _, acknowledged, code = lives.live("-o", str(trace), "-e", f"trace={','.join(CALLS)}")
        assert (acknowledged, code) == (len(whole.acknowledged), 0)
        counted = Counter(
            name for line in trace.read_text().splitlines() for name in CALLS if f" {name}(" in line.partition("=")[0]
        )
        random, killed = Random(7), Counter[str]()
        points = [(name, number) for name, times in sorted(counted.items()) for number in range(1, times)]
        for name, number in random.sample(points, samples):
            inject = ("-e", f"trace={name}", "-e", f"inject={name}:signal=SIGKILL:when={number}", "-o", os.devnull)
            root, acknowledged, code = lives.live(*inject)
            assert code == -signal.SIGKILL, f"{name} {number} of {counted[name]}"
            judge(root, set(whole.appended[:acknowledged]), set(whole.appended))
            shutil.rmtree(root)
            killed[name] += 1
        return killed
    finally:
        lives.close()


@pytest.mark.timeout(600)
def test_killed_at_sampled_system_calls_nothing_is_lost(tmp_path: Path) -> None:
    """Twelve kills at system calls drawn from all of the scenario's, SQLite's included, leave nothing lost or twice."""
    assert kill_at_sampled_calls(tmp_path, 12).total() == 12


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_killed_at_many_system_calls(tmp_path: Path) -> None:
    """The same at three hundred points."""
    killed = kill_at_sampled_calls(tmp_path, 300)
    evidence.write(
        "kills-at-system-calls",
        "SIGKILL at sampled system calls",
        {"kills": killed.total(), "lost": 0},
        rows=[{"system call": name, "kills": times} for name, times in sorted(killed.items())],
        notes="Injected by strace into a process that records, decodes, publishes, seals and retires.",
    )

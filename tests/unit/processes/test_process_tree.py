"""Children end with their parent, trees end whole, services are started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from trading_platform.commands.support.stack import free_port
from trading_platform.processes import process_tree as processes
from trading_platform.processes.service_supervisor import Service, ServiceSupervisor

SLEEP = (sys.executable, "-c", "import signal; signal.pause()")


def read_pid(path: Path) -> int:
    """Wait for a process to write its number."""
    return int(wait_until(lambda: path.exists() and path.read_text(), what=f"a pid in {path}"))


def has_begun(pid: int | None) -> bool:
    """Tell whether the program itself runs, not what leads to it."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return words[1:3] == [b"-c", SLEEP[2].encode()]


@pytest.fixture
def killed() -> Iterator[list[int]]:
    """Kill what a failing test would leave."""
    pids: list[int] = []
    yield pids
    processes.send(pids, signal.SIGKILL)


@pytest.mark.process
def test_a_child_is_told_to_stop_when_its_parent_is_killed(tmp_path: Path, killed: list[int]) -> None:
    """kill -9 of the parent reaches the child as SIGTERM, so that it can stop in order."""
    told = tmp_path / "told"
    child = (
        "import os, pathlib, signal, sys\n"
        f"def on(*_): pathlib.Path({str(told)!r}).write_text('SIGTERM'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, on)\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "signal.pause()\n"
    )
    parent = (
        "import signal, sys; from trading_platform.processes import process_tree as processes\n"
        f"processes.start([sys.executable, '-c', {child!r}]); signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent]) as process:
        pid = read_pid(tmp_path / "pid")
        killed.append(pid)
        process.kill()
    wait_until(lambda: not processes.is_alive(pid), what="the child's end")
    assert told.read_text() == "SIGTERM"


@pytest.mark.process
def test_a_child_handles_signals_as_usual_whatever_its_parent_ignores() -> None:
    """A shell starts background jobs with SIGINT ignored; a child of ours can be interrupted all the same."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = processes.start(SLEEP)
    finally:
        signal.signal(signal.SIGINT, before)
    wait_until(lambda: has_begun(child.pid), what="the program")
    child.send_signal(signal.SIGINT)
    assert child.wait(10) != 0


@pytest.mark.process
def test_a_tree_ends_whole_orphans_included(tmp_path: Path, killed: list[int]) -> None:
    """What a dead child leaves behind is adopted and ended, also what ignores SIGTERM."""
    stubborn = (
        "import os, pathlib, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(tmp_path / 'orphan')!r}).write_text(str(os.getpid()))\n"
        "signal.pause()\n"
    )
    middle = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {stubborn!r}], start_new_session=True)"
    root = (
        "import sys, pathlib; from trading_platform.processes import process_tree as processes\n"
        "processes.adopt_orphans()\n"
        f"processes.start([sys.executable, '-c', {middle!r}]).wait()\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).write_text('1')\n"
        "sys.stdin.read(); processes.end_all(0.3); assert processes.descendants() == []\n"
    )
    with subprocess.Popen([sys.executable, "-c", root], stdin=subprocess.PIPE) as process:
        orphan = read_pid(tmp_path / "orphan")
        killed.append(orphan)
        read_pid(tmp_path / "ready")
        process.communicate(timeout=20)
    assert process.returncode == 0 and not processes.is_alive(orphan)


@pytest.mark.process
def test_a_process_knows_when_it_started() -> None:
    """Never after now, and none for a process that is gone."""
    import time

    started = processes.started_at(os.getpid())
    assert started is not None and started <= time.time() + 1
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert processes.started_at(gone.pid) is None and not processes.is_alive(gone.pid)


class Clock:
    """Time that moves when told."""

    now = 0.0

    def __call__(self) -> float:
        """Return it."""
        return self.now


@pytest.mark.process
def test_a_service_that_dies_is_started_again_and_waits_longer_each_time(tmp_path: Path) -> None:
    """1, 2, 4 … seconds, at most half a minute; its output stays in its log."""
    clock, said = Clock(), []
    supervisor = ServiceSupervisor(monotonic=clock, say=said.append)
    command = (sys.executable, "-c", "print('hello', flush=True); raise SystemExit(3)")
    supervisor.add(Service("short", command, log=tmp_path / "logs" / "short.log"))
    waits = []
    for _ in range(7):
        wait_until(lambda: supervisor.pid("short") is None, what="its end")
        assert supervisor.keep_up() == ["short"]
        wait = next(w for w in (1, 2, 4, 8, 16, 30) if f"again in {w:.0f} s" in said[-1])
        waits.append(wait)
        clock.now += wait - 0.01
        supervisor.keep_up()
        assert supervisor.exit_code("short") is None and supervisor.pids() == []
        clock.now += 0.02
        supervisor.keep_up()
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    supervisor.stop(["short"], 5)
    assert (tmp_path / "logs" / "short.log").read_text().count("hello") >= 7


@pytest.mark.process
def test_a_service_that_does_not_stop_is_killed() -> None:
    """Stopping takes as long as it may and no longer."""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    supervisor = ServiceSupervisor()
    supervisor.add(Service("willing", SLEEP))
    child = processes.start([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline()
    child.stdout.close()
    supervisor.take(Service("deaf", ()), child)
    wait_until(lambda: has_begun(supervisor.pid("willing")), what="the program")
    codes = supervisor.stop(["willing", "deaf", "unknown"], 0.5)
    assert codes == {"willing": -signal.SIGTERM, "deaf": -signal.SIGKILL}
    assert supervisor.pids() == [] and supervisor.keep_up() == []


def test_a_port_in_use_is_named() -> None:
    """One line, before anything is started."""
    import socket

    from trading_platform.domain.errors import UsageError

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} is in use"):
            free_port(port)
    with pytest.raises(UsageError):
        free_port(70_000)
    assert free_port(0) > 0

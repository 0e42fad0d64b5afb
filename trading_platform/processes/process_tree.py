"""Child processes that end with their parent, and trees of processes that end whole. Imports no Dagster.

The kernel does the watching (Linux: parent-death signal, subreaper), so it also holds after kill -9.
What is started, and in which order it stops, is dagster_services.py and commands/up.py.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_PROC = Path("/proc")
_TIED = Path(__file__).with_name("parent_death.py")

_started: set[int] = set()
"""Children that their `Popen` will reap."""

Monotonic = Callable[[], float]


def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child, `command[0]` being a path, that is told to stop (SIGTERM) when this process dies, however it dies.

    The child leads a process group of its own, so that Ctrl-C reaches only its parent, and starts with the default
    handling of SIGINT and SIGTERM: a shell starts background jobs with SIGINT ignored, and Dagster copies that.
    Call it from the main thread: the kernel watches the thread that started the child.
    """
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_TIED), str(os.getpid()), *command],
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
    _started.add(child.pid)
    return child


def wait_or_kill(child: subprocess.Popen[bytes], within_s: float) -> int:
    """Wait for the end of a child that was told to stop, kill it if that takes too long; return the exit code."""
    try:
        return child.wait(within_s)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose parent dies, so that it can end them too."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def descendants(pid: int | None = None) -> list[int]:
    """Return the pids below a process (by default this one), children before their children."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [os.getpid() if pid is None else pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.extend(below)
        waiting.extend(below)
    return found


def is_alive(pid: int) -> bool:
    """Tell whether a process runs (one that ended and is not yet reaped does not)."""
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"


def words(pid: int) -> list[str]:
    """Return the words that a process was started with, none if it is gone."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def is_helper(pid: int) -> bool:
    """Tell whether a process is Python's own bookkeeping, which ends with its parent."""
    return any("resource_tracker" in word for word in words(pid))


def started_at(pid: int) -> float | None:
    """Return when a process started (seconds since the epoch), None if there is none."""
    fields = _stat(pid)
    if not fields:
        return None
    boot = next(line for line in (_PROC / "stat").read_text().splitlines() if line.startswith("btime "))
    return int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the state on, none if the process is gone."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return []


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def reap() -> None:
    """Collect the orphans that ended after they were adopted; children of `subprocess` are left to it."""
    try:
        if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return  # no child has ended: the usual case, and much cheaper than looking at every process
    except ChildProcessError:
        return
    for pid in descendants():
        fields = _stat(pid)
        if fields and fields[0] == "Z" and int(fields[1]) == os.getpid() and pid not in _started:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue


def wait_gone(pids: Callable[[], Iterable[int]], timeout_s: float, *, monotonic: Monotonic = time.monotonic) -> bool:
    """Wait until none of the processes runs; tell whether that came true in time."""
    deadline = monotonic() + timeout_s
    while any(is_alive(pid) for pid in pids()):
        if monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def end(pids: Callable[[], Iterable[int]], timeout_s: float) -> None:
    """End processes: SIGTERM, and SIGKILL for what is left after `timeout_s`."""
    send(pids(), signal.SIGTERM)
    if not wait_gone(pids, timeout_s):
        send(pids(), signal.SIGKILL)
        wait_gone(pids, 5.0)
    reap()


def end_all(timeout_s: float) -> None:
    """End every descendant of this process."""
    end(descendants, timeout_s)

"""Locks between processes: named holder, freed by the kernel, not inherited."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trading_platform.domain.errors import LockHeld, StorageError
from trading_platform.store.fs.locks import FileLock, held_by

HOLD = """
import sys
from pathlib import Path
from trading_platform.store.fs.locks import FileLock
lock = FileLock.acquire(Path(sys.argv[1]), "the lane")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that holds the lock until its input ends."""
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"held\n"
        yield child
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait()


@pytest.mark.process
def test_the_second_process_is_refused_and_told_the_first_ones_pid(tmp_path: Path) -> None:
    """A held lock names what it protects and who holds it."""
    with another_holder(tmp_path / "lock") as holder:
        with pytest.raises(LockHeld, match=f"the lane is in use by process {holder.pid}; stop it first") as caught:
            FileLock.acquire(tmp_path / "lock", "the lane")
        assert caught.value.holder_pid == holder.pid
        assert held_by(tmp_path / "lock") == holder.pid
    FileLock.acquire(tmp_path / "lock", "the lane").release()


@pytest.mark.process
def test_kill_9_frees_the_lock(tmp_path: Path) -> None:
    """A holder that is killed leaves its pid in the file, but not the lock."""
    with another_holder(tmp_path / "lock") as holder:
        holder.send_signal(signal.SIGKILL)
        with FileLock.acquire(tmp_path / "lock", "the lane", wait_s=5):
            assert held_by(tmp_path / "lock") == os.getpid()
    assert held_by(tmp_path / "lock") is None
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_waiting_ends_with_the_holder(tmp_path: Path) -> None:
    """Whoever waits gets the lock once it is given back."""
    path = tmp_path / "lock"
    first = FileLock.acquire(path, "it")
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            first.release()

    FileLock.acquire(path, "it", wait_s=5, monotonic=lambda: sum(pauses), sleep=sleep).release()
    assert len(pauses) == 3


def test_waiting_has_an_end(tmp_path: Path) -> None:
    """After `wait_s` seconds of the clock it was given, acquiring gives up."""
    path = tmp_path / "lock"
    pauses: list[float] = []
    with FileLock.acquire(path, "it"), pytest.raises(LockHeld):
        FileLock.acquire(path, "it", wait_s=1, monotonic=lambda: sum(pauses), sleep=pauses.append)
    assert 1 <= sum(pauses) < 1.1


FORK = """
import os, signal, subprocess, sys
from pathlib import Path
from trading_platform.store.fs.locks import FileLock, held_by
path = Path(sys.argv[1])
lock = FileLock.acquire(path, "it")
ended = os.fork()
if ended == 0:
    os._exit(0)
os.waitpid(ended, 0)
assert held_by(path) == os.getpid(), "the child's end must leave the lock with the parent"
forked = os.fork()
if forked == 0:
    signal.pause()
spawned = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
try:
    assert held_by(path) == os.getpid()
    lock.release()
    assert held_by(path) is None, "living children must not keep the lock"
    FileLock.acquire(path, "it").release()
finally:
    os.kill(forked, signal.SIGKILL)
    os.waitpid(forked, 0)
    spawned.communicate(b"")
print("done")
"""


@pytest.mark.process
def test_children_neither_keep_nor_free_their_parents_lock(tmp_path: Path) -> None:
    """A forked child's end leaves the lock in force; a living one, forked or spawned, does not prolong it."""
    # In a process of its own: the one that runs the tests has threads, which must not be forked.
    command = [sys.executable, "-c", FORK, str(tmp_path / "lock")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_asking_takes_nothing(tmp_path: Path) -> None:
    """`held_by` neither makes the file nor holds the lock for a moment."""
    assert held_by(tmp_path / "lock") is None
    assert list(tmp_path.iterdir()) == []


def test_releasing_twice_is_once(tmp_path: Path) -> None:
    """A second release does nothing to whoever holds the lock by then."""
    lock = FileLock.acquire(tmp_path / "lock", "it")
    lock.release()
    with FileLock.acquire(tmp_path / "lock", "it"):
        lock.release()
        assert held_by(tmp_path / "lock") == os.getpid()


def test_a_lock_that_cannot_be_opened_is_a_storage_error(tmp_path: Path) -> None:
    """A directory where the lock file should be is named."""
    with pytest.raises(StorageError, match=str(tmp_path)):
        FileLock.acquire(tmp_path, "it")
    with pytest.raises(StorageError, match=str(tmp_path)):
        held_by(tmp_path)


@pytest.mark.process
def test_a_child_that_is_given_a_lock_keeps_it(tmp_path: Path) -> None:
    """Whoever holds the descriptor keeps others out after the one who took the lock is gone."""
    path = tmp_path / "lock"
    lock = FileLock.acquire(path, "the example")
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=[lock.descriptor]
    )
    lock.leave_to_parent()  # as if this process were killed
    assert lock.descriptor == -1
    with pytest.raises(LockHeld):
        FileLock.acquire(path, "the example")
    child.communicate()
    FileLock.acquire(path, "the example", wait_s=5.0).release()

"""One process at a time: locks that the kernel frees when their holder dies.

A lock is an flock on a file that also names the holder's pid. The file stays; only the lock on it counts.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from trading_platform.domain.errors import LockHeld, StorageError
from trading_platform.store.fs.disk import make_directory

_POLL_S = 0.02
_FLOCK = struct.Struct("@hhqqi4x")
_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


class FileLock:
    """A held lock; see `acquire`.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "lock"
    >>> with FileLock.acquire(path, "the example"):
    ...     held_by(path) == os.getpid()
    True
    >>> held_by(path) is None
    True
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor
        _held.add(self)

    @classmethod
    def acquire(
        cls,
        path: Path,
        what: str,
        *,
        wait_s: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> FileLock:
        """Take the lock, waiting up to `wait_s` seconds for its holder.

        It ends with `release` or with this process, kill -9 included; children do not inherit it, but for those
        that are given its `descriptor`: then it ends with the last of them.

        Parameters
        ----------
        what : what the lock protects, in words for the error.

        Raises
        ------
        LockHeld : if another holder keeps it; names its pid.
        StorageError : if the file cannot be opened.
        """
        make_directory(path.parent)
        deadline = monotonic() + wait_s
        descriptor = _open(path)
        try:
            while not _try(descriptor):
                if monotonic() >= deadline:
                    raise LockHeld(what, _read_pid(descriptor))
                sleep(_POLL_S)
            _write_pid(descriptor)
            # The second lock, on the same descriptor, lets held_by ask without taking anything:
            # a probe by flock would make a concurrent acquire fail.
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        except OSError as error:
            os.close(descriptor)
            raise StorageError(f"lock {path}: {error.strerror}") from error
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    @property
    def descriptor(self) -> int:
        """The open file that holds the lock, to be kept open by a child, too; -1 once it is released."""
        return -1 if self._descriptor is None else self._descriptor

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # Not by closing alone: a child forked this instant may not have closed its copy yet.
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def leave_to_parent(self) -> None:
        """Close this forked child's copy; the lock stays the parent's."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def held_by(path: Path) -> int | None:
    """Return the pid of the live process that holds the lock, None if it is free. Takes nothing.

    Raises
    ------
    StorageError : if the file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"lock {path}: {error.strerror}") from error
    try:
        question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, question))[0]
        return None if kind == fcntl.F_UNLCK else _read_pid(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageError(f"lock {path}: {error.strerror}") from error


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_pid(descriptor: int) -> None:
    """Name the holder. A file that names us already stays as it is: cutting it costs a commit of the disk's journal."""
    text = f"{os.getpid()}\n".encode()
    if os.pread(descriptor, 32, 0) != text:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)


def _read_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _after_fork() -> None:
    for lock in list(_held):
        lock.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)

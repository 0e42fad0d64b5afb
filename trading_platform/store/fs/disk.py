"""The file layer that durable code writes through, and atomic replacement of one file.

Every write that must survive a power cut goes through a `Disk`, so that a test can hand in one
that fails, tears writes, or forgets what was not synced. What the bytes mean is the caller's.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Protocol

from trading_platform.domain.errors import DiskFull, StorageError

Mode = Literal["read", "update", "create"]
"""``create`` refuses a file that exists; ``update`` reads and writes one that does."""

_FLAGS: dict[Mode, int] = {
    "read": os.O_RDONLY,
    "update": os.O_RDWR,
    "create": os.O_RDWR | os.O_CREAT | os.O_EXCL,
}


class File(Protocol):
    """An open file, addressed by offset. Every failure is a StorageError naming the path."""

    @property
    def path(self) -> Path:
        """Where the file was opened."""

    def write(self, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`."""

    def read(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`; fewer only where the file ends."""

    def size(self) -> int:
        """Return the file's length."""

    def truncate(self, size: int) -> None:
        """Cut or extend the file to `size` bytes."""

    def allocate(self, size: int) -> None:
        """Extend the file to `size` bytes of zeros for which there is space."""

    def hurry(self, offset: int, size: int) -> None:
        """Have the system begin to write a stretch out. Nothing waits for it, and nothing is durable by it."""

    def sync(self) -> None:
        """Make what was written durable (fdatasync: data, and the length needed to read it)."""

    def close(self) -> None:
        """Close the file; what was not synced may be lost."""


class Disk(Protocol):
    """What durable code asks of a file system. Every failure is a StorageError naming the path."""

    def open(self, path: Path, mode: Mode) -> File:
        """Open a file; a missing one (``read``, ``update``) raises MissingFile."""

    def rename(self, source: Path, target: Path) -> None:
        """Move `source` over `target`; durable after `sync_directory`."""

    def unlink(self, path: Path) -> None:
        """Remove a file; one that is already gone is no error."""

    def listdir(self, path: Path) -> list[str]:
        """Return the names in a directory, sorted; none if there is no such directory."""

    def mkdir(self, path: Path) -> None:
        """Make one directory; one that exists is no error."""

    def exists(self, path: Path) -> bool:
        """Tell whether there is a file or directory."""

    def sync_directory(self, path: Path) -> None:
        """Make creations, renames and removals in a directory durable."""


class MissingFile(StorageError):
    """The file is not there."""


@contextmanager
def named(path: Path, doing: str) -> Iterator[None]:
    """Say what the system refused as a StorageError that names the path; DiskFull if there is no space."""
    try:
        yield
    except OSError as error:
        raise _refused(path, doing, error) from error


def _refused(path: Path, doing: str, error: OSError) -> StorageError:
    """Return what to raise for what the system refused."""
    if isinstance(error, FileNotFoundError):
        return MissingFile(f"{doing} {path}: {error.strerror}")
    kind = DiskFull if error.errno in _FULL else StorageError
    return kind(f"{doing} {path}: {error.strerror or error}{_ADVICE.get(error.errno or 0, '')}")


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


_ADVICE = {
    errno.ENOSPC: "; free space on this disk and start again",
    errno.EDQUOT: "; the quota is used up",
    errno.EROFS: "; mount it writable",
    errno.EACCES: "; check its owner and permissions",
}


_PIECE_BYTES = 1 << 18
"""Read at a time. Linux may not preempt a process within a call: 16 MB in one delays the recorder by 6 ms."""


_BEGIN_WRITING = 2


def _system_call() -> Callable[[int, int, int, int], int] | None:
    """Return Linux's sync_file_range, which the standard library has no name for."""
    try:
        found = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError):
        return None
    found.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return found


_sync_file_range = _system_call()


class RealFile:
    """A file of the operating system."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def write(self, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`, however few bytes one call takes."""
        try:  # not `named`: a commit does this twice, and a generator costs as much as the rest of it
            written = os.pwrite(self._descriptor, data, offset)
            while written < len(data):
                more = os.pwrite(self._descriptor, memoryview(data)[written:], offset + written)
                if more == 0:
                    raise OSError(errno.EIO, "no byte was accepted")
                written += more
        except OSError as error:
            raise _refused(self.path, "write", error) from error

    def read(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`; fewer only where the file ends."""
        with named(self.path, "read"):
            pieces, done = [], 0
            while done < size:
                piece = os.pread(self._descriptor, min(size - done, _PIECE_BYTES), offset + done)
                if not piece:
                    break
                pieces.append(piece)
                done += len(piece)
            return b"".join(pieces)

    def size(self) -> int:
        """Return the file's length."""
        with named(self.path, "stat"):
            return os.fstat(self._descriptor).st_size

    def truncate(self, size: int) -> None:
        """Cut or extend the file to `size` bytes."""
        with named(self.path, "truncate"):
            os.ftruncate(self._descriptor, size)

    def allocate(self, size: int) -> None:
        """Extend the file to `size` bytes of zeros for which there is space."""
        with named(self.path, "allocate"):
            os.posix_fallocate(self._descriptor, 0, size)

    def hurry(self, offset: int, size: int) -> None:
        """Have the system begin to write a stretch out, where it can be told to. What fails there, `sync` tells."""
        if _sync_file_range is not None:
            _sync_file_range(self._descriptor, offset, size, _BEGIN_WRITING)

    def sync(self) -> None:
        """Make what was written durable. After an error the file counts as lost: never call it again."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            # Whatever the reason, never DiskFull: that one invites to try again.
            raise StorageError(f"fdatasync {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Close the file."""
        with named(self.path, "close"):
            os.close(self._descriptor)


class RealDisk:
    """The operating system's file system."""

    def open(self, path: Path, mode: Mode) -> RealFile:
        """Open a file."""
        with named(path, "open"):
            return RealFile(path, os.open(path, _FLAGS[mode] | os.O_CLOEXEC, 0o644))

    def rename(self, source: Path, target: Path) -> None:
        """Move `source` over `target`."""
        with named(target, "rename to"):
            os.rename(source, target)

    def unlink(self, path: Path) -> None:
        """Remove a file if it is there."""
        with named(path, "remove"), suppress(FileNotFoundError):
            os.unlink(path)

    def listdir(self, path: Path) -> list[str]:
        """Return the names in a directory, sorted."""
        with named(path, "list"), suppress(FileNotFoundError, NotADirectoryError):
            return sorted(os.listdir(path))
        return []

    def mkdir(self, path: Path) -> None:
        """Make one directory."""
        with named(path, "make directory"), suppress(FileExistsError):
            os.mkdir(path)

    def exists(self, path: Path) -> bool:
        """Tell whether there is a file or directory."""
        return os.path.lexists(path)

    def sync_directory(self, path: Path) -> None:
        """Make creations, renames and removals in a directory durable."""
        with named(path, "fsync"):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


REAL_DISK: Disk = RealDisk()


def make_directory(path: Path, *, disk: Disk = REAL_DISK) -> None:
    """Make a directory and its missing parents, durably.

    Raises
    ------
    StorageError : if one cannot be made, or a file is in the way.
    """
    missing = list(itertools.takewhile(lambda folder: not disk.exists(folder), (path, *path.parents)))
    for folder in reversed(missing):
        disk.mkdir(folder)
        disk.sync_directory(folder.parent)


def make_directories(paths: Iterable[Path], *, disk: Disk = REAL_DISK) -> None:
    """Make several directories and their missing parents, durably: all are made before the first is synced."""
    changed: dict[Path, None] = {}
    for path in paths:
        missing = list(itertools.takewhile(lambda folder: not disk.exists(folder), (path, *path.parents)))
        for folder in reversed(missing):
            disk.mkdir(folder)
            changed[folder.parent] = None
    for folder in changed:
        disk.sync_directory(folder)


_TEMPORARY = re.compile(r"\..+\.(\d+)-\d+\.tmp", re.ASCII)
_counter = itertools.count()


def write_atomically(
    path: Path,
    content: bytes | Callable[[Path], object],
    *,
    disk: Disk = REAL_DISK,
    staging: Path | None = None,
) -> None:
    """Put a whole file at `path`, durably: at every instant, power cuts included, it is the old or the new one.

    Temporary file -> fdatasync -> rename -> fsync of the directory.

    Parameters
    ----------
    content : the bytes, or a function that writes them to the (not yet existing) path it is given.
    staging : where the temporary file lies; the file's own directory unless told. Same file system.

    Raises
    ------
    StorageError : if the disk refuses; what was at `path` is untouched, and the temporary file is gone.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_atomically(folder / "a.txt", b"one")
    >>> write_atomically(folder / "a.txt", lambda path: path.write_text("two"))
    >>> (folder / "a.txt").read_text(), len(list(folder.iterdir()))
    ('two', 1)
    """
    temporary = temporary_path(path, staging)
    try:
        if isinstance(content, bytes):
            file = disk.open(temporary, "create")
        else:
            with named(path, "write"):
                content(temporary)
            file = disk.open(temporary, "update")
        try:
            if isinstance(content, bytes):
                file.write(content, 0)
            file.sync()
        finally:
            file.close()
        disk.rename(temporary, path)
    except BaseException:
        with suppress(StorageError):
            disk.unlink(temporary)
        raise
    disk.sync_directory(path.parent)


def sync_file(path: Path, disk: Disk = REAL_DISK) -> None:
    """Make the bytes of a file durable."""
    file = disk.open(path, "update")
    try:
        file.sync()
    finally:
        file.close()


def temporary_path(path: Path, staging: Path | None = None) -> Path:
    """Return where a file is written before it gets its name; `remove_leftovers` knows it again."""
    return (staging or path.parent) / f".{path.name}.{os.getpid()}-{next(_counter)}.tmp"


def remove_leftovers(directory: Path, *, disk: Disk = REAL_DISK) -> int:
    """Remove temporary files of `write_atomically` whose process has died; return how many."""
    removed = 0
    for name in disk.listdir(directory):
        match = _TEMPORARY.fullmatch(name)
        if match and not _alive(int(match[1])):
            disk.unlink(directory / name)
            removed += 1
    return removed


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True

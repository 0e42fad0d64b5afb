"""The files of one lane: names, the durable mark, and the segment being written. No records, no threads.

    <lane>/NNNNNNNN.seg      segments; one without a header is space written ahead
    <lane>/NNNNNNNN.seg.zst  sealed ones (sealed_segment.py); while both forms are there the first counts
    <lane>/durable           how far the lane is known durable (`Mark`)
    <lane>/lock              the writer's lock
    <lane>/reserve           space kept back (reserve.py)

What the bytes of a segment are is segment_format.py; deciding what to write is writer.py; opening a segment for
reading, in either form, is open_segment.py.
"""

from __future__ import annotations

import re
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import google_crc32c

from trading_platform.domain.errors import DiskFull, StorageError, UsageError
from trading_platform.domain.position import START, Position
from trading_platform.store.fs.disk import REAL_DISK, Disk, File, MissingFile, write_atomically
from trading_platform.store.log.reserve import Reserve
from trading_platform.store.log.segment_format import Header

Result = TypeVar("Result")

_LANE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_SEGMENT = re.compile(r"(\d{8,10})\.seg(\.zst)?", re.ASCII)


def check_lane(name: str) -> str:
    """Return `name` if it can be a lane's; nothing else ever becomes a path.

    >>> check_lane("live-binance")
    'live-binance'
    >>> check_lane("../x")
    Traceback (most recent call last):
    trading_platform.domain.errors.UsageError: '../x' is not a lane; lanes look like live-binance
    """
    if _LANE.fullmatch(name) is None:
        raise UsageError(f"{name[:60]!r} is not a lane; lanes look like live-binance")
    return name


def all_lanes(log_directory: Path, *, disk: Disk = REAL_DISK) -> list[str]:
    """Return the names of the lanes of a log, streams first: other answers are understood by what they say.

    None if there is no log yet.
    """
    names = [
        name
        for name in disk.listdir(log_directory)
        if _LANE.fullmatch(name)
        and (disk.exists(log_directory / name / MARK_NAME) or segment_numbers(log_directory / name, disk))
    ]
    return sorted(names, key=lambda name: (not name.startswith("live-"), name))


def segment_path(directory: Path, number: int) -> Path:
    """Return where the segment of that number lies."""
    return directory / f"{number:08}.seg"


def sealed_path(directory: Path, number: int) -> Path:
    """Return where the sealed form of that segment lies."""
    return directory / f"{number:08}.seg.zst"


def segment_numbers(directory: Path, disk: Disk) -> list[int]:
    """Return the numbers of the segments that are there, in either form, ascending."""
    return sorted({int(match[1]) for name in disk.listdir(directory) if (match := _SEGMENT.fullmatch(name))})


def sealed_numbers(directory: Path, disk: Disk) -> list[int]:
    """Return the numbers of the segments that have a sealed form, ascending."""
    return sorted(int(match[1]) for name in disk.listdir(directory) if (match := _SEGMENT.fullmatch(name)) and match[2])


class SealedFile:
    """A sealed segment's own bytes, as a file that can only be read."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self._data = data

    def read(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        return self._data[offset : offset + size]

    def size(self) -> int:
        """Return the segment's length."""
        return len(self._data)

    def close(self) -> None:
        """Let go of the bytes."""
        self._data = b""


MARK_NAME = "durable"
_MARK = struct.Struct("<QQI")
_SLOTS = (0, 64)
_MARK_BYTES = 128


class Mark:
    """How far a lane is durable, readable by any process while one writes it.

    Two slots, written in turn, each with its checksum: a write cut short at any byte, or read half done,
    leaves the other slot. It is not synced itself: after a power cut it may lie behind the log, never ahead.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self._slot = 0

    @classmethod
    def open(cls, directory: Path, disk: Disk) -> Mark:
        """Open a lane's mark for writing; make it if it is missing or unreadable."""
        path = directory / MARK_NAME
        if read_mark(directory, disk) is None:
            write_atomically(path, _slot_bytes(START).ljust(_MARK_BYTES, b"\0"), disk=disk)
        mark = cls(disk.open(path, "update"))
        first = _parse_slot(mark._file.read(_MARK.size, _SLOTS[0]))
        # The first write must leave the newest slot alone.
        mark._slot = 1 if first is not None and first == read_mark(directory, disk) else 0
        return mark

    def write(self, position: Position) -> None:
        """Publish a position; the caller has synced everything before it."""
        self._file.write(_slot_bytes(position), _SLOTS[self._slot])
        self._slot ^= 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _slot_bytes(position: Position) -> bytes:
    value = struct.pack("<QQ", *position)
    return value + struct.pack("<I", google_crc32c.value(value))


def _parse_slot(data: bytes) -> Position | None:
    if len(data) < _MARK.size:
        return None
    segment, offset, crc = _MARK.unpack_from(data)
    return Position(segment, offset) if crc == google_crc32c.value(data[:16]) else None


class MarkReader:
    """Follow a lane's mark; see `Mark`."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        self._directory, self._disk = directory, disk
        self._file: File | None = None

    def read(self) -> Position | None:
        """Return the newest position, None if there is no readable mark."""
        if self._file is None:
            try:
                self._file = self._disk.open(self._directory / MARK_NAME, "read")
            except MissingFile:
                return None
        data = self._file.read(_MARK_BYTES, 0)
        slots = [position for at in _SLOTS if (position := _parse_slot(data[at : at + _MARK.size])) is not None]
        if not slots:
            self.close()  # it may have been replaced; look again next time
            return None
        return max(slots)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def read_mark(directory: Path, disk: Disk) -> Position | None:
    """Return a lane's mark, None if there is no readable one."""
    reader = MarkReader(directory, disk)
    try:
        return reader.read()
    finally:
        reader.close()


STEP_BYTES = 256 << 10
"""How much is zeroed at a time."""
BACKGROUND_STEP_BYTES = 1 << 20
"""The same from a thread of its own, which waits for the disk only once a segment is zeroed."""
AHEAD_BYTES = 4 << 20
"""How far ahead of the records space is zeroed, across the segment's end if need be."""
FIRST_BYTES = 4 << 20
"""The size of a writer's first segment where another thread zeroes the next: this one is zeroed at its beginning."""


class SegmentFiles:
    """The segment being written, and zeroed space ahead of it.

    Writing into blocks that exist and are initialised spares fdatasync a journal commit: its median halves, its 99th
    percentile falls to a fifth. The space is zeroed in steps, after the records of a commit are safe, so that neither
    a new lane nor a small one pays for a whole segment.

    A step takes as long as five commits, and what arrives meanwhile waits for it. With `background` the next segment is
    zeroed by `zero_ahead`, from another thread, and the first one is small.

    Attributes
    ----------
    limit : the size of the current segment.
    """

    def __init__(
        self,
        directory: Path,
        disk: Disk,
        segment_bytes: int,
        reserve: Reserve | None = None,
        on_full: Callable[[], None] = lambda: None,
        *,
        background: bool = False,
    ) -> None:
        self._directory, self._disk, self._segment_bytes = directory, disk, segment_bytes
        self._reserve, self._on_full, self._background = reserve, on_full, background
        self._ahead = min(AHEAD_BYTES, segment_bytes)
        self._file: File | None = None
        self._spare: File | None = None
        self._spare_zeroed = 0
        self._zeroed = 0
        self._no_space = self._spent = self._hurried = False
        # Held while a segment is begun and while the next one is zeroed; never by a commit that does neither.
        self._beginning = threading.Lock()
        self.limit = min(FIRST_BYTES, segment_bytes) if background else segment_bytes
        self.number = 0
        self.offset = 0

    def begin(self, header: Header) -> None:
        """Close the current segment, whose records are synced, and begin the next with its header."""
        with self._beginning:
            first = self._file is None
            self.finish()
            if self._spare is None:
                path = segment_path(self._directory, header.number)
                size = self.limit if self._background and first else STEP_BYTES
                self._keep_spare(self._with_reserve(lambda: self._disk.open(path, "create")), size)
            assert self._spare is not None
            self._file, self._zeroed, self._spare = self._spare, self._spare_zeroed, None
            self.limit = self.limit if first else self._segment_bytes
            self.number, self.offset = header.number, 0
            self._no_space = False
        self.write(header.block)

    def write(self, data: bytes) -> None:
        """Write at the end of the current segment; durable after `sync`."""
        file = self._file
        assert file is not None
        self._with_reserve(lambda: file.write(data, self.offset))
        self.offset += len(data)
        self._zeroed = max(self._zeroed, self.offset)

    def sync(self) -> None:
        """Make the current segment durable."""
        if self._file is not None:
            self._file.sync()

    def prepare(self, committed: int) -> None:
        """Zero one step of the space ahead, if there is not enough of it.

        After a commit of more than a step nothing is done: such commits pay for their own blocks.
        A full disk is no failure here: the records are safe, and a later commit will fail by itself.
        """
        self._hurried = committed > STEP_BYTES
        if self._file is None or self._no_space or self._spent or self._hurried:
            return
        room = self.limit - self._zeroed
        if room > 0:
            if self._zeroed - self.offset < self._ahead:
                self._zeroed = self._zero(self._file, self._zeroed, min(STEP_BYTES, room))
        elif self._background:
            return
        elif self._spare is None:
            self._make_spare()
        elif self._spare_zeroed < self._ahead - max(self.limit - self.offset, 0):
            self._spare_zeroed = self._zero(self._spare, self._spare_zeroed, STEP_BYTES)

    def zero_ahead(self) -> bool:
        """Zero one step of the next segment if it is due; return whether another one is. From any one thread.

        It is due while less of the next segment is zeroed than of the current one is used: zeroing is ahead by half a
        segment, so that a slow disk need not keep up at every moment.
        """
        with self._beginning:
            if not self._background or self._file is None or self._no_space or self._spent or self._hurried:
                return False
            used = (2 * self.offset - self.limit // 4) / self.limit
            due = min(self._segment_bytes, int(used * self._segment_bytes))
            if due <= 0 or (self._spare is not None and self._spare_zeroed >= due):
                return False
            if self._spare is None:
                self._make_spare()
            else:
                size = min(BACKGROUND_STEP_BYTES, self._segment_bytes - self._spare_zeroed)
                last = self._spare_zeroed + size == self._segment_bytes
                self._spare_zeroed = self._zero(self._spare, self._spare_zeroed, size, wait=last)
            return self._spare_zeroed < due

    def _make_spare(self) -> None:
        try:
            file = self._disk.open(segment_path(self._directory, self.number + 1), "create")
        except StorageError:
            self._no_space = True
        else:
            self._keep_spare(file, STEP_BYTES)

    def finish(self) -> None:
        """Cut the space after the current segment's records and close it."""
        if self._file is not None:
            if self._zeroed > self.offset:
                self._file.truncate(self.offset)
            self._file.close()
            self._file = None

    def close(self, *, orderly: bool) -> None:
        """Close everything; in order, also give the unused space back."""
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.close()
        if orderly:
            self.finish()
            if spare is not None:
                self._disk.unlink(spare.path)
            self._disk.sync_directory(self._directory)
            if self._reserve is not None:
                self._reserve.give_up()
        elif self._file is not None:
            self._file.close()
            self._file = None

    def _with_reserve(self, act: Callable[[], Result]) -> Result:
        """Do something that takes space; where there is none, give up the reserve and do it again."""
        try:
            return act()
        except DiskFull:
            if self._reserve is None or not self._reserve.give_up():
                raise
        self._spent = True
        self._on_full()
        return act()

    def _keep_spare(self, file: File, size: int) -> None:
        self._spare = file
        self._spare_zeroed = 0 if self._spent else self._zero(file, 0, min(size, self._segment_bytes), wait=False)
        file.sync()
        self._disk.sync_directory(self._directory)

    def _zero(self, file: File, offset: int, size: int, *, wait: bool = True) -> int:
        """Zero a stretch of a file; return up to where the file is zeroed.

        Parameters
        ----------
        wait : whether until it is durable: each such step holds up the commits beside it.
        """
        try:
            file.write(bytes(size), offset)
        except StorageError:
            self._no_space = True
            return offset
        if wait:
            file.sync()
        else:
            file.hurry(offset, size)
        return offset + size

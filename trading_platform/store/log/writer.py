"""The log: lanes of raw frames, written by one process each, durable before anyone acts on them.

`LaneWriter` appends and commits; `LaneReader` (reader.py) follows it from any process. The bytes are
segment_format.py, files and the durable mark segment_files.py, the unclean stop recovery.py.
Choosing when to commit is ingest/; compressing and indexing closed segments is sealing.py, deleting old ones
store/retention.py. All reading of a segment goes through LaneReader, all writing of an open one through SegmentFiles.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from trading_platform.domain.errors import StorageError
from trading_platform.domain.position import START, Position
from trading_platform.store.fs.disk import REAL_DISK, Disk, make_directory
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.log.reader import LaneReader, durable_position
from trading_platform.store.log.recovery import Recovered, recover_segments
from trading_platform.store.log.reserve import Reserve
from trading_platform.store.log.segment_files import (
    Mark,
    SegmentFiles,
    all_lanes,
    check_lane,
    segment_numbers,
    segment_path,
)
from trading_platform.store.log.segment_format import (
    RECORD_BYTES_MAX,
    RECORDS_AT,
    Damaged,
    Header,
    Kind,
    PackedRecord,
    Record,
    encode_packed,
    encode_record,
    packed_size,
    record_size,
)

__all__ = [
    "RECORD_BYTES_MAX",
    "Damaged",
    "Kind",
    "LaneReader",
    "LaneWriter",
    "PackedRecord",
    "Record",
    "Recovered",
    "all_lanes",
    "check_lane",
    "durable_position",
    "recover_lane",
    "segment_path",
]

SEGMENT_BYTES = 16 << 20
LOCK_NAME = "lock"


def recover_lane(directory: Path, *, disk: Disk = REAL_DISK, wait_s: float = 0.0) -> Recovered:
    """Make durable, and so readable, everything that a dead writer left in its lane.

    `LaneWriter.open` does this itself; this is for programs that only read.

    Raises
    ------
    LockHeld : if the lane's writer lives.
    """
    with _lock(directory, wait_s):
        mark = Mark.open(directory, disk)
        try:
            return recover_segments(directory, mark, disk)
        finally:
            mark.close()


def _lock(directory: Path, wait_s: float) -> FileLock:
    return FileLock.acquire(directory / LOCK_NAME, f"lane {directory.name}", wait_s=wait_s)


class LaneWriter:
    """The one writer of a lane; see `open`.

    One thread appends, the same or another one commits: a blocked disk need not stop receiving.
    After any failure to write or sync, every call raises. Nothing is tried again, because the kernel may have dropped
    what it could not write and report the next sync as a success. Open the lane again; what was not committed must be
    fetched again.

    Attributes
    ----------
    recovered : what opening found.
    durable : everything before it is durable.
    """

    def __init__(  # noqa: PLR0913  clock, disk and limits are handed in by name
        self,
        directory: Path,
        lock: FileLock,
        mark: Mark,
        recovered: Recovered,
        files: SegmentFiles,
        first_number: int,
        *,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
        segment_bytes: int,
    ) -> None:
        self.directory, self.recovered, self.durable = directory, recovered, recovered.end
        self._lock, self._mark, self._files = lock, mark, files
        self._clock, self._entropy = clock, entropy
        self._segment_bytes, self._limit = segment_bytes, files.limit
        # What the appending thread knows: where the next record goes.
        self._next_number = first_number
        self._number, self._offset, self._seed = -1, 0, 0
        # Handed to the committing thread: records, and the header where a segment begins.
        self._queue: deque[bytes | Header] = deque()
        self._appended_bytes = self._committed_bytes = 0
        self._committing = threading.Lock()
        self._failure: str | None = None
        self._closed = False

    @classmethod
    def open(  # noqa: PLR0913  clock, disk and limits are handed in by name
        cls,
        directory: Path,
        *,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
        disk: Disk = REAL_DISK,
        segment_bytes: int = SEGMENT_BYTES,
        wait_s: float = 0.0,
        reserve_bytes: int = 0,
        on_full: Callable[[], None] = lambda: None,
        background: bool = False,
    ) -> LaneWriter:
        """Take the lane, making it if need be; recover it if its last writer died; go on in a new segment.

        Parameters
        ----------
        clock : wall time in ns; stamps segment headers.
        entropy : so many random bytes, as `os.urandom`.
        segment_bytes : a segment that a record would push beyond this is closed first.
        wait_s : how long to wait for another writer to end.
        reserve_bytes : space to keep back; while it lasts, commits succeed on a full disk.
        on_full : called by `commit` once the reserve had to be given up: close the writer soon.
        background : another thread makes the next segment, by `zero_ahead`; else commits do, now and then.

        Raises
        ------
        LockHeld : if another process writes this lane.
        DiskFull : if there is no space for the reserve; what the last writer left is durable all the same.
        StorageError : if the disk refuses.
        """
        check_lane(directory.name)
        if segment_bytes <= RECORDS_AT:
            raise ValueError(f"a segment of {segment_bytes} bytes holds no record")
        make_directory(directory, disk=disk)
        lock = _lock(directory, wait_s)
        try:
            mark = Mark.open(directory, disk)
            try:
                recovered = recover_segments(directory, mark, disk)
                reserve = Reserve(directory, reserve_bytes, disk) if reserve_bytes else None
                if reserve is not None:
                    reserve.take()
                # Never written to again: what was recovered stays as it was found.
                first = recovered.end.segment + 1 if segment_numbers(directory, disk) or recovered.end > START else 0
            except BaseException:
                mark.close()
                raise
        except BaseException:
            lock.release()
            raise
        files = SegmentFiles(directory, disk, segment_bytes, reserve, on_full, background=background)
        return cls(
            directory, lock, mark, recovered, files, first, clock=clock, entropy=entropy, segment_bytes=segment_bytes
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def pending_bytes(self) -> int:
        """How many bytes are appended but not durable."""
        return self._appended_bytes - self._committed_bytes

    def append(
        self, kind: Kind, frames: Sequence[bytes], *, ts_recv: int, mono_ns: int, connection: int = 0
    ) -> Position:
        """Add one record in memory; durable after `commit`. Returns the position after it.

        Raises
        ------
        ValueError : if the frames make a record of more than RECORD_BYTES_MAX; split them.
        StorageError : if the writer has failed or is closed.
        """
        lengths = list(map(len, frames))
        size = record_size(lengths)
        durable_to = self._make_room(size)
        return self._enqueue(
            encode_record(
                frames,
                lengths,
                kind,
                seed=self._seed,
                offset=self._offset,
                durable_to=durable_to,
                ts_recv=ts_recv,
                mono_ns=mono_ns,
                connection=connection,
            )
        )

    def append_packed(
        self, kind: Kind, count: int, parts: Sequence[bytes], *, ts_recv: int, mono_ns: int, connection: int = 0
    ) -> Position:
        """Add one record of `count` frames without an object for each; else as `append`.

        Parameters
        ----------
        parts : the frames' lengths, u32 little-endian, and then the frames back to back; cut anywhere.
        """
        size = packed_size(parts)
        durable_to = self._make_room(size)
        return self._enqueue(
            encode_packed(
                parts,
                count,
                kind,
                seed=self._seed,
                offset=self._offset,
                durable_to=durable_to,
                ts_recv=ts_recv,
                mono_ns=mono_ns,
                connection=connection,
            )
        )

    def _make_room(self, size: int) -> int:
        """Begin a segment if the record needs one; return up to where the record's segment is durable."""
        if self._failure is not None:
            raise StorageError(self._failure)
        if size > RECORD_BYTES_MAX:
            raise ValueError(f"a record of {size} bytes; at most {RECORD_BYTES_MAX}")
        if not self._offset or (self._offset + size > self._limit and self._offset > RECORDS_AT):
            self._begin_segment()
        durable = self.durable
        return durable[1] if durable[0] == self._number else 0

    def _enqueue(self, record: bytes) -> Position:
        self._queue.append(record)
        self._offset += len(record)
        self._appended_bytes += len(record)
        return Position(self._number, self._offset)

    def _begin_segment(self) -> None:
        previous_end = self._offset or self.recovered.end.offset
        header = Header(self._next_number, self._entropy(8), previous_end, self._clock())
        if self._offset:
            self._limit = self._segment_bytes
        self._number, self._offset, self._seed = header.number, RECORDS_AT, header.seed
        self._next_number += 1
        self._queue.append(header)

    def commit(self) -> Position:
        """Make everything appended so far durable: one write and one fdatasync. Returns `durable`.

        Raises
        ------
        StorageError : if the disk refuses, now or earlier; see the class.
        """
        with self._committing:
            if self._failure is not None:
                raise StorageError(self._failure)
            try:
                return self._commit()
            except BaseException as error:
                self._failure = f"lane {self.directory.name} takes no more records: {error}"
                raise

    def zero_ahead(self) -> bool:
        """Do some of what spares later commits time; return whether there is more to do. From any one thread.

        Raises
        ------
        StorageError : if the disk refuses; as after a commit that failed, every call raises from then on.
        """
        if self._failure is not None:
            return False
        try:
            return self._files.zero_ahead()
        except BaseException as error:
            self._failure = f"lane {self.directory.name} takes no more records: {error}"
            raise

    def _commit(self) -> Position:
        queue, files = self._queue, self._files
        batch: list[bytes] = []
        committed = 0
        for _ in range(len(queue)):
            item = queue.popleft()
            if isinstance(item, bytes):
                batch.append(item)
                continue
            committed += self._flush(batch)
            files.begin(item)
        committed += self._flush(batch)
        if committed:
            self.durable = Position(files.number, files.offset)
            self._mark.write(self.durable)
            self._committed_bytes += committed
            files.prepare(committed)
        return self.durable

    def _flush(self, batch: list[bytes]) -> int:
        if not batch:
            return 0
        data = b"".join(batch)
        batch.clear()
        self._files.write(data)
        self._files.sync()
        return len(data)

    def close(self) -> None:
        """Commit what is appended, give unused space back and free the lane; a second call does nothing.

        A writer that has failed only frees the lane.

        Raises
        ------
        StorageError : if that last commit fails; the lane is free all the same.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._failure is None:
                self.commit()
        finally:
            orderly = self._failure is None
            self._failure = self._failure or f"lane {self.directory.name} is closed"
            try:
                self._files.close(orderly=orderly)
                self._mark.close()
            finally:
                self._lock.release()

"""Read a lane up to its durable position, in any process, while another one writes it.

Writing is writer.py; what a record is, segment_format.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.position import START, Position
from trading_platform.store.fs.disk import REAL_DISK, Disk, File, MissingFile
from trading_platform.store.log.open_segment import open_segment, read_header
from trading_platform.store.log.recovery import proven_position
from trading_platform.store.log.segment_files import (
    MarkReader,
    SealedFile,
    read_mark,
    segment_numbers,
)
from trading_platform.store.log.segment_format import (
    RECORDS_AT,
    Damaged,
    Header,
    PackedRecord,
    Record,
    decode_packed,
    find_record,
    parse_header,
    runs,
)


def durable_position(directory: Path, *, disk: Disk = REAL_DISK) -> Position:
    """Return how far a lane is known durable; START if there is no such lane.

    Safe while another process writes it. Where the mark is unreadable, the records' own proof counts.
    """
    marked = read_mark(directory, disk)
    return proven_position(directory, disk) if marked is None else marked


class LaneReader:
    """Hands out the durable records of a lane, in order, from a position on.

    Parameters
    ----------
    directory : the lane.
    start : a position that a record or a writer gave, or START.
    last_segment : where to stop; the records behind it are another reader's.
    on_damage : told of each durable stretch that fails its checks, after every record before it was handed out
        and before any after it; reading then goes on behind it. Without it, `read` raises there.

    Attributes
    ----------
    position : where the next `read` goes on; keep it to resume.

    Examples
    --------
    >>> import os, tempfile, time
    >>> from trading_platform.store.log.writer import Kind, LaneWriter
    >>> lane = Path(tempfile.mkdtemp()) / "live-binance"
    >>> with LaneWriter.open(lane, clock=time.time_ns, entropy=os.urandom) as writer:
    ...     end = writer.append(Kind.FRAMES, [b"one", b"two"], ts_recv=1, mono_ns=1)
    ...     unseen = LaneReader(lane).read()
    ...     durable = writer.commit()
    >>> reader = LaneReader(lane)
    >>> unseen, [record.frames for record in reader.read()], reader.position == end == durable
    ([], [(b'one', b'two')], True)
    """

    def __init__(
        self,
        directory: Path,
        *,
        start: Position = START,
        last_segment: int | None = None,
        disk: Disk = REAL_DISK,
        on_damage: Callable[[Damaged], object] | None = None,
    ) -> None:
        self.position = Position(*start)
        self._last_segment = last_segment
        self._directory, self._disk, self._on_damage = directory, disk, on_damage
        self._mark = MarkReader(directory, disk)
        self._file: File | SealedFile | None = None
        self._header: Header | None = None
        self._number = -1
        self._missing = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; a later `read` opens them again."""
        self._mark.close()
        self._close_segment()

    def durable(self) -> Position:
        """Return how far the lane is known durable now."""
        marked = self._mark.read()
        return proven_position(self._directory, self._disk) if marked is None else marked

    def read(self, limit_bytes: int = 8 << 20) -> list[Record]:
        """Return the next durable records, about `limit_bytes` of them at most but at least one; [] if none now.

        Raises
        ------
        CorruptionError : at damage, if there is no `on_damage`; `position` stays before it.
        """
        return [record.record() for record in self.read_packed(limit_bytes)]

    def read_packed(self, limit_bytes: int = 8 << 20) -> list[PackedRecord]:
        """Return what `read` does, the frames of each record in one piece, without an object for each."""
        durable = self.durable()
        records: list[PackedRecord] = []
        if self.position == START < durable:
            self.position = self._oldest(durable)
        while self.position < durable and not records:
            limit = self._segment_limit(durable)
            if limit is None:
                self._damage(Position(self.position.segment + 1, 0), self._missing)
            elif max(self.position.offset, RECORDS_AT) < limit:
                self._read_segment(limit, limit_bytes, records)
            elif self.position.segment == self._last_segment:
                break
            elif self.position.segment < durable.segment:
                self.position = Position(self.position.segment + 1, 0)
            else:
                break
        return records

    def _oldest(self, durable: Position) -> Position:
        """Return where the oldest segment begins: those before it may have been retired."""
        return Position(min(segment_numbers(self._directory, self._disk), default=durable.segment), 0)

    def _segment_limit(self, durable: Position) -> int | None:
        """Return where the durable records of the current segment end, None if nothing is left to tell.

        That is the mark, or what the next segment's header says; if that header is lost, what the file holds.
        A sealed segment holds its records and nothing else.
        """
        number = self.position.segment
        if number == durable.segment:
            return durable.offset
        if isinstance(sealed := self._open(number), SealedFile):
            return sealed.size()
        following = read_header(self._directory, number + 1, self._disk)
        if following is not None:
            return following.previous_end
        file = self._open(number)
        if file is None:
            return None
        data = file.read(file.size(), 0)
        whole = [] if self._header is None else [record.end for record in runs(data, self._header.seed)]
        return max([len(data.rstrip(b"\0")), *whole[-1:]])

    def _read_segment(self, limit: int, limit_bytes: int, records: list[PackedRecord]) -> None:
        """Append records below `limit` to `records`, or step over damage."""
        number = self.position.segment
        file = self._open(number)
        if file is None or self._header is None:
            reason = self._missing if file is None else "the segment's header is damaged"
            self._damage(Position(number, limit), reason)
            self._close_segment()
            return
        offset = max(self.position.offset, RECORDS_AT)
        self.position = Position(number, offset)
        wanted = max(limit_bytes, 1)
        while True:
            size = min(wanted, limit - offset)
            data = file.read(size, offset)
            end, following = decode_packed(data, offset, self._header, records, self.position)
            if records:
                self.position = end
                return
            if isinstance(following, int) and offset + following > limit:
                following = "a record goes on beyond the durable end"
            elif isinstance(following, int) and len(data) < size:
                following = "the file ends early"
            if isinstance(following, str):
                break
            wanted = following
        self._damage(self._resume_at(file, self._header, offset, limit), following)

    def _resume_at(self, file: File | SealedFile, header: Header, offset: int, limit: int) -> Position:
        data = file.read(limit - offset, offset)
        found = find_record(data, 1, offset, header.seed)
        return Position(header.number, limit if found is None else found.start)

    def _damage(self, end: Position, reason: str) -> None:
        damaged = Damaged(self.position, end, reason)
        if self._on_damage is None:
            raise CorruptionError(
                f"lane {self._directory.name}, segment {end.segment}, offset {self.position.offset}: {reason};"
                f" the next good record can begin at {end.offset}"
            )
        self._on_damage(damaged)
        self.position = end

    def _open(self, number: int) -> File | SealedFile | None:
        """Return the segment's file, None if there is none to serve, why in `_missing`; its header in `_header`."""
        if self._number != number or self._file is None:
            self._close_segment()
            try:
                self._file = open_segment(self._directory, number, self._disk)
            except MissingFile:
                self._missing = "the segment is missing"
                return None
            except CorruptionError as error:
                self._missing = str(error)
                return None
            self._number = number
            self._header = parse_header(self._file.read(RECORDS_AT, 0), number)
        return self._file

    def _close_segment(self) -> None:
        file, self._file, self._header, self._number = self._file, None, None, -1
        if file is not None:
            file.close()

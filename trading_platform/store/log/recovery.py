"""Recover a lane after an unclean stop: find where its records end, and make that end durable.

Below what is proven durable (by the mark, the `durable_to` of later records, the next segment's header) a bad record is
corruption: it is reported, kept and passed over. Above it the first bad record is a torn tail: the lane is cut there.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.position import START, Position
from trading_platform.store.fs.disk import Disk
from trading_platform.store.log.open_segment import open_segment
from trading_platform.store.log.segment_files import (
    Mark,
    SealedFile,
    read_mark,
    sealed_path,
    segment_numbers,
    segment_path,
)
from trading_platform.store.log.segment_format import RECORDS_AT, Damaged, parse_header, runs


class Recovered(NamedTuple):
    """What opening a lane found.

    Attributes
    ----------
    end : where its records end; durable now.
    unproven_bytes : records that had survived without proof of being durable; synced again, they count.
    cut_bytes : bytes after `end` that were a torn tail; gone.
    damaged : durable stretches that cannot be served.
    """

    end: Position
    unproven_bytes: int = 0
    cut_bytes: int = 0
    damaged: tuple[Damaged, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether the lane had been left in order."""
        return not (self.unproven_bytes or self.cut_bytes or self.damaged)


class Tail(NamedTuple):
    """The last segment's bytes, judged; offsets of that segment."""

    proven: int
    end: int
    damaged: tuple[tuple[int, int], ...]


def judge_tail(data: bytes, seed: int, marked: int) -> Tail:
    """Find the end of a segment's records.

    Parameters
    ----------
    marked : up to where the mark calls this segment durable, 0 if it does not.
    """
    found = list(runs(data, seed))
    proven = max([marked, RECORDS_AT, *(record.durable_to for record in found)])
    damaged: list[tuple[int, int]] = []
    end = RECORDS_AT
    for record in found:
        if record.start > end:
            if end >= proven:
                break
            damaged.append((end, min(record.start, proven)))
            if record.start > proven:
                return Tail(proven, proven, tuple(damaged))
        end = record.end
    if end < proven:
        damaged.append((end, proven))
        end = proven
    return Tail(proven, end, tuple(damaged))


def recover_segments(directory: Path, mark: Mark, disk: Disk) -> Recovered:
    """Bring a lane without a writer to a durable end; the caller holds its lock.

    Leaves no segment without records behind the end, and moves the mark to it. Running it again, or dying in
    the middle and running it again, gives the same end.
    """
    marked = read_mark(directory, disk) or START
    cut = 0
    numbers = segment_numbers(directory, disk)
    while numbers and marked <= Position(numbers[-1], 0) and not _has_header(directory, numbers[-1], disk):
        cut += _set_aside(directory, numbers.pop(), disk)
    disk.sync_directory(directory)
    last = numbers[-1] if numbers else -1
    if last < marked.segment and marked > START:
        found = Recovered(marked, 0, cut, (Damaged(Position(last + 1, 0), marked, "the segment is missing"),))
    elif last < 0:
        found = Recovered(START, 0, cut)
    elif not disk.exists(segment_path(directory, last)) and disk.exists(sealed_path(directory, last)):
        # Only if newer segments were lost: a sealed one is never the newest.
        found = Recovered(max(marked, Position(last, _size(directory, last, disk))), 0, cut)
    else:
        found = _recover_segment(directory, last, marked.offset if marked.segment == last else 0, cut, disk)
    if found.end != marked:
        mark.write(found.end)
    return found


def _recover_segment(directory: Path, number: int, marked: int, cut: int, disk: Disk) -> Recovered:
    file = disk.open(segment_path(directory, number), "update")
    try:
        data = file.read(file.size(), 0)
        header = parse_header(data[:RECORDS_AT], number)
        if header is None:
            lost = Damaged(Position(number, 0), Position(number, marked), "the segment's header is damaged")
            return Recovered(lost.end, 0, cut, (lost,))
        proven, end, damaged = judge_tail(data, header.seed, marked)
        if end > marked:
            # Written again, not only synced: a sync that failed may have left pages the kernel calls clean.
            start = proven if proven > RECORDS_AT else 0
            file.write(data[start:end], start)
            file.sync()
        torn = len(data[end:].rstrip(b"\0"))
        if len(data) > end:
            file.truncate(end)
            file.sync()
    finally:
        file.close()
    facts = tuple(Damaged(Position(number, a), Position(number, b), "a durable record is damaged") for a, b in damaged)
    return Recovered(Position(number, end), end - proven, cut + torn, facts)


def proven_position(directory: Path, disk: Disk) -> Position:
    """Return how far a lane is proven durable by its own records, for one whose mark is unreadable."""
    for number in reversed(segment_numbers(directory, disk)):
        try:
            file = open_segment(directory, number, disk)
        except CorruptionError:
            continue
        try:
            data = file.read(file.size(), 0)
        finally:
            file.close()
        if isinstance(file, SealedFile):
            return Position(number, len(data))
        header = parse_header(data[:RECORDS_AT], number)
        if header is not None:
            return Position(number, judge_tail(data, header.seed, 0).proven)
    return START


def _size(directory: Path, number: int, disk: Disk) -> int:
    """Return how long a sealed segment is; where it is damaged, at least what any segment holds."""
    try:
        file = open_segment(directory, number, disk)
    except CorruptionError:
        return RECORDS_AT
    try:
        return file.size()
    finally:
        file.close()


def _has_header(directory: Path, number: int, disk: Disk) -> bool:
    try:
        file = open_segment(directory, number, disk)
    except CorruptionError:
        return True  # sealed, so it had one
    try:
        return parse_header(file.read(RECORDS_AT, 0), number) is not None
    finally:
        file.close()


def _set_aside(directory: Path, number: int, disk: Disk) -> int:
    """Take away a segment in which nothing was ever durable; bytes other than zeros are kept beside the lane."""
    path = segment_path(directory, number)
    file = disk.open(path, "read")
    try:
        content = len(file.read(file.size(), 0).rstrip(b"\0"))
    finally:
        file.close()
    if content:
        disk.rename(path, path.with_suffix(".torn"))
    else:
        disk.unlink(path)
    return content

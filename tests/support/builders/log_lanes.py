"""Small lanes for tests: a clock that counts, entropy that is seeded, records that name themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from random import Random

from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.log.writer import Damaged, Kind, LaneReader, LaneWriter, Record


def clock() -> Callable[[], int]:
    """Return a clock that ticks one nanosecond a call."""
    ticks = count(1_723_100_000_000_000_000)
    return lambda: next(ticks)


def open_lane(
    directory: Path, *, disk: Disk = REAL_DISK, segment_bytes: int = 16 << 20, seed: int = 0, background: bool = False
) -> LaneWriter:
    """Open a lane's writer, reproducibly."""
    return LaneWriter.open(
        directory,
        clock=clock(),
        entropy=Random(seed).randbytes,
        disk=disk,
        segment_bytes=segment_bytes,
        background=background,
    )


def frames_of(number: int) -> tuple[bytes, ...]:
    """Return the frames of the record of that number: no two alike, some of them empty, some ending in zeros."""
    return (f"record {number}".encode(), b"x" * (number * 7 % 40), b"\0" * (number % 3))[: number % 3 + 1]


def append_numbered(writer: LaneWriter, numbers: Iterable[int]) -> None:
    """Append a record for each number."""
    for number in numbers:
        kind = list(Kind)[number % 3]
        writer.append(kind, frames_of(number), ts_recv=number, mono_ns=-number, connection=number % 5)


def number_of(record: Record) -> int:
    """Return a record's number, having checked that all of it is as it was appended."""
    number = record.ts_recv
    assert record.frames == frames_of(number)
    assert (record.kind, record.mono_ns, record.connection) == (list(Kind)[number % 3], -number, number % 5)
    return number


def read_all(
    directory: Path,
    *,
    disk: Disk = REAL_DISK,
    limit_bytes: int = 8 << 20,
    on_damage: Callable[[Damaged], object] | None = None,
) -> list[Record]:
    """Return every durable record of a lane."""
    with LaneReader(directory, disk=disk, on_damage=on_damage) as reader:
        return [record for records in iter(lambda: reader.read(limit_bytes), []) for record in records]


def read_numbers(directory: Path, *, disk: Disk = REAL_DISK) -> list[int]:
    """Return the numbers of every durable record of a lane."""
    return [number_of(record) for record in read_all(directory, disk=disk)]

"""The lane's writer: durable means durable, one writer, poison after failure, a new segment after each opening."""

from __future__ import annotations

import struct
import threading
from pathlib import Path

import pytest

from tests.support.builders.log_lanes import append_numbered, open_lane, read_all, read_numbers
from tests.support.faults.lossy_disk import MemoryDisk
from trading_platform.domain.errors import LockHeld, StorageError, UsageError
from trading_platform.domain.position import START, Position
from trading_platform.store.log.writer import (
    RECORD_BYTES_MAX,
    Kind,
    LaneReader,
    LaneWriter,
    durable_position,
    recover_lane,
)


def test_what_is_appended_comes_back_after_its_commit(tmp_path: Path) -> None:
    """Nothing is served before its commit, everything in order after it, across many segments."""
    lane = tmp_path / "live-a"
    with open_lane(lane, segment_bytes=2000) as writer:
        for first in range(0, 100, 10):
            append_numbered(writer, range(first, first + 10))
            assert read_numbers(lane) == list(range(first))
            end = writer.commit()
            assert read_numbers(lane) == list(range(first + 10))
            assert end == writer.durable == durable_position(lane)
            assert writer.pending_bytes == 0
    assert len(list(lane.glob("*.seg"))) > 5


def test_append_returns_the_position_behind_its_record(tmp_path: Path) -> None:
    """The writer's positions are those that the reader sees as record ends."""
    lane = tmp_path / "live-a"
    with open_lane(lane, segment_bytes=1200) as writer:
        ends = [writer.append(Kind.PAGE, [bytes(n)], ts_recv=n, mono_ns=n) for n in range(0, 200, 9)]
    assert [record.end for record in read_all(lane)] == ends
    for at in range(len(ends)):
        with LaneReader(lane, start=ends[at]) as reader:
            rest = [record.end for records in iter(reader.read, []) for record in records]
            assert rest == ends[at + 1 :]
            assert reader.position == ends[-1]


def test_one_commit_is_one_write_and_one_sync(tmp_path: Path) -> None:
    """However many records were appended, a commit within a segment asks the disk three things."""
    disk, lane = MemoryDisk(), tmp_path / "live-a"
    writer = open_lane(lane, disk=disk, segment_bytes=1 << 17)
    append_numbered(writer, [0])
    writer.commit()  # zeroes the next segment ahead
    disk.operations.clear()
    append_numbered(writer, range(1, 500))
    writer.commit()
    segment, mark = lane / "00000000.seg", lane / "durable"
    assert disk.operations == [("write", segment), ("sync", segment), ("write", mark)]
    writer.close()


def test_a_commit_of_nothing_asks_the_disk_nothing(tmp_path: Path) -> None:
    """Committing an idle lane is free, and opening one makes no segment."""
    disk, lane = MemoryDisk(), tmp_path / "live-a"
    writer = open_lane(lane, disk=disk)
    disk.operations.clear()
    assert writer.commit() == START
    assert disk.operations == []
    writer.close()
    assert not [name for name in disk.listdir(lane) if name.endswith(".seg")]


def test_a_record_larger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    """Size bounds where a segment ends, not what a record may hold, up to 16 MiB."""
    lane = tmp_path / "live-a"
    sizes = [10, 5000, RECORD_BYTES_MAX - 52, 10]
    with open_lane(lane, segment_bytes=4096) as writer:
        for size in sizes:
            writer.append(Kind.PAGE, [b"p" * size], ts_recv=1, mono_ns=1)
        with pytest.raises(ValueError, match="at most 16777216"):
            writer.append(Kind.PAGE, [b"p" * (RECORD_BYTES_MAX - 51)], ts_recv=1, mono_ns=1)
    assert [len(record.frames[0]) for record in read_all(lane, limit_bytes=100)] == sizes
    assert [record.position.segment for record in read_all(lane)] == [0, 1, 2, 3]


def test_a_record_without_frames_and_frames_without_bytes_are_kept(tmp_path: Path) -> None:
    """Empty is a value."""
    lane = tmp_path / "live-a"
    with open_lane(lane) as writer:
        writer.append(Kind.FRAMES, [], ts_recv=1, mono_ns=1)
        writer.append(Kind.FRAMES, [b""], ts_recv=1, mono_ns=1)
        writer.append(Kind.FRAMES, [b"", b"\0", b""], ts_recv=1, mono_ns=1)
    assert [record.frames for record in read_all(lane)] == [(), (b"",), (b"", b"\0", b"")]


def test_the_second_writer_is_refused(tmp_path: Path) -> None:
    """A lane has one writer; recovering it under a live one is refused too."""
    lane = tmp_path / "live-a"
    with open_lane(lane):
        for attempt in (open_lane, recover_lane):
            with pytest.raises(LockHeld, match="lane live-a is in use by process"):
                attempt(lane)
    open_lane(lane).close()


def test_a_folder_that_is_no_lane_is_refused_before_it_is_made(tmp_path: Path) -> None:
    """A name outside the allow-list makes no directory."""
    with pytest.raises(UsageError):
        open_lane(tmp_path / "Not a lane")
    assert list(tmp_path.iterdir()) == []


def test_each_opening_goes_on_in_a_new_segment(tmp_path: Path) -> None:
    """A segment is written by one opening only; openings that write nothing leave nothing."""
    lane = tmp_path / "live-a"
    for number in range(3):
        with open_lane(lane, seed=number) as writer:
            assert writer.recovered.clean
            assert writer.recovered.end == durable_position(lane)
            append_numbered(writer, [number])
        open_lane(lane).close()
    assert [record.position.segment for record in read_all(lane)] == [0, 1, 2]
    assert read_numbers(lane) == [0, 1, 2]


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_after_a_failure_nothing_is_tried_again(tmp_path: Path, operation: str) -> None:
    """A failed write or sync poisons the writer: every later call raises and asks the disk nothing."""

    def refuse(name: str, path: Path, number: int) -> Exception | None:
        return StorageError(f"{name} {path}: Input/output error") if name == operation and number >= broken[0] else None

    broken = [10**9]
    disk, lane = MemoryDisk(fail=refuse), tmp_path / "live-a"
    writer = open_lane(lane, disk=disk, segment_bytes=1 << 16)
    append_numbered(writer, [0])
    writer.commit()
    durable = writer.durable
    append_numbered(writer, [1])
    broken[0] = len(disk.operations)
    with pytest.raises(StorageError, match="Input/output error"):
        writer.commit()
    broken[0] = 10**9
    asked = len(disk.operations)
    for _ in range(3):
        with pytest.raises(StorageError, match=r"takes no more records: .*Input/output error"):
            writer.commit()
        with pytest.raises(StorageError, match="takes no more records"):
            append_numbered(writer, [2])
    writer.close()
    writer.close()
    assert len(disk.operations) == asked
    assert writer.durable == durable == durable_position(lane, disk=disk)
    again = open_lane(lane, disk=disk)
    append_numbered(again, [1])
    again.close()
    assert read_numbers(lane, disk=disk)[0] == 0


def test_records_that_a_failed_sync_left_are_written_again_before_they_count(tmp_path: Path) -> None:
    """The kernel may call pages clean that never reached the disk; recovery does not trust its word."""
    disk, lane = MemoryDisk(), tmp_path / "live-a"
    writer = open_lane(lane, disk=disk, segment_bytes=1 << 16)
    append_numbered(writer, [0])
    writer.commit()
    append_numbered(writer, [1])
    disk.fail = lambda name, path, number: StorageError("Input/output error") if name == "sync" else None
    with pytest.raises(StorageError):
        writer.commit()
    writer.close()
    disk.fail = lambda name, path, number: None
    disk.operations.clear()
    recovered = recover_lane(lane, disk=disk)
    segment = lane / "00000000.seg"
    assert disk.operations.index(("write", segment)) < disk.operations.index(("sync", segment))
    assert recovered.unproven_bytes > 0
    assert read_numbers(lane, disk=disk) == [0, 1]


def test_a_closed_writer_takes_nothing(tmp_path: Path) -> None:
    """Closing commits, frees the lane, and is done once."""
    lane = tmp_path / "live-a"
    writer = open_lane(lane)
    append_numbered(writer, [0])
    writer.close()
    writer.close()
    for call in (lambda: append_numbered(writer, [1]), writer.commit):
        with pytest.raises(StorageError, match="lane live-a is closed"):
            call()
    assert read_numbers(lane) == [0]


def test_a_bad_argument_spoils_nothing(tmp_path: Path) -> None:
    """A record that cannot be encoded is refused; those before and after it are kept."""
    lane = tmp_path / "live-a"
    with open_lane(lane) as writer:
        append_numbered(writer, [0])
        with pytest.raises(struct.error):
            writer.append(Kind.FRAMES, [b"x"], ts_recv=2**63, mono_ns=0)
        append_numbered(writer, [1])
    assert read_numbers(lane) == [0, 1]


def test_one_thread_appends_while_another_commits(tmp_path: Path) -> None:
    """Appending never waits for the disk, and no record is lost or moved between the two threads."""
    lane, total = tmp_path / "live-a", 20_000
    writer = open_lane(lane, segment_bytes=1 << 17)
    done = threading.Event()

    def commit_all() -> None:
        while not done.is_set():
            writer.commit()

    committer = threading.Thread(target=commit_all)
    committer.start()
    append_numbered(writer, range(total))
    done.set()
    committer.join()
    writer.close()
    assert read_numbers(lane) == list(range(total))


def test_a_first_commit_is_quick_on_a_real_disk(tmp_path: Path) -> None:
    """A fresh lane's first commit writes a quarter of a megabyte at most, not a whole segment."""
    disk, lane = MemoryDisk(), tmp_path / "live-a"
    writer = open_lane(lane, disk=disk)
    append_numbered(writer, [0])
    writer.commit()
    assert sum(len(node.live) for node in disk.names.values()) < 600_000
    writer.close()
    assert durable_position(lane, disk=disk) == Position(0, writer.durable.offset)


@pytest.mark.parametrize("frames", [[], [b""], [b"one"], [b"one", b"", b"three" * 100]])
def test_packed_frames_are_the_same_record(tmp_path: Path, frames: list[bytes]) -> None:
    """Frames appended in one piece, however it is cut, give the bytes that they give one by one, and read the same."""
    table = b"".join(struct.pack("<I", len(frame)) for frame in frames)
    pieces = [table, *frames], [table[:3], table[3:] + b"".join(frames)]
    lanes = [tmp_path / name for name in ("live-a", "live-b", "live-c")]
    for lane, parts in zip(lanes, (None, *pieces), strict=True):
        with LaneWriter.open(lane, clock=lambda: 7, entropy=bytes) as writer:
            if parts is None:
                writer.append(Kind.FRAMES, frames, ts_recv=1, mono_ns=2, connection=3)
            else:
                writer.append_packed(Kind.FRAMES, len(frames), parts, ts_recv=1, mono_ns=2, connection=3)
    assert len({(lane / "00000000.seg").read_bytes() for lane in lanes}) == 1
    with LaneReader(lanes[1]) as reader:
        (packed,) = reader.read_packed()
    assert packed.record().frames == tuple(frames)
    assert packed.body[packed.frames_at :] == b"".join(frames)

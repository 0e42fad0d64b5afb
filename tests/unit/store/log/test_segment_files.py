"""Names of lanes and segments, the durable mark, and space zeroed ahead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.builders.log_lanes import append_numbered, frames_of, open_lane, read_all
from tests.support.faults.lossy_disk import MemoryDisk
from trading_platform.domain.errors import StorageError, UsageError
from trading_platform.domain.position import Position
from trading_platform.store.fs.disk import REAL_DISK
from trading_platform.store.log.segment_files import FIRST_BYTES, STEP_BYTES, Mark, SegmentFiles, read_mark
from trading_platform.store.log.segment_format import Header
from trading_platform.store.log.writer import Kind, all_lanes, check_lane, durable_position

LANE = Path("/nowhere/live-test")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "A", "-a", "a\0b", "ä", "a" * 64, "a.b", "a\n"])
def test_what_is_no_lane_never_becomes_a_path(name: str) -> None:
    """Names outside the allow-list are refused."""
    with pytest.raises(UsageError):
        check_lane(name)


def test_lanes_are_the_folders_that_hold_one(tmp_path: Path) -> None:
    """Stray files and folders of the log are no lanes; a lane whose mark is lost still is one."""
    assert all_lanes(tmp_path / "log") == []
    for name in ("fetch-1", "fetch-0"):
        open_lane(tmp_path / name).close()
    writer = open_lane(tmp_path / "live-binance")
    append_numbered(writer, [1])
    writer.close()
    (tmp_path / "live-binance" / "durable").unlink()
    (tmp_path / "Not a lane").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"")
    assert all_lanes(tmp_path) == ["live-binance", "fetch-0", "fetch-1"]


def test_a_mark_shows_the_newest_position_across_openings() -> None:
    """Positions written in turn, over several openings, are each read back."""
    disk = MemoryDisk()
    assert read_mark(LANE, disk) is None
    for number in range(5):
        mark = Mark.open(LANE, disk)
        for offset in range(3):
            mark.write(Position(number, offset))
            assert read_mark(LANE, disk) == Position(number, offset)
        mark.close()


def test_a_mark_torn_at_any_byte_shows_the_position_before_or_the_new_one() -> None:
    """Whatever part of a write is seen, the reader gets the old position or the new one."""
    disk = MemoryDisk()
    mark = Mark.open(LANE, disk)
    for old, new in ((Position(1, 2000), Position(1, 3000)), (Position(1, 3000), Position(2, 1100))):
        mark.write(old)
        before = bytes(disk.names[LANE / "durable"].live)
        mark.write(new)
        after = bytes(disk.names[LANE / "durable"].live)
        for cut in range(len(before) + 1):
            torn = MemoryDisk()
            torn.names[LANE / "durable"] = type(disk.names[LANE / "durable"])(after[:cut] + before[cut:])
            assert read_mark(LANE, torn) in (old, new)


def test_an_unreadable_mark_is_replaced_and_the_records_speak(tmp_path: Path) -> None:
    """Without a mark the position that the records themselves prove counts; a writer makes a new mark."""
    lane = tmp_path / "live-a"
    writer = open_lane(lane)
    append_numbered(writer, [0])
    first = writer.commit()
    append_numbered(writer, [1])
    last = writer.commit()
    (lane / "durable").write_bytes(b"\xff" * 128)
    assert durable_position(lane) == first
    writer.close()
    assert open_lane(lane).recovered.end == last
    assert durable_position(lane) == last


def test_space_is_zeroed_ahead_and_given_back_in_order(tmp_path: Path) -> None:
    """While writing, the files are longer than their records; an orderly close cuts them to the byte."""
    lane = tmp_path / "live-a"
    writer = open_lane(lane, segment_bytes=STEP_BYTES)
    for number in range(3):
        append_numbered(writer, [number])
        writer.commit()
    sizes = [path.stat().st_size for path in sorted(lane.glob("*.seg"))]
    assert sizes == [STEP_BYTES, STEP_BYTES]
    writer.close()
    assert [path.stat().st_size for path in sorted(lane.glob("*.seg"))] == [writer.durable.offset]


def test_a_commit_after_the_first_writes_no_more_than_its_records_and_one_step() -> None:
    """Neither a fresh lane nor a small one pays for a whole segment."""
    disk = MemoryDisk()
    disk.directories.add(LANE)
    files = SegmentFiles(LANE, disk, 16 << 20)
    files.begin(Header(0, b"8 random", 0, 0))
    node = disk.names[LANE / "00000000.seg"]
    assert len(node.live) == STEP_BYTES
    for commits in range(1, 40):
        files.write(b"record")
        files.sync()
        files.prepare(6)
        assert len(node.live) <= min((commits + 1) * STEP_BYTES, (4 << 20) + STEP_BYTES)


def test_apart_the_next_segment_is_made_while_this_one_is_used() -> None:
    """The first segment is small and zeroed at once; from an eighth of it on the next one is zeroed, twice as fast."""
    disk = MemoryDisk()
    disk.directories.add(LANE)
    files = SegmentFiles(LANE, disk, 16 << 20, background=True)
    files.begin(Header(0, b"8 random", 0, 0))
    assert len(disk.names[LANE / "00000000.seg"].live) == files.limit == FIRST_BYTES
    spare = LANE / "00000001.seg"
    sizes = []
    for _ in range(8):
        files.write(bytes(FIRST_BYTES // 8 - 128))
        files.sync()
        files.prepare(1)
        while files.zero_ahead():
            pass
        sizes.append(len(disk.names[spare].live) >> 20 if spare in disk.names else 0)
    assert sizes == [0, 4, 8, 12, 16, 16, 16, 16]
    written = len(disk.operations)
    files.begin(Header(1, b"8 random", files.offset, 0))
    assert files.limit == 16 << 20
    files.prepare(1)
    assert [name for name, _ in disk.operations[written:] if name in {"create", "sync"}] == []


def test_zeroing_ahead_waits_for_the_disk_once_a_segment() -> None:
    """Each fdatasync beside a commit holds it up: one when the next segment is made, one when all of it is zeroed."""
    disk = MemoryDisk()
    disk.directories.add(LANE)
    files = SegmentFiles(LANE, disk, 8 << 20, background=True)
    files.begin(Header(0, b"8 random", 0, 0))
    files.write(bytes(files.limit - 256))
    written = len(disk.operations)
    while files.zero_ahead():
        pass
    spare = LANE / "00000001.seg"
    assert len(disk.names[spare].live) == len(disk.names[spare].durable) == 8 << 20
    assert [name for name, _ in disk.operations[written:]].count("sync") == 2


def test_a_next_segment_that_is_not_ready_is_taken_as_it_is() -> None:
    """Whoever zeroes ahead may be late by any amount: commits then make room as they would without it."""
    disk = MemoryDisk()
    disk.directories.add(LANE)
    files = SegmentFiles(LANE, disk, 1 << 20, background=True)
    files.begin(Header(0, b"8 random", 0, 0))
    files.write(bytes(1 << 19))
    assert files.zero_ahead()
    files.begin(Header(1, b"8 random", files.offset, 0))
    node = disk.names[LANE / "00000001.seg"]
    assert len(node.live) == STEP_BYTES
    files.prepare(1)
    assert len(node.live) == 2 * STEP_BYTES
    files.begin(Header(2, b"8 random", files.offset, 0))
    assert len(disk.names[LANE / "00000002.seg"].live) == STEP_BYTES


def test_a_full_disk_stops_zeroing_ahead_but_not_the_records_that_fit(tmp_path: Path) -> None:
    """A next segment that cannot be made ahead is no failure; the commit that needs it is."""

    def refuse(name: str, path: Path, number: int) -> Exception | None:
        return StorageError(f"{name} {path}: No space left on device") if name == "create" else None

    disk, lane = MemoryDisk(), tmp_path / "live-a"
    writer = open_lane(lane, disk=disk, segment_bytes=4096)
    append_numbered(writer, [0])
    writer.commit()
    disk.fail = refuse
    committed = 1
    while writer.append(Kind.FRAMES, frames_of(committed), ts_recv=committed, mono_ns=0).segment < 2:
        writer.commit()
        committed += 1
    assert committed > 60
    with pytest.raises(StorageError, match="No space left"):
        writer.commit()
    writer.close()
    assert [record.frames for record in read_all(lane, disk=disk)] == [frames_of(n) for n in range(committed)]
    assert disk.names.keys() == {lane / "00000000.seg", lane / "00000001.seg", lane / "durable"}


def test_the_lock_file_and_the_mark_are_not_taken_for_segments(tmp_path: Path) -> None:
    """Only names of eight digits or more and .seg are segments."""
    lane = tmp_path / "live-a"
    writer = open_lane(lane)
    writer.append(Kind.CONTROL, [b"x"], ts_recv=1, mono_ns=1)
    writer.close()
    (lane / "00000007.seg.tmp").write_bytes(b"")
    (lane / "x.seg").write_bytes(b"")
    assert open_lane(lane).recovered.clean
    assert REAL_DISK.listdir(lane) == ["00000000.seg", "00000007.seg.tmp", "durable", "lock", "x.seg"]

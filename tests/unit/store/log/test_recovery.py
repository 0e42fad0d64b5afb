"""Where a lane ends after an unclean stop: torn tails are cut, proven records are never given up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.builders.log_lanes import append_numbered, open_lane, read_all, read_numbers
from tests.support.faults.lossy_disk import MemoryDisk, Node
from trading_platform.domain.position import START, Position
from trading_platform.store.log.segment_files import read_mark
from trading_platform.store.log.writer import durable_position, recover_lane, segment_path


@pytest.fixture
def lane(tmp_path: Path) -> Path:
    """The place of a lane."""
    return tmp_path / "live-a"


def left_behind(lane: Path, *batches: range, pending: range = range(0)) -> MemoryDisk:
    """Return the disk as a killed writer leaves it, `pending` being written but not synced."""
    disk = MemoryDisk()
    writer = open_lane(lane, disk=disk, segment_bytes=1 << 16)
    for batch in batches:
        append_numbered(writer, batch)
        writer.commit()
    append_numbered(writer, pending)
    writer._flush([item for item in writer._queue if isinstance(item, bytes)])
    left = disk.after_kill()
    writer._queue.clear()
    writer.close()
    return left


def test_a_clean_lane_has_nothing_to_recover(lane: Path) -> None:
    """An orderly close leaves a lane whose recovery finds no fault and changes no byte."""
    with open_lane(lane) as writer:
        append_numbered(writer, range(5))
    before = {path.name: path.read_bytes() for path in lane.iterdir()}
    recovered = recover_lane(lane)
    assert recovered.clean
    assert recovered.end == writer.durable
    assert {path.name: path.read_bytes() for path in lane.iterdir()} == before


def test_an_empty_or_absent_lane_recovers_to_its_start(lane: Path) -> None:
    """No segment at all is a clean lane of no records."""
    assert recover_lane(lane) == recover_lane(lane)
    assert durable_position(lane) == START


def test_written_but_unsynced_records_count_once_they_are_synced(lane: Path) -> None:
    """What a killed writer had written survives in the page cache; recovery proves it and moves the mark."""
    disk = left_behind(lane, range(3), pending=range(3, 6))
    assert read_numbers(lane, disk=disk) == [0, 1, 2]
    recovered = recover_lane(lane, disk=disk)
    assert recovered.unproven_bytes > 0
    assert (recovered.cut_bytes, recovered.damaged) == (0, ())
    assert read_numbers(lane, disk=disk) == list(range(6))
    assert recover_lane(lane, disk=disk).clean


def test_a_torn_tail_is_cut_and_counted(lane: Path) -> None:
    """Bytes that are no whole record, behind all that is proven, are taken off and their number told."""
    disk = left_behind(lane, range(3), pending=range(3, 6))
    segment = disk.names[segment_path(lane, 0)].live
    end = len(bytes(segment).rstrip(b"\0"))
    segment[end - 3 : end] = bytes(3)
    segment[end + 7] = 1
    recovered = recover_lane(lane, disk=disk)
    assert read_numbers(lane, disk=disk) == [0, 1, 2, 3, 4]
    assert recovered.cut_bytes == end + 8 - recovered.end.offset
    assert len(disk.names[segment_path(lane, 0)].live) == recovered.end.offset


def test_a_record_behind_a_torn_one_is_not_served_later(lane: Path) -> None:
    """A whole record above a torn one is cut with it: what is served is always a prefix."""
    disk = left_behind(lane, range(3), pending=range(3, 6))
    whole = read_all(lane, disk=disk)
    disk.names[segment_path(lane, 0)].live[whole[-1].end.offset] ^= 1
    with open_lane(lane, disk=disk, seed=1) as writer:
        assert writer.recovered.end == whole[-1].end
        append_numbered(writer, [9])
    assert read_numbers(lane, disk=disk) == [0, 1, 2, 9]


def test_a_bad_record_below_a_later_proof_is_corruption(lane: Path) -> None:
    """With a stale mark, `durable_to` of a later record still tells a rotten record from a torn tail."""
    disk = left_behind(lane, range(3), range(3, 6), range(6, 9))
    whole = read_all(lane, disk=disk)
    del disk.names[lane / "durable"]
    disk.names[segment_path(lane, 0)].live[whole[4].position.offset + 20] ^= 1
    recovered = recover_lane(lane, disk=disk)
    assert [(d.position, d.end) for d in recovered.damaged] == [(whole[4].position, whole[4].end)]
    assert recovered.cut_bytes == 0
    told: list[object] = []
    assert [r.ts_recv for r in read_all(lane, disk=disk, on_damage=told.append)] == [0, 1, 2, 3, 5, 6, 7, 8]
    assert len(told) == 1


def test_a_bad_record_below_the_mark_is_corruption(lane: Path) -> None:
    """What the mark calls durable is not cut off as a torn tail, even at the very end."""
    disk = left_behind(lane, range(3), range(3, 6))
    whole = read_all(lane, disk=disk)
    disk.names[segment_path(lane, 0)].live[whole[5].position.offset + 20] ^= 1
    recovered = recover_lane(lane, disk=disk)
    assert recovered.end == whole[5].end
    assert [(d.position, d.end) for d in recovered.damaged] == [(whole[5].position, whole[5].end)]


def test_a_segment_shorter_than_proven_is_corruption(lane: Path) -> None:
    """A file that lost its end below the mark is reported up to the mark, and the lane goes on behind it."""
    disk = left_behind(lane, range(3), range(3, 6))
    whole = read_all(lane, disk=disk)
    del disk.names[segment_path(lane, 0)].live[whole[2].position.offset + 5 :]
    with open_lane(lane, disk=disk, seed=1) as writer:
        assert [(d.position, d.end) for d in writer.recovered.damaged] == [(whole[2].position, whole[5].end)]
        append_numbered(writer, [9])
    told: list[object] = []
    assert [r.ts_recv for r in read_all(lane, disk=disk, on_damage=told.append)] == [0, 1, 9]


def test_a_vanished_last_segment_is_corruption(lane: Path) -> None:
    """A segment that the mark lies in, and that is gone, is reported; its number is not used again."""
    disk = left_behind(lane, range(3))
    with open_lane(lane, disk=disk, seed=1) as writer:
        append_numbered(writer, [3])
    del disk.names[segment_path(lane, 1)]
    with open_lane(lane, disk=disk, seed=2) as writer:
        assert [d.reason for d in writer.recovered.damaged] == ["the segment is missing"]
        append_numbered(writer, [9])
    told: list[object] = []
    records = read_all(lane, disk=disk, on_damage=told.append)
    assert [(r.ts_recv, r.position.segment) for r in records] == [(0, 0), (1, 0), (2, 0), (9, 2)]
    assert len(told) == 1


def test_space_written_ahead_is_taken_away(lane: Path) -> None:
    """A next segment of nothing but zeros is removed, and its number used."""
    disk = left_behind(lane, range(3))
    disk.names[segment_path(lane, 1)] = Node(bytes(4096))
    assert recover_lane(lane, disk=disk).cut_bytes == 0
    assert segment_path(lane, 1) not in disk.names


def test_a_torn_header_is_set_aside_not_destroyed(lane: Path) -> None:
    """A segment in which nothing was ever durable leaves the lane, but its bytes are kept and counted."""
    disk = left_behind(lane, range(3))
    disk.names[segment_path(lane, 1)] = Node(bytes(700) + b"torn" + bytes(3000))
    with open_lane(lane, disk=disk, seed=1) as writer:
        assert writer.recovered.cut_bytes == 704
        append_numbered(writer, [3])
    assert read_numbers(lane, disk=disk) == [0, 1, 2, 3]
    assert b"torn" in disk.names[lane / "00000001.torn"].live


def test_a_durable_segment_without_its_header_is_corruption(lane: Path) -> None:
    """Both headers rotten in a segment that the mark lies in: reported whole, kept, and gone on behind."""
    disk = left_behind(lane, range(3))
    content = disk.names[segment_path(lane, 0)].live
    content[3] ^= 1
    content[515] ^= 1
    marked = read_mark(lane, disk)
    assert marked is not None
    with open_lane(lane, disk=disk, seed=1) as writer:
        assert [(d.position, d.end) for d in writer.recovered.damaged] == [(Position(0, 0), marked)]
        append_numbered(writer, [9])
    assert segment_path(lane, 0) in disk.names
    told: list[object] = []
    assert [r.ts_recv for r in read_all(lane, disk=disk, on_damage=told.append)] == [9]
    assert len(told) == 1

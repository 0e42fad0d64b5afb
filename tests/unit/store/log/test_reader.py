"""The lane's reader: never beyond what is durable, never wrong, never stuck."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.builders.log_lanes import append_numbered, number_of, open_lane, read_all, read_numbers
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.position import START, Position
from trading_platform.store.log.writer import Damaged, LaneReader, durable_position, segment_path


@pytest.fixture
def lane(tmp_path: Path) -> Path:
    """A lane of three segments with ten records each."""
    directory = tmp_path / "live-a"
    for segment in range(3):
        with open_lane(directory, seed=segment) as writer:
            append_numbered(writer, range(segment * 10, segment * 10 + 10))
    return directory


def damage(path: Path, offset: int, flip: int = 0x10) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= flip
    path.write_bytes(data)


def test_a_lane_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """Nothing to read yet is no error, and a reader opened before its lane sees it later."""
    directory = tmp_path / "live-a"
    assert durable_position(directory) == START
    with LaneReader(directory) as reader:
        assert reader.read() == []
        with open_lane(directory) as writer:
            append_numbered(writer, [0])
        assert [number_of(record) for record in reader.read()] == [0]
        assert reader.read() == []


def test_reading_in_pieces_of_any_size_gives_the_same(lane: Path) -> None:
    """Needs more: a piece that ends within a record is read again, larger; a limit below one record gives one."""
    whole = read_all(lane)
    assert len(whole) == 30
    for limit in (1, 47, 48, 49, 60, 100, 1000):
        assert read_all(lane, limit_bytes=limit) == whole
    with LaneReader(lane) as reader:
        assert len(reader.read(1)) == 1


def test_a_reader_resumes_at_any_record(lane: Path) -> None:
    """A kept position, of either side of a segment's end, goes on with the next record."""
    whole = read_all(lane)
    for at, record in enumerate(whole):
        for start, rest in ((record.position, whole[at:]), (record.end, whole[at + 1 :])):
            with LaneReader(lane, start=start) as reader:
                assert [r for records in iter(reader.read, []) for r in records] == rest


def test_a_closed_reader_goes_on(lane: Path) -> None:
    """Closing frees the files; the position stays."""
    reader = LaneReader(lane)
    first = reader.read()
    reader.close()
    assert [number_of(r) for r in first + reader.read() + reader.read()] == list(range(30))
    reader.close()


def test_damage_is_told_once_between_what_is_before_and_after(lane: Path) -> None:
    """A bad record is reported with its extent, and everything else is served, in order."""
    victim = read_all(lane)[14]
    damage(segment_path(lane, 1), victim.position.offset + 50)
    told: list[object] = []
    with LaneReader(lane, on_damage=told.append) as reader:
        for records in iter(reader.read, []):
            told.extend(number_of(record) for record in records)
    reason = "a record fails its checksum"
    assert told == [*range(14), Damaged(victim.position, victim.end, reason), *range(15, 30)]


def test_without_a_handler_damage_is_an_error_at_its_place(lane: Path) -> None:
    """The error names lane, segment and offset, after all that came before was handed out; it stays."""
    victim = read_all(lane)[14]
    damage(segment_path(lane, 1), victim.position.offset + 50)
    reader = LaneReader(lane)
    assert [number_of(r) for r in reader.read() + reader.read()] == list(range(14))
    for _ in range(2):
        with pytest.raises(CorruptionError, match=rf"lane live-a, segment 1, offset {victim.position.offset}: .*fails"):
            reader.read()
    assert reader.position == victim.position
    reader.position = victim.end
    assert number_of(reader.read()[0]) == 15
    reader.close()


@pytest.mark.parametrize("segment", [1, 2])
def test_a_segment_that_ends_early_is_damage(lane: Path, segment: int) -> None:
    """Ends early: bytes missing below the durable end are reported up to that end, not taken for a clean end."""
    path = segment_path(lane, segment)
    whole = [record for record in read_all(lane) if record.position.segment == segment]
    path.write_bytes(path.read_bytes()[: whole[7].position.offset + 20])
    told: list[Damaged] = []
    numbers = [number_of(record) for record in read_all(lane, on_damage=told.append)]
    assert told == [Damaged(whole[7].position, whole[-1].end, "the file ends early")]
    lost = range(segment * 10 + 7, segment * 10 + 10)
    assert numbers == [number for number in range(30) if number not in lost]


@pytest.mark.parametrize("segment", [0, 2])
def test_bytes_behind_the_durable_end_are_never_served(lane: Path, segment: int) -> None:
    """Too long: a segment goes on behind its end, with garbage or with its own records again; neither is seen."""
    path = segment_path(lane, segment)
    data = path.read_bytes()
    for tail in (b"\xff" * 1000, data[1024:], bytes(5000)):
        path.write_bytes(data + tail)
        assert read_numbers(lane) == list(range(30))


def test_a_record_that_claims_to_go_on_beyond_the_end_is_damage(lane: Path) -> None:
    """A length that leads behind the durable end is not followed."""
    last = read_all(lane)[-1]
    damage(segment_path(lane, 2), last.position.offset + 9)
    told: list[Damaged] = []
    numbers = [number_of(record) for record in read_all(lane, on_damage=told.append)]
    assert numbers == list(range(29))
    assert told == [Damaged(last.position, last.end, "a record goes on beyond the durable end")]


def test_a_missing_segment_is_damage_but_retired_ones_are_not(lane: Path) -> None:
    """A hole is reported; segments taken away from the old end are simply not there for a new reader."""
    second = segment_path(lane, 1).read_bytes()
    segment_path(lane, 1).unlink()
    told: list[Damaged] = []
    numbers = [number_of(record) for record in read_all(lane, on_damage=told.append)]
    assert numbers == [*range(10), *range(20, 30)]
    assert [(d.position.segment, d.end, d.reason) for d in told] == [
        (1, Position(1, len(second)), "the segment is missing")
    ]
    segment_path(lane, 0).unlink()
    assert read_numbers(lane) == list(range(20, 30))


def test_a_reader_whose_place_was_retired_is_told(lane: Path) -> None:
    """A kept position in a segment that is gone is not skipped in silence."""
    segment_path(lane, 0).unlink()
    told: list[Damaged] = []
    with LaneReader(lane, start=Position(0, 1024), on_damage=told.append) as reader:
        assert number_of(reader.read()[0]) == 10
    assert [d.reason for d in told] == ["the segment is missing"]


def test_both_headers_lost_is_damage_of_that_segment_only(lane: Path) -> None:
    """Without its header a segment proves nothing; the others are served, the one before it to its own end."""
    path = segment_path(lane, 1)
    damage(path, 3)
    assert read_numbers(lane) == list(range(30))
    damage(path, 515)
    told: list[Damaged] = []
    numbers = [number_of(record) for record in read_all(lane, on_damage=told.append)]
    assert numbers == [*range(10), *range(20, 30)]
    assert [d.reason for d in told] == ["the segment's header is damaged"]


def test_a_position_within_a_record_is_damage_up_to_the_next(lane: Path) -> None:
    """A wrong start is told apart from a right one and does not spoil the rest."""
    whole = read_all(lane)
    told: list[Damaged] = []
    with LaneReader(lane, start=Position(0, whole[3].position.offset + 1), on_damage=told.append) as reader:
        assert number_of(reader.read()[0]) == 4
    assert [d.end for d in told] == [whole[4].position]


def test_a_position_beyond_the_end_waits(lane: Path) -> None:
    """Where the lane is not yet, there is nothing to read, and no error."""
    with LaneReader(lane, start=Position(9, 5000)) as reader:
        assert reader.read() == []
        assert reader.position == Position(9, 5000)

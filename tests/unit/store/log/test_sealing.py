"""Sealed segments read as the segments they were, are told from damaged ones, and are made in an order that is safe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.builders.log_lanes import append_numbered, open_lane, read_all, read_numbers
from tests.support.builders.platform_in_process import LANE, SmallPlatform
from trading_platform.domain.errors import CorruptionError, StorageError
from trading_platform.domain.position import Position
from trading_platform.store.fs.disk import REAL_DISK
from trading_platform.store.log import sealed_segment, sealing
from trading_platform.store.log.open_segment import open_segment
from trading_platform.store.log.sealed_segment import Index
from trading_platform.store.log.segment_files import (
    sealed_numbers,
    sealed_path,
    segment_numbers,
    segment_path,
)
from trading_platform.store.log.writer import Damaged, LaneReader, recover_lane


@pytest.fixture
def lane(tmp_path: Path) -> Path:
    """A lane of several small segments, closed in order."""
    directory = tmp_path / "live-a"
    with open_lane(directory, segment_bytes=2048) as writer:
        for start in range(0, 60, 6):
            append_numbered(writer, range(start, start + 6))
            writer.commit()
    return directory


def seal(directory: Path, number: int) -> None:
    """Seal one segment with an index that says nothing."""
    end = sealing.segment_end(directory, number)
    assert end is not None
    assert sealing.seal(directory, Index(number, 0, 0, []), end)


def test_a_lane_reads_the_same_sealed_or_not(lane: Path) -> None:
    """Records and their positions stay, whichever segments are sealed; any position of before can be read from."""
    before = read_all(lane)
    numbers = segment_numbers(lane, REAL_DISK)
    assert len(numbers) > 2
    for number in numbers[:-1]:
        seal(lane, number)
        assert not segment_path(lane, number).exists()
        assert read_all(lane) == before
    assert segment_numbers(lane, REAL_DISK) == numbers
    assert sealed_numbers(lane, REAL_DISK) == numbers[:-1]
    for record in before:
        with LaneReader(lane, start=record.position) as reader:
            assert reader.read(1)[0] == record
    assert recover_lane(lane).clean


def test_a_writer_goes_on_behind_sealed_segments(lane: Path) -> None:
    """The next writer opens a new segment; a reader in the middle of a segment that is sealed meanwhile goes on."""
    with LaneReader(lane) as reader:
        first = reader.read(1)
        for number in segment_numbers(lane, REAL_DISK)[:-1]:
            seal(lane, number)
        with open_lane(lane, seed=1) as writer:
            append_numbered(writer, [60])
        rest = [record for records in iter(lambda: reader.read(1), []) for record in records]
    assert [record.ts_recv for record in first + rest] == list(range(61))
    assert read_numbers(lane) == list(range(61))


def test_zstd_gives_the_segment_back(lane: Path) -> None:
    """The first frame is the segment byte for byte; a file that is written again is the same."""
    original = segment_path(lane, 0).read_bytes()
    seal(lane, 0)
    content = sealed_path(lane, 0).read_bytes()
    sealed = sealed_segment.parse(content, 0)
    assert sealed.segment() == original
    assert content[: len(sealed.compressed)] == sealed.compressed
    assert sealed_segment.encode(original, Index(0, 0, 0, [])) == content


def test_a_sealed_segment_can_only_be_read(lane: Path) -> None:
    """The file that stands for it knows its length and its bytes."""
    original = segment_path(lane, 0).read_bytes()
    seal(lane, 0)
    file = open_segment(lane, 0, REAL_DISK)
    assert (file.size(), file.read(10**6, 0), file.read(4, 2)) == (len(original), original, original[2:6])
    file.close()
    assert not hasattr(file, "write")


def test_a_damaged_sealed_segment_is_told_and_not_served(lane: Path) -> None:
    """All of it counts as damaged; what lies in the segments beside it is served."""
    before = read_all(lane)
    seal(lane, 1)
    content = bytearray(sealed_path(lane, 1).read_bytes())
    content[len(content) // 3] ^= 4
    sealed_path(lane, 1).write_bytes(bytes(content))
    told: list[Damaged] = []
    assert read_all(lane, on_damage=told.append) == [r for r in before if r.position.segment != 1]
    assert [(d.position.segment, d.reason) for d in told] == [(1, "the sealed segment fails its checksum")]
    with pytest.raises(CorruptionError, match=r"segment 1.*fails its checksum"):
        read_all(lane)


def test_a_sealed_segment_under_another_number_is_refused(lane: Path) -> None:
    """A file copied to another name is no segment of that number."""
    seal(lane, 0)
    with pytest.raises(CorruptionError, match="that of number 0"):
        sealed_segment.parse(sealed_path(lane, 0).read_bytes(), 1)
    with pytest.raises(CorruptionError, match="checksum"):
        sealed_segment.parse(b"short", 1)


def test_a_segment_shorter_than_its_records_stays_as_found(lane: Path) -> None:
    """What was lost must be told by the reader; sealing would hide it."""
    end = sealing.segment_end(lane, 0)
    assert end is not None
    data = segment_path(lane, 0).read_bytes()
    segment_path(lane, 0).write_bytes(data[:-9])
    assert not sealing.seal(lane, Index(0, 0, 0, []), end)
    assert segment_path(lane, 0).read_bytes() == data[:-9]
    assert not sealed_path(lane, 0).exists()


def test_both_forms_left_by_a_crash_become_one(lane: Path) -> None:
    """A sound sealed form lets the original go; one that is damaged goes itself."""
    before = read_all(lane)
    originals = [segment_path(lane, number).read_bytes() for number in (0, 1)]
    for number, original in enumerate(originals):
        seal(lane, number)
        segment_path(lane, number).write_bytes(original)
    sealed_path(lane, 1).write_bytes(b"half")
    (lane / "00000002.seg.aside").write_bytes(b"half")
    assert read_all(lane) == before
    sealing.sweep(lane)
    sealing.finish(lane)
    names = sorted(path.name for path in lane.glob("*.seg*"))
    assert names[:2] == ["00000000.seg.zst", "00000001.seg"]
    assert not any("aside" in name for name in names)
    assert read_all(lane) == before


def test_a_lane_of_which_only_sealed_segments_are_left_is_opened(lane: Path) -> None:
    """Even if mark and newest segment are lost, the sealed ones are read and the next writer goes on behind them."""
    numbers = segment_numbers(lane, REAL_DISK)
    for number in numbers[:-1]:
        seal(lane, number)
    segment_path(lane, numbers[-1]).unlink()
    (lane / "durable").unlink()
    expected = [r.ts_recv for r in read_all(lane)]
    with open_lane(lane, seed=3) as writer:
        append_numbered(writer, [99])
        assert writer._number == numbers[-1]
    assert read_numbers(lane) == [*expected, 99]
    assert expected == list(range(len(expected)))


@pytest.mark.process
def test_a_recorder_imports_no_arrow() -> None:
    """Reading sealed segments needs Arrow; a process that only records never loads it."""
    script = "import sys, trading_platform.ingest.recorder.recorder; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


class TestKeeping:
    """The publisher's walk over the lanes."""

    @pytest.fixture
    def platform(self, tmp_path: Path) -> SmallPlatform:
        """Forty trades of one symbol, some of another, over two days, in many segments."""
        platform = SmallPlatform(tmp_path)
        platform.start()
        for start in range(80, 120, 5):
            platform.record(range(start, start + 5))
            platform.record(range(start, start + 2), venue_symbol="ETHUSDT")
        yield platform
        platform.stop()
        platform.close()

    def test_only_what_is_staged_is_sealed(self, platform: SmallPlatform) -> None:
        """Nothing before the first staging; then everything but the newest segment, with what it gave."""
        directory = platform.data.lane(LANE)
        assert platform.keep().sealed == []
        platform.process()
        numbers = segment_numbers(directory, REAL_DISK)
        staged = platform.ledger.lane(LANE)[1].segment
        assert platform.keep().sealed == [(LANE, number) for number in range(staged)]
        assert staged >= len(numbers) - 2 > 3
        assert platform.keep().sealed == []
        entries = [
            (entry.symbol, entry.day, number)
            for segment in range(staged)
            for entry in sealed_segment.read(directory, segment, REAL_DISK).contents.entries
            for first, last in entry.ranges
            for number in range(first, last + 1)
        ]
        with LaneReader(directory, start=Position(staged, 0)) as reader:
            newest = sum(len(record.frames) for record in reader.read() if record.connection == 1)
        assert len(entries) == len(set(entries)) == len(platform.acknowledged) - newest
        assert {day for _, day, number in entries if number < 100} == {"2024-08-08"}
        assert {day for _, day, number in entries if number >= 100} == {"2024-08-09"}

    def test_a_lane_that_another_process_works_on_is_passed_over(self, platform: SmallPlatform) -> None:
        """Two publishers never seal the same segment, and a replay keeps them all out."""
        from trading_platform.store.fs.locks import FileLock

        platform.process()
        with FileLock.acquire(sealing.sealing_lock(platform.data, LANE), "the lane"):
            assert platform.keep().sealed == []
        assert platform.keep().sealed != []

    def test_the_decoders_memory_goes_from_index_to_index(self, platform: SmallPlatform) -> None:
        """No frame of a later segment is unknown: the connection it came by is told by the segment before."""
        platform.process()
        platform.keep()
        directory = platform.data.lane(LANE)
        indexes = [sealed_segment.read(directory, n, REAL_DISK).contents for n in sealed_numbers(directory, REAL_DISK)]
        assert [index.unknown for index in indexes] == [0] * len(indexes)
        assert all(a.context_after == b.context_before for a, b in zip(indexes, indexes[1:], strict=False))
        assert "BTCUSDT" in indexes[-1].context_before

    def test_a_full_disk_while_sealing_leaves_the_original(self, platform: SmallPlatform) -> None:
        """What is refused is told, not raised: publishing goes on; the next round seals."""
        platform.process()

        class Full:
            def __getattr__(self, name: str) -> object:
                return getattr(REAL_DISK, name)

            def rename(self, source: Path, target: Path) -> None:
                raise StorageError("no space left")

        platform.disk = Full()  # type: ignore[assignment]
        assert platform.keep().objections == [f"{LANE}: no space left"]
        platform.disk = REAL_DISK
        directory = platform.data.lane(LANE)
        assert sealed_numbers(directory, REAL_DISK) == []
        assert platform.keep().sealed
        assert not list(directory.glob("*.aside"))

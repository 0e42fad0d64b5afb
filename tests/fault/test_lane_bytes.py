"""A small lane damaged at every byte: what is served is always what was written, and what is not is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.support.builders.log_lanes import append_numbered, open_lane, read_all
from tests.support.faults.lossy_disk import MemoryDisk, Node
from trading_platform.store.log import segment_format
from trading_platform.store.log.writer import Damaged, Record, recover_lane, segment_path

BATCHES = [range(2), range(2, 5), range(5, 6), range(6, 9)]
Tear = Callable[[bytes, int], bytes]


def truncated(data: bytes, at: int) -> bytes:
    """The file ends at that byte."""
    return data[:at]


def zeroed(data: bytes, at: int) -> bytes:
    """Zeros from that byte on, as in space written ahead."""
    return data[:at].ljust(len(data), b"\0")


def garbage(data: bytes, at: int) -> bytes:
    """Old contents of the disk from that byte on."""
    return data[:at] + Random(at).randbytes(len(data) - at)


class SmallLane:
    """A lane of one segment, its records, and the offset proven durable by records after each commit."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        disk = MemoryDisk()
        writer = open_lane(directory, disk=disk, segment_bytes=4096)
        for batch in BATCHES:
            append_numbered(writer, batch)
            writer.commit()
        self.marked = writer.durable.offset
        left = disk.after_kill()
        writer.close()
        self.records = read_all(directory, disk=left)
        self.data = bytes(left.names[segment_path(directory, 0)].live)
        self.mark = bytes(left.names[directory / "durable"].live)

    def with_bytes(self, data: bytes, *, marked: bool) -> MemoryDisk:
        """Return a disk that holds this lane with other bytes; without its mark, if it is to be lost."""
        disk = MemoryDisk()
        disk.names[segment_path(self.directory, 0)] = Node(data)
        if marked:
            disk.names[self.directory / "durable"] = Node(self.mark)
        return disk

    def proven(self, data: bytes) -> int:
        """Return up to where whole surviving records prove the segment durable: the batch before the last one."""
        whole = [r for r in self.records if data[: r.end.offset][r.position.offset :] == self.bytes_of(r)]
        ends = [self.records[batch.start].position.offset for batch in BATCHES]
        alive = [n for n, batch in enumerate(BATCHES) if any(self.records[i] in whole for i in batch)]
        return max([1024, *(ends[n] for n in alive)])

    def bytes_of(self, record: Record) -> bytes:
        return self.data[record.position.offset : record.end.offset]


@pytest.fixture
def small(tmp_path: Path) -> SmallLane:
    """A lane with nine records in four commits, left by a killed writer."""
    return SmallLane(tmp_path / "live-a")


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "mark lost"])
@pytest.mark.parametrize("tear", [truncated, zeroed, garbage])
def test_a_tail_lost_at_any_byte_leaves_the_records_before_it(small: SmallLane, tear: Tear, marked: bool) -> None:
    """Recovered is exactly the prefix before the tear; below the mark the loss is told, above it the tail is cut."""
    for at in range(1024, small.marked + 60):
        torn = tear(small.data, at)
        disk = small.with_bytes(torn, marked=marked)
        recovered = recover_lane(small.directory, disk=disk)
        told: list[Damaged] = []
        served = read_all(small.directory, disk=disk, on_damage=told.append)
        expected = [r for r in small.records if torn[r.position.offset : r.end.offset] == small.bytes_of(r)]
        assert served == expected == small.records[: len(expected)]
        end = served[-1].end.offset if served else 1024
        if marked and end < small.marked:
            assert [(d.position.offset, d.end.offset) for d in recovered.damaged] == [(end, small.marked)]
            assert [(d.position.offset, d.end.offset) for d in told] == [(end, small.marked)]
        else:
            assert (recovered.damaged, told) == ((), [])
            assert recovered.end.offset == end
            assert recovered.cut_bytes == max(0, len(torn.rstrip(b"\0")) - end)


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "mark lost"])
def test_a_flipped_bit_in_any_byte_is_never_served(small: SmallLane, marked: bool) -> None:
    """Every record served is as written; every other lies in a stretch reported, or in the tail that was cut."""
    reported = cut = healed = 0
    for at in range(small.marked):
        data = bytearray(small.data)
        data[at] ^= 1 << (at % 8)
        disk = small.with_bytes(bytes(data), marked=marked)
        recovered = recover_lane(small.directory, disk=disk)
        told: list[Damaged] = []
        served = read_all(small.directory, disk=disk, on_damage=told.append)
        missing = [record for record in small.records if record not in served]
        assert all(record in small.records for record in served)
        assert len(missing) == (1 if at >= 1024 else 0) or (not marked and not told)
        if not missing:
            healed += 1
        elif told:
            assert [(d.position, d.end) for d in told] == [(missing[0].position, missing[0].end)]
            assert [(d.position, d.end) for d in recovered.damaged] == [(d.position, d.end) for d in told]
            reported += 1
        else:
            # Only where nothing proves that it had been durable: the last commit, its mark lost.
            assert not marked
            assert missing[0].position.offset >= small.proven(bytes(data))
            assert recovered.cut_bytes == len(data.rstrip(b"\0")) - recovered.end.offset
            cut += 1
    assert healed == 1024
    assert reported > 0
    assert (cut > 0) == (not marked)


def test_a_flipped_bit_in_the_mark_never_moves_it_ahead(small: SmallLane) -> None:
    """A damaged mark falls back, at most to what the records prove; nothing unproven is served by it."""
    for at in range(len(small.mark) * 8):
        mark = bytearray(small.mark)
        mark[at // 8] ^= 1 << (at % 8)
        disk = small.with_bytes(small.data, marked=False)
        disk.names[small.directory / "durable"] = Node(bytes(mark))
        served = read_all(small.directory, disk=disk)
        assert served == small.records[: len(served)]
        assert len(served) >= BATCHES[-2].start
        recover_lane(small.directory, disk=disk)
        assert read_all(small.directory, disk=disk) == small.records


def test_without_its_checksum_a_flip_would_be_served(small: SmallLane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with the checksum switched off the same flips do reach the reader."""
    at = small.records[4].end.offset - 1
    stored = int.from_bytes(small.bytes_of(small.records[4])[4:8], "little")
    data = bytearray(small.data)
    data[at] ^= 1
    disk = small.with_bytes(bytes(data), marked=True)
    assert read_all(small.directory, disk=disk, on_damage=lambda _: None) != small.records
    extend = segment_format._extend
    length = small.records[4].end.offset - small.records[4].position.offset - 8
    monkeypatch.setattr(
        segment_format, "_extend", lambda seed, body: stored if len(body) == length else extend(seed, body)
    )
    served = read_all(small.directory, disk=disk, on_damage=lambda _: None)
    assert [r.frames for r in served] != [r.frames for r in small.records]

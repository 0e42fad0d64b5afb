"""Disks that refuse, dawdle or take a part: what is received waits in a bounded queue, what is acknowledged is whole.

Files that are torn, gone or unreadable are test_disk_rows_files.py; docs/faults.md says which row of faults is where.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from random import Random

import pytest

from tests.support.builders.log_lanes import append_numbered, clock, open_lane, read_numbers
from tests.support.faults.dying_processes import Death, DyingDisk, PowerLost
from trading_platform.domain.errors import DiskFull
from trading_platform.ingest.recorder.disk_full import record_with_space
from trading_platform.ingest.recorder.group_commit import HIGH_WATER_BYTES, Committer
from trading_platform.store.fs.disk import File, Mode, RealDisk
from trading_platform.store.log.writer import LaneWriter

RESERVE = 1 << 20


# ---- D3: no space for another reason than a full disk


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS], ids=errno.errorcode.get)
def test_recording_pauses_and_goes_on_whatever_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Space, a quota, a size limit or a read-only disk: recording waits in its process, and goes on without loss."""
    lane, refusing, numbers, acknowledged, lives = tmp_path / "live-a", threading.Event(), count(), [], []
    pwrite = os.pwrite

    def limited(descriptor: int, data: bytes, at: int) -> int:
        if refusing.is_set() and not (lane / "reserve").exists() and number != errno.EROFS:
            return pwrite(descriptor, data, at)  # what the reserve gave back
        if refusing.is_set():
            raise OSError(number, os.strerror(number))
        return pwrite(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", limited)

    def opened(on_full: Callable[[], None]) -> LaneWriter:
        if len(lives) == 1 and len(refusals) < 2:
            refusals.append(number)
            raise DiskFull(f"open: {os.strerror(number)}")
        refusing.clear()
        return LaneWriter.open(
            lane, clock=clock(), entropy=os.urandom, segment_bytes=1 << 16, reserve_bytes=RESERVE, on_full=on_full
        )

    refusals: list[int] = []

    async def record(writer: LaneWriter, pause: asyncio.Event) -> None:
        lives.append(number)
        for at in range(400):
            if at == 100 and len(lives) == 1:
                refusing.set()
            if pause.is_set():
                return
            batch = [next(numbers)]
            append_numbered(writer, batch)
            writer.commit()
            acknowledged.extend(batch)
            await asyncio.sleep(0)
        stop.set()

    stop = asyncio.Event()
    asyncio.run(asyncio.wait_for(record_with_space("live-a", opened, record, stop, retry_s=0.001), 30))
    assert (len(lives), len(refusals)) == (2, 2)
    held = read_numbers(lane)
    assert held == sorted(held)
    assert set(acknowledged) <= set(held)
    assert len(acknowledged) >= 400


# ---- D5: fdatasync that takes its time


class _SlowFile:
    def __init__(self, file: File, gate: threading.Event) -> None:
        self._file, self._gate = file, gate

    def __getattr__(self, name: str):
        return getattr(self._file, name)

    def sync(self) -> None:
        assert self._gate.wait(30)
        self._file.sync()


class SlowDisk(RealDisk):
    """The real disk, whose files are synced once `gate` is open: a sync takes as long as the test likes."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()

    def open(self, path: Path, mode: Mode) -> File:  # type: ignore[override]
        return _SlowFile(super().open(path, mode), self.gate)  # type: ignore[return-value]


async def _receive(committer: Committer, frames: Iterator[list[bytes]], *, patient: bool) -> int:
    """Take in frames as a transport does, which stops reading while there is no room; return the bytes taken."""
    taken = 0
    for batch in frames:
        if committer.full and patient:
            return taken
        committer.add_batch(batch, 1)
        taken += sum(map(len, batch))
        await asyncio.sleep(0)
    return taken


def _slowly(folder: Path, *, patient: bool) -> tuple[int, int]:
    """Flood a recorder's committer while a sync hangs; return the bytes taken in meanwhile, and frames durable."""
    disk, durable = SlowDisk(), []
    writer = LaneWriter.open(folder / "live-a", clock=clock(), entropy=os.urandom, disk=disk)
    told = lambda frames, lag_ns: durable.append(frames)  # noqa: E731

    async def run() -> int:
        committer = Committer(writer, wall_ns=clock(), monotonic_ns=clock(), on_durable=told)
        committing = asyncio.create_task(committer.run())
        disk.gate.clear()
        flood = ([b"x" * 4096] * 64 for _ in range(160))  # five times the bound
        taken = await _receive(committer, flood, patient=patient)
        disk.gate.set()
        await asyncio.wait_for(committer.room(), 30)
        committer.close()
        await committing
        return taken

    taken = asyncio.run(run())
    writer.close()
    return taken, sum(durable)


def test_while_a_sync_hangs_a_bounded_number_of_bytes_is_taken_in(tmp_path: Path) -> None:
    """The queue fills to its bound, then nothing more is read; once the sync returns everything taken is durable."""
    taken, durable = _slowly(tmp_path, patient=True)
    assert HIGH_WATER_BYTES < taken <= HIGH_WATER_BYTES + 64 * 4096
    assert durable * 4096 == taken


def test_who_reads_on_while_a_sync_hangs_takes_in_everything(tmp_path: Path) -> None:
    """Negative control: without waiting for room the same flood is held in memory, whatever its size."""
    taken, durable = _slowly(tmp_path, patient=False)
    assert taken > 4 * HIGH_WATER_BYTES
    assert durable * 4096 == taken


# ---- D6: short and torn writes


@pytest.mark.parametrize("most", [1, 7, 511])
def test_writes_of_which_a_part_is_taken_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """A system that takes a few bytes a call gets the rest in further calls: the lane is read back whole."""
    pwrite, calls = os.pwrite, count()
    short = lambda descriptor, data, at: (next(calls), pwrite(descriptor, data[:most], at))[1]  # noqa: E731
    monkeypatch.setattr(os, "pwrite", short)
    monkeypatch.setattr(
        "trading_platform.store.log.segment_files.STEP_BYTES", 2048
    )  # space written ahead, a byte a call
    with open_lane(tmp_path / "live-a", segment_bytes=2048) as writer:
        for number in range(30):
            append_numbered(writer, [number])
            writer.commit()
    assert read_numbers(tmp_path / "live-a") == list(range(30))
    assert next(calls) > 30 * 40 // most


def _commit_for_ever(writer: LaneWriter, numbers: Iterator[int]) -> None:
    while True:
        writer.commit()
        append_numbered(writer, [next(numbers)])


def test_a_write_torn_by_death_is_cut_off(tmp_path: Path) -> None:
    """Of a commit whose write was cut in two whole records may survive, half of one never does."""
    for at in range(1, 12):
        lane = tmp_path / str(at) / "live-a"
        lane.mkdir(parents=True)
        disk = DyingDisk(tmp_path / str(at))
        writer = open_lane(lane, disk=disk, segment_bytes=4096)
        append_numbered(writer, range(3))
        writer.commit()
        append_numbered(writer, range(3, 9))
        with disk.process(at, Death(PowerLost)), pytest.raises(PowerLost):
            _commit_for_ever(writer, count(9))
        writer._lock.release()
        disk.lose_power(Random(at))
        with open_lane(lane, disk=disk, seed=1):
            held = read_numbers(lane, disk=disk)
        assert held == list(range(len(held)))
        assert len(held) >= 3
        disk.close_all()

"""Power cuts on real file systems: what a writer acknowledged before the cut is there after it.

A process writes a lane on a loop-mounted ext4 or XFS and acknowledges through a pipe what it has committed. It is
stopped, its acknowledgements are drained (one read after the cut would not be one), and the file system is shut down
without flushing its log: everything not synced is gone, as when the power goes.
"""

from __future__ import annotations

import os
import signal
import time
import warnings
from itertools import count
from pathlib import Path
from random import Random

import pytest

from tests.support.builders.log_lanes import append_numbered, open_lane, read_numbers
from tests.support.faults import mounts
from tests.support.judges import evidence
from tests.support.waiting import wait_until
from trading_platform.store.fs.disk import REAL_DISK, Disk, File, Mode
from trading_platform.store.log.writer import recover_lane

# On each file system; a cut takes 0.06 s on a quiet machine.
CUTS = int(os.environ.get("POWER_CUTS", "50"))
SIZES = {"ext4": (64, "-O", "^resize_inode"), "xfs": (320,)}
SEGMENT_BYTES = 1 << 16
ACK = 8


class Unsynced:
    """A disk on which syncing a file does nothing: the negative control."""

    def __getattr__(self, name: str) -> object:
        return getattr(REAL_DISK, name)

    def open(self, path: Path, mode: Mode) -> File:
        return _UnsyncedFile(REAL_DISK.open(path, mode))  # type: ignore[return-value]


class _UnsyncedFile:
    def __init__(self, file: File) -> None:
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def sync(self) -> None:
        """Do nothing."""


def write_until_killed(lane: Path, first: int, seed: int, acks: int, disk: Disk) -> None:
    """Append, commit and acknowledge for ever; runs in a process of its own."""
    writer = open_lane(lane, segment_bytes=SEGMENT_BYTES, seed=seed, disk=disk)
    number = first
    for batch in count(seed):
        size = batch % 40 + 1
        append_numbered(writer, range(number, number + size))
        number += size
        writer.commit()
        os.write(acks, number.to_bytes(ACK, "little"))


class Cutter:
    """Cuts the power of one mounted file system again and again while a lane on it is written."""

    def __init__(self, mount: mounts.Mount, disk: Disk = REAL_DISK) -> None:
        self.mount, self._disk, self._random = mount, disk, Random(mount.kind)
        self.lane = mount.root / "live-a"
        self.held = self.acknowledged = self.lost = 0
        self.seconds = 0.0

    def cut(self, seed: int) -> None:
        """Let a writer run for a moment, cut, and count what of its acknowledged records is gone."""
        began = time.monotonic()
        first = self.held
        child, acknowledged = self._write(seed, first, self._random.randrange(1, 40))
        # Still there, stopped, when the power goes: its end would close files, and closing may write.
        self.mount.cut_power(before_remount=lambda: _end(child))
        if self.lane.is_dir():
            assert recover_lane(self.lane).damaged == ()
        numbers = read_numbers(self.lane)
        assert numbers == list(range(len(numbers))), "not what was written"
        self.held = len(numbers)
        self.acknowledged += acknowledged - first
        self.lost += max(0, acknowledged - len(numbers))
        self.seconds += time.monotonic() - began

    def _write(self, seed: int, first: int, commits: int) -> tuple[int, int]:
        """Run a writer through that many commits and stop it; return its pid and the number after the last told."""
        acks, told = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the child only writes files, threads or not
            child = os.fork()
        if child == 0:
            try:
                os.close(acks)
                write_until_killed(self.lane, first, seed, told, self._disk)
            finally:
                os._exit(1)
        os.close(told)
        got = b""
        while len(got) < commits * ACK:
            more = os.read(acks, 1 << 16)
            assert more, "the writer ended"
            got += more
        os.kill(child, signal.SIGSTOP)
        wait_until(lambda: _stopped(child), what="the writer is stopped", every_s=0.001)
        os.set_blocking(acks, False)
        try:
            while more := os.read(acks, 1 << 16):
                got += more
        except BlockingIOError:
            pass
        os.close(acks)
        return child, int.from_bytes(got[-ACK:], "little")


def _end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _stopped(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state in {"T", "t"}


def cut_often(tmp_path: Path, kind: str, cuts: int, disk: Disk = REAL_DISK) -> Cutter:
    """Cut the power of a fresh file system that many times."""
    size_mb, *options = SIZES[kind]
    with mounts.image(tmp_path / kind, kind, size_mb, *options) as mount:
        cutter = Cutter(mount, disk)
        for number in range(cuts):
            cutter.cut(number)
            if cutter.held > 3_000:  # small lanes are read quickly
                _remove(cutter.lane)
                cutter.held = 0
        return cutter


def _remove(lane: Path) -> None:
    for path in lane.iterdir():
        path.unlink()
    lane.rmdir()
    REAL_DISK.sync_directory(lane.parent)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
@pytest.mark.timeout(600)
def test_a_power_cut_loses_nothing_acknowledged(tmp_path: Path, kind: str) -> None:
    """Cut after cut on one file system, every acknowledged record is read back in order, with no corruption seen."""
    cutter = cut_often(tmp_path, kind, CUTS)
    assert cutter.lost == 0
    assert cutter.acknowledged > CUTS * 10


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_without_fsync_power_cuts_lose_records(tmp_path: Path, kind: str) -> None:
    """Negative control: the same writer on a disk that does not sync loses what it acknowledged."""
    lost = 0
    for attempt in range(3):
        try:
            lost += cut_often(tmp_path / str(attempt), kind, 1, Unsynced()).lost  # type: ignore[arg-type]
        except AssertionError as error:
            lost += "ended" not in str(error)
    assert lost > 0


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_a_thousand_power_cuts(tmp_path: Path) -> None:
    """A thousand cuts on each file system."""
    rows = []
    for kind in ("ext4", "xfs"):
        cutter = cut_often(tmp_path, kind, 1000)
        control = cut_often(tmp_path / "control", kind, 1, Unsynced())  # type: ignore[arg-type]
        rows.append(
            {
                "file system": kind,
                "cuts": 1000,
                "acknowledged": cutter.acknowledged,
                "lost": cutter.lost,
                "s a cut": cutter.seconds / 1000,
                "lost without fsync, 1 cut": control.lost,
            }
        )
    notes = (
        "Loop mount, shutdown without flushing the log; the writer is stopped and its acknowledgements drained first."
    )
    evidence.write("power-cuts", "Power cuts", {"lost": sum(int(row["lost"]) for row in rows)}, rows=rows, notes=notes)
    assert [row["lost"] for row in rows] == [0, 0]

"""A disk that takes no more: what was received becomes durable in the reserve, then recording waits for space."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from tests.support.builders.ingest_process import Ingest, expected, held, rows, run
from tests.support.builders.log_lanes import append_numbered, clock, number_of, read_all, read_numbers
from tests.support.builders.venue_thread import Simulator, recorded, simulator  # noqa: F401  the fixture
from tests.support.faults import mounts
from tests.support.faults.lossy_disk import MemoryDisk
from tests.support.waiting import wait_until
from trading_platform.domain.errors import DiskFull, StorageError
from trading_platform.ingest.recorder.disk_full import record_with_space
from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.log.reserve import RESERVE_BYTES
from trading_platform.store.log.writer import LaneWriter

RESERVE = 1 << 20
"""Of the small lanes; the real recorder keeps back RESERVE_BYTES."""


def open_with_reserve(
    lane: Path, *, disk: Disk = REAL_DISK, on_full: Callable[[], None] = lambda: None, segment_bytes: int = 1 << 20
) -> LaneWriter:
    """Open a lane that keeps a little back."""
    return LaneWriter.open(
        lane,
        clock=clock(),
        entropy=os.urandom,
        disk=disk,
        segment_bytes=segment_bytes,
        reserve_bytes=RESERVE,
        on_full=on_full,
    )


def fill(directory: Path) -> Path:
    """Take all the space there is."""
    path = directory / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            while True:
                try:
                    file.write(bytes(size))
                except OSError:
                    break
    return path


def take_inodes(directory: Path) -> list[Path]:
    """Make files until there can be no more."""
    taken: list[Path] = []
    with suppress(OSError):
        while True:
            path = directory / f"inode-{len(taken)}"
            path.touch()
            taken.append(path)
    return taken


def append_until_full(writer: LaneWriter, told: list[str], numbers: Iterator[int]) -> int:
    """Append and commit until the writer says that its disk is full; return how many records are acknowledged."""
    acknowledged = 0
    while not told:
        batch = [next(numbers) for _ in range(200)]
        append_numbered(writer, batch)
        writer.commit()
        acknowledged = batch[-1] + 1
    return acknowledged


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_on_a_full_disk_nothing_received_is_lost(tmp_path: Path, kind: str) -> None:
    """The commit that finds no space succeeds in the reserve; the lane is closed, refused while full, and goes on."""
    made = mounts.tmpfs(tmp_path / "m", "6m") if kind == "tmpfs" else mounts.image(tmp_path / "m", "ext4", 24)
    with made as mount:
        lane, told, numbers = mount.root / "live-a", [], count()
        writer = open_with_reserve(lane, on_full=lambda: told.append("full"))
        append_numbered(writer, [next(numbers)])
        writer.commit()
        filler = fill(mount.root)
        acknowledged = append_until_full(writer, told, numbers)
        assert not (lane / "reserve").exists()
        append_numbered(writer, [next(numbers)])  # what is received while the connections close
        writer.close()
        assert read_numbers(lane) == list(range(acknowledged + 1))
        fill(mount.root).rename(mount.root / "filler2")
        with pytest.raises(DiskFull, match="reserve"):
            open_with_reserve(lane)
        (mount.root / "filler2").unlink()
        filler.unlink(missing_ok=True)
        with open_with_reserve(lane) as writer:
            assert writer.recovered.clean
            append_numbered(writer, [acknowledged + 1])
        assert read_numbers(lane) == list(range(acknowledged + 2))
        assert not (lane / "reserve").exists()


def test_without_a_reserve_a_full_disk_loses_what_was_received(tmp_path: Path) -> None:
    """Negative control: the same lane that keeps nothing back fails the commit that finds no space."""
    with mounts.tmpfs(tmp_path / "m", "6m") as mount:
        lane = mount.root / "live-a"
        writer = LaneWriter.open(lane, clock=clock(), entropy=os.urandom, segment_bytes=1 << 20)
        fill(mount.root)
        with pytest.raises(DiskFull, match="No space left"):
            append_until_full(writer, [], count())
        with pytest.raises(StorageError):
            append_numbered(writer, [1])
        writer.close()


def test_inodes_that_run_out_are_a_full_disk(tmp_path: Path) -> None:
    """The next segment gets the reserve's inode; with none left opening is refused, and works again later."""
    with mounts.image(tmp_path / "m", "ext4", 24, "-N", "32") as mount:
        lane, told, numbers = mount.root / "live-a", [], count()
        writer = open_with_reserve(lane, on_full=lambda: told.append("full"), segment_bytes=1 << 16)
        append_numbered(writer, [next(numbers)])
        writer.commit()
        taken = take_inodes(mount.root)
        acknowledged = append_until_full(writer, told, numbers)
        writer.close()
        assert read_numbers(lane) == list(range(acknowledged))
        with pytest.raises(DiskFull):
            open_with_reserve(lane)
        for path in taken[:2]:
            path.unlink()
        with open_with_reserve(lane, segment_bytes=1 << 16) as writer:
            append_numbered(writer, [acknowledged])
        assert read_numbers(lane) == list(range(acknowledged + 1))


def test_a_disk_remounted_read_only_is_told_as_such(tmp_path: Path) -> None:
    """Commits fail with an error that names the reason; nothing acknowledged is lost once it is writable again."""
    with mounts.image(tmp_path / "m", "ext4", 24) as mount:
        lane = mount.root / "live-a"
        with open_with_reserve(lane) as writer:
            append_numbered(writer, range(50))
        mount.read_only(yes=True)
        with pytest.raises(StorageError, match="Read-only"):
            open_with_reserve(lane)
        mount.read_only(yes=False)
        with open_with_reserve(lane) as writer:
            append_numbered(writer, [50])
        assert read_numbers(lane) == list(range(51))


def test_a_limit_on_file_size_ends_a_segment_not_the_process(tmp_path: Path) -> None:
    """Beyond the limit a commit is refused as a full disk is; what was acknowledged is read by the next opening."""
    script = (
        "import os, sys\n"
        "from itertools import count\n"
        "from pathlib import Path\n"
        "from tests.fault.test_disk_full import append_until_full\n"
        "from tests.support.builders.log_lanes import open_lane\n"
        "from trading_platform.domain.errors import DiskFull\n"
        "try:\n"
        "    append_until_full(open_lane(Path(sys.argv[1])), [], count())\n"
        "except DiskFull as error:\n"
        "    sys.exit(str(error))\n"
    )
    limited = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))  # noqa: E731
    lane = tmp_path / "live-a"
    done = subprocess.run(
        [sys.executable, "-c", script, str(lane)], capture_output=True, text=True, check=False, preexec_fn=limited
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    with open_with_reserve(lane) as writer:
        kept = len(read_all(lane))
        append_numbered(writer, [kept])
    assert [number_of(record) for record in read_all(lane)] == list(range(kept + 1))
    assert kept > 1000


class TestWaiting:
    """The loop around a recorder, in memory."""

    def test_recording_ends_in_order_and_goes_on_when_there_is_space(self, tmp_path: Path) -> None:
        """Full: the recorder is asked to stop, the lane closed; refused while full; opened anew when not; no crash."""
        lane = tmp_path / "live-a"
        lane.mkdir()
        disk = MemoryDisk()
        state = {"full": False, "lives": 0}
        numbers = count()

        def refuse(name: str, path: Path, number: int) -> Exception | None:
            needs = name in {"create", "allocate", "write"} and path.name != "durable"
            given_up = state["full"] and lane / "reserve" not in disk.names and name == "write"
            return DiskFull("no space") if state["full"] and needs and not given_up else None

        disk.fail = refuse

        async def record(writer: LaneWriter, pause: asyncio.Event) -> None:
            state["lives"] += 1
            append_numbered(writer, [next(numbers)])
            writer.commit()
            if state["lives"] == 1:
                state["full"] = True
                while not pause.is_set():
                    append_numbered(writer, [next(numbers)])
                    writer.commit()
                    await asyncio.sleep(0)
                append_numbered(writer, [next(numbers)])
            else:
                stop.set()
                await pause.wait()

        refusals = 0

        def open_writer(on_full: Callable[[], None]) -> LaneWriter:
            nonlocal refusals
            if state["full"] and refusals == 2:
                state["full"] = False
            try:
                return open_with_reserve(lane, disk=disk, on_full=on_full)
            except DiskFull:
                refusals += 1
                raise

        stop = asyncio.Event()

        async def run() -> None:
            await asyncio.wait_for(record_with_space("live-a", open_writer, record, stop, retry_s=0.001), 20)

        asyncio.run(run())
        assert (state["lives"], refusals) == (2, 2)
        assert read_numbers(lane, disk=disk) == list(range(next(numbers)))

    def test_another_error_of_the_disk_ends_the_recorder(self, tmp_path: Path) -> None:
        """A failed fdatasync is no full disk, whatever its reason: the process must begin anew."""

        async def record(writer: LaneWriter, pause: asyncio.Event) -> None:
            raise StorageError("fdatasync: Input/output error")

        opened = lambda on_full: open_with_reserve(tmp_path / "live-a", on_full=on_full)  # noqa: E731
        with pytest.raises(StorageError, match="Input/output"):
            asyncio.run(record_with_space("live-a", opened, record, asyncio.Event()))


def test_the_recorder_waits_for_space_and_what_it_missed_is_fetched(
    simulator: Callable[..., Simulator],  # noqa: F811
    shared_data: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """On a full disk the real recorder says so and lives on; with space it records again; recover fetches the rest."""
    with mounts.tmpfs(tmp_path / "m", "160m") as mount:
        data_dir, log = mount.root, tmp_path / "ingest.log"
        filler = fill(mount.root)
        # Room for the reserve, the ledger and less than the recording.
        os.truncate(filler, filler.stat().st_size - RESERVE_BYTES - (2 << 20))
        venue = simulator(recorded(shared_data), speed=60.0)
        ingest = Ingest(venue, data_dir, ["BTC-USDT"])
        try:
            segments = lambda: sorted((data_dir / "log" / "live-binance").glob("*.seg*"))  # noqa: E731
            wait_until(lambda: segments() and b"stream open" in log.read_bytes(), what="recording")
            recorder = ingest.wait_for("recorder")
            wait_until(lambda: b"disk full" in log.read_bytes(), what="the alert", timeout_s=40)
            before = len(segments())
            assert ingest.worker("recorder") == recorder
            filler.unlink()
            wait_until(lambda: len(segments()) > before, what="a new segment", timeout_s=20)
            assert ingest.worker("recorder") == recorder
            assert venue.wait_ended(60)
            assert ingest.stop() == 0
        finally:
            ingest.end()
        recovery = run("recover", "--once", "--rest-url", venue.rest_url, data_dir=data_dir)
        assert recovery.returncode == 0, recovery.stdout + recovery.stderr
        assert rows(held(data_dir)["BTC-USDT"]) == expected(venue.truth(), "BTC-USDT")

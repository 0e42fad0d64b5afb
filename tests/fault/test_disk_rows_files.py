"""Files that are torn, lost under another name, gone or unreadable: told with their path, never served, made again.

Disks that refuse or dawdle are test_disk_rows.py; docs/faults.md says which row of faults is where.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.support.builders.platform_in_process import BOUNDS, LANE, SmallPlatform, ts_event
from tests.support.faults.dying_processes import Death, Died, DyingDisk, PowerLost
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.replay.replay import replay
from trading_platform.store.fs.disk import REAL_DISK
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake import staging
from trading_platform.store.ledger import Ledger
from trading_platform.store.log.segment_files import sealed_numbers, sealed_path, segment_path
from trading_platform.store.verify import verify_store
from trading_platform.venues import VENUES

IDS = range(90, 110)
Tear = Callable[[bytes], bytes]


def truncated(data: bytes) -> bytes:
    """The end is missing."""
    return data[: len(data) * 2 // 3]


def zeroed(data: bytes) -> bytes:
    """The end was never written."""
    return truncated(data).ljust(len(data), b"\0")


def followed(data: bytes) -> bytes:
    """Old contents of the disk come behind the end."""
    return data + Random(1).randbytes(300)


TEARS = [truncated, zeroed, followed]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[SmallPlatform]:
    """Twenty trades of two days, published, in segments that are sealed but for the newest."""
    platform = SmallPlatform(tmp_path / "data")
    platform.start()
    platform.record(IDS)
    platform.stop()
    platform.process()
    platform.publish()
    platform.keep()
    yield platform
    platform.close()


def rebuild(platform: SmallPlatform) -> None:
    every_day = {"days": lambda day: True, "scratch": None, "on_lane": lambda lane: None}
    replay(platform.data, platform.ledger, VENUES, BOUNDS, pass_all, **every_day)


def numbers(platform: SmallPlatform) -> list[int]:
    return [number for _, number in platform.held()]


def violations(platform: SmallPlatform) -> tuple[object, ...]:
    return verify_store(platform.data, platform.ledger, {"ticks": pass_all}).violations


# ---- D8: zero-filled and truncated tails, trailing garbage (segments being written: test_lane_bytes.py)


@pytest.mark.parametrize("tear", TEARS)
def test_a_torn_lake_file_is_told_and_made_again(
    platform: SmallPlatform, tear: Tear, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is served from it or merges into it; a replay puts the very same file in its place."""
    whole = platform.lake_bytes()
    path = next(iter(sorted(platform.data.lake.rglob("*.parquet"))))
    torn = tear(path.read_bytes())
    path.write_bytes(torn)
    assert [violation.check for violation in violations(platform)].count("checksum") == 1
    platform.start()
    platform.record([*IDS, 110])
    platform.stop()
    platform.process()
    platform.publish()
    said = capsys.readouterr().out
    assert "damaged, not published" in said
    assert str(path) in said
    assert path.read_bytes() == torn
    assert staging.parts(platform.data), "what came since waits in staging"
    rebuild(platform)
    assert platform.lake_bytes().keys() == whole.keys()
    assert (
        platform.lake_bytes()[str(path.relative_to(platform.data.lake))]
        == whole[str(path.relative_to(platform.data.lake))]
    )
    assert numbers(platform) == [*IDS, 110]
    assert violations(platform) == ()


@pytest.mark.parametrize("tear", TEARS)
def test_a_torn_sealed_segment_is_told_and_replaces_nothing(platform: SmallPlatform, tear: Tear) -> None:
    """A replay names the segment and leaves the lake as it is; recording goes on beside it."""
    whole = platform.lake_bytes()
    number = sealed_numbers(platform.data.lane(LANE), REAL_DISK)[1]
    path = sealed_path(platform.data.lane(LANE), number)
    path.write_bytes(tear(path.read_bytes()))
    with pytest.raises(CorruptionError, match="the log is damaged"):
        rebuild(platform)
    assert platform.lake_bytes() == whole
    platform.start()
    platform.record([110])
    platform.stop()
    platform.process()
    platform.publish()
    assert numbers(platform) == [*IDS, 110]


@pytest.mark.parametrize("tear", TEARS)
def test_a_torn_part_is_told_and_its_trades_come_from_the_log(
    platform: SmallPlatform, tear: Tear, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part that is not as written is not merged; the lake keeps what it had, and a replay brings what is missing."""
    whole = platform.lake_bytes()
    platform.start()
    platform.record([110, 111])
    platform.stop()
    platform.process()
    ((_, (part,)),) = staging.parts(platform.data).items()
    part.write_bytes(tear(part.read_bytes()))
    platform.publish()
    said = capsys.readouterr().out
    assert "damaged, not published" in said
    assert part.name in said
    assert platform.lake_bytes() == whole
    part.unlink()
    rebuild(platform)
    assert numbers(platform) == [*IDS, 110, 111]
    assert violations(platform) == ()


# ---- D9: a rename is lost, and the file is back under its temporary name


class _Nothing(Random):
    """A power loss that takes everything that was not synced, names included."""

    def choice(self, options):
        return options[-1]

    def randrange(self, *_: int) -> int:
        return 1


def live(platform: SmallPlatform) -> None:
    platform.start()
    platform.record(range(97, 101))
    platform.process()
    platform.publish()
    platform.record(range(101, 104))
    platform.stop()
    platform.process()
    platform.publish()
    platform.keep()


def watched(root: Path) -> tuple[DyingDisk, SmallPlatform]:
    Ledger.open(DataDir(root).create()).close()
    disk = DyingDisk(root)
    return disk, SmallPlatform(root, disk=disk, segment_bytes=1700)


def renames(root: Path) -> list[int]:
    """Return the numbers of the operations that rename, of the whole way."""
    disk, platform = watched(root)
    seen: list[str] = []
    disk.each = lambda name, path: seen.append(name)
    live(platform)
    platform.close()
    return [number for number, name in enumerate(seen, start=1) if name == "rename"]


def test_after_any_lost_rename_all_is_made_again(tmp_path: Path) -> None:
    """Power goes right after each rename, which is undone: nothing acknowledged is lost, no temporary file is left."""
    found = renames(tmp_path / "whole")
    assert len(found) >= 8
    for number in found:
        disk, platform = watched(tmp_path / str(number))
        with disk.process(number + 1, Death(PowerLost)), pytest.raises(Died):
            live(platform)
        if platform.writer is not None:
            platform.writer._lock.release()
        disk.lose_power(_Nothing())
        acknowledged = {number for _, number in platform.acknowledged}
        platform.close()
        again = SmallPlatform(disk.root, segment_bytes=1700, seed=5)
        again.now_ns = ts_event(999)
        again.start()
        again.record([999])
        again.stop()
        again.process()
        again.publish()
        again.keep()
        held = numbers(again)
        assert len(held) == len(set(held))
        assert acknowledged | {999} <= set(held)
        assert violations(again) == ()
        again.close()
        assert [path for path in again.data.lake.rglob("*") if path.is_file() and path.suffix != ".parquet"] == []
        assert not list(again.data.log.rglob("*.aside"))
        shutil.rmtree(disk.root)


# ---- D11: a segment is gone of which the ledger still speaks


def test_killed_between_two_retirements_everything_goes_on(tmp_path: Path) -> None:
    """Death right after a segment's removal: the next start sees it gone as usual and goes on, again and again."""
    disk, platform = watched(tmp_path / "data")
    platform.start()
    platform.record(IDS)
    platform.stop()
    platform.process()
    platform.publish()
    platform.keep()
    segments = sealed_numbers(platform.data.lane(LANE), REAL_DISK)
    gone = 0
    for at in range(1, 40, 3):
        with disk.process(at, Death(Died)):
            try:
                platform.keep(retention_ns=0)
            except Died:
                gone = len(segments) - len(sealed_numbers(platform.data.lane(LANE), REAL_DISK))
        platform.start()
        platform.record([110 + at])
        platform.stop()
        platform.process()
        platform.publish()
        assert violations(platform) == ()
    assert gone > 0
    assert numbers(platform) == [*IDS, *range(111, 150, 3)]
    platform.close()


def test_a_segment_gone_before_it_was_decoded_is_told_once(platform: SmallPlatform, tmp_path: Path) -> None:
    """An older ledger comes back, the log it speaks of does not: what is left is decoded, what is gone is told."""
    directory = platform.data.lane(LANE)
    second = sealed_numbers(directory, REAL_DISK)[1]
    assert not segment_path(directory, second).exists()
    sealed_path(directory, second).unlink()
    data = DataDir(tmp_path / "again").create()
    shutil.copytree(platform.data.log, data.log, dirs_exist_ok=True)
    again = SmallPlatform(data.root)
    for _ in range(3):
        again.process()
        again.publish()
    told = [kind for (_, _, kind), times in again.ledger.quarantined().items() for _ in range(times)]
    assert told.count("corruption") == 1
    held = numbers(again)
    assert set(held) < set(IDS)
    assert len(held) > len(IDS) // 2
    account = again.ledger.state("binance", "BTC-USDT")
    assert {n for a, b in account.open() for n in range(a, b + 1)} == set(range(held[0], held[-1])) - set(held)
    assert violations(again) == ()
    again.close()


# ---- D12: a folder that may not be entered, or belongs to someone else

SOMEBODY = 65534
COMMANDS = {
    "ingest": ["--venue", "binance", "--symbols", "BTC-USDT", "--ws-url", "ws://127.0.0.1:9", "--seconds", "0"],
    "status": [],
    "verify": [],
    "up": ["--no-ui"],
}


def run_as_a_user(command: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    """Run a command without the power of root to pass over permissions."""
    words = [sys.executable, "-m", "trading_platform", command, *COMMANDS[command], "--data-dir", str(data_dir)]
    if os.getuid() == 0:
        words = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *words]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_data_directory_that_may_not_be_entered_is_named_at_once(tmp_path: Path, command: str) -> None:
    """One line names the folder and what to do, exit 2; no traceback, nothing is waited for or begun."""
    SmallPlatform(tmp_path / "data").close()
    (tmp_path / "data").chmod(0o000)
    try:
        refused(run_as_a_user(command, tmp_path / "data"), tmp_path / "data")
    finally:
        (tmp_path / "data").chmod(0o755)


@pytest.mark.parametrize("folder", ["log/live-binance", "ledger.sqlite", "staging"])
def test_what_belongs_to_someone_else_is_named(tmp_path: Path, folder: str) -> None:
    """A part of the data directory that another user made, as after a run as root, is refused by its own name."""
    platform = SmallPlatform(tmp_path / "data")
    platform.start()
    platform.stop()
    platform.close()
    path = tmp_path / "data" / folder
    os.chown(path, SOMEBODY, SOMEBODY) if os.getuid() == 0 else path.chmod(0o400)
    path.chmod(0o644 if path.is_file() else 0o755 if os.getuid() == 0 else 0o400)
    refused(run_as_a_user("ingest", tmp_path / "data"), path)


def refused(done: subprocess.CompletedProcess[str], path: Path) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{path} cannot be read and written" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_data_directory_of_ours_is_not_refused(tmp_path: Path) -> None:
    """Negative control: with its permissions in order the same command, by the same user, does its work."""
    platform = SmallPlatform(tmp_path / "data")
    platform.start()
    platform.stop()
    platform.close()
    done = run_as_a_user("verify", tmp_path / "data")
    assert done.returncode == 0, done.stdout + done.stderr

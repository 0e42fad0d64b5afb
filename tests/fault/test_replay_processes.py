"""Several processes replay what one would: the same bytes, whoever of them is killed, and whenever."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import psutil
import pytest

from quality.schemas import GATES
from tests.support.builders.ingest_process import COMMAND
from tests.support.builders.platform_in_process import BOUNDS, SmallPlatform
from tests.support.waiting import wait_until
from trading_platform.commands.workers.replay_worker import VARIABLE, HelperConfig
from trading_platform.domain.errors import CorruptionError, StorageError
from trading_platform.ingest.replay.helpers import Task
from trading_platform.ingest.replay.replay import Replayed, WorkerPool, replay
from trading_platform.processes import worker_process as children
from trading_platform.store.fs.disk import REAL_DISK
from trading_platform.store.lake import publish as lake
from trading_platform.store.ledger import Ledger
from trading_platform.store.log.segment_files import sealed_numbers, sealed_path
from trading_platform.venues import VENUES

HELPER = "trading_platform.commands.workers.replay_worker"


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[SmallPlatform]:
    """Trades of two symbols over two days, published, in more than twenty sealed segments; then the lake is ruined."""
    platform = SmallPlatform(tmp_path / "data")
    platform.start()
    for start in range(40, 160, 5):
        platform.record(range(start, start + 5))
        platform.record(range(start, start + 4), venue_symbol="ETHUSDT")
    platform.stop()
    platform.process()
    platform.publish()
    assert len(platform.keep().sealed) > 20
    yield platform
    platform.close()


def ruin(platform: SmallPlatform) -> None:
    """Lose one leaf, damage another."""
    first, second, *_ = lake.leaves(platform.data, "ticks")
    (platform.data.lake / first.path).unlink()
    path = platform.data.lake / second.path
    path.write_bytes(path.read_bytes()[:-20])


def pool(platform: SmallPlatform, *, kill: int | None = None, processes: int = 3) -> WorkerPool:
    """Return what starts helpers; one of them is killed at once if wanted."""

    def start(task: Task, locks: Sequence[int]) -> children.Child:
        config = HelperConfig(task, str(platform.data.root), "2020-01-01", None)
        environ = {VARIABLE: msgspec.json.encode(config).decode()}
        child = children.start(f"helper {task.number}", [HELPER], environ, descriptors=locks)
        if task.number == kill:
            os.kill(child.pid, signal.SIGKILL)
        return child

    return WorkerPool(processes, start, each=1)


def replay_all(platform: SmallPlatform, helped_by: WorkerPool | None, scratch: Ledger | None = None) -> Replayed:
    """Rebuild everything."""
    return replay(
        platform.data,
        platform.ledger,
        VENUES,
        BOUNDS,
        GATES["ticks"],
        days=lambda day: True,
        scratch=scratch,
        on_lane=lambda lane: None,
        pool=helped_by,
    )


def test_three_processes_give_the_bytes_of_one(platform: SmallPlatform) -> None:
    """A ruined lake comes back byte for byte, and the ledger knows the same of every leaf."""
    files, known = platform.lake_bytes(), platform.ledger.leaves("ticks")
    ruin(platform)
    done = replay_all(platform, pool(platform))
    assert platform.lake_bytes() == files
    assert platform.ledger.leaves("ticks") == known
    ruin(platform)
    assert replay_all(platform, None) == done == (1, len(platform.acknowledged), 4)
    assert platform.lake_bytes() == files
    assert not (platform.data.staging / "replay").exists()


def test_a_helper_that_is_killed_ends_the_replay_and_changes_nothing(platform: SmallPlatform) -> None:
    """The replay says who is missing and leaves the lake as it was; the next one completes."""
    files = platform.lake_bytes()
    ruin(platform)
    ruined = platform.lake_bytes()
    with pytest.raises(StorageError, match="ended with code -9"):
        replay_all(platform, pool(platform, kill=1))
    assert platform.lake_bytes() == ruined
    replay_all(platform, pool(platform, processes=2))
    assert platform.lake_bytes() == files


def test_a_damaged_segment_is_named_whoever_finds_it(platform: SmallPlatform) -> None:
    """A flipped bit in a segment that a helper or the replay itself decodes refuses the whole replay."""
    ruin(platform)
    ruined = platform.lake_bytes()
    directory = platform.data.lane("live-binance")
    for number in sealed_numbers(directory, REAL_DISK):
        path = sealed_path(directory, number)
        data = bytearray(path.read_bytes())
        data[40] ^= 4
        path.write_bytes(data)
    with pytest.raises(CorruptionError, match="the log is damaged"):
        replay_all(platform, pool(platform, processes=2))
    assert platform.lake_bytes() == ruined


@pytest.mark.parametrize("after", ["share-0", "plan"])
def test_kill_9_of_the_replay_takes_its_helpers_along(platform: SmallPlatform, after: str) -> None:
    """Killed while its helpers work, it leaves no process, no lock and no leaf that is neither old nor new."""
    files = platform.lake_bytes()
    ruin(platform)
    words = [*COMMAND, "replay", "--processes", "3", "--data-dir", str(platform.data.root)]
    command = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    scratch = platform.data.staging / "replay" / after
    wait_until(lambda: scratch.exists() or command.poll() is not None, every_s=0.001, timeout_s=60)
    helpers = psutil.Process(command.pid).children() if command.poll() is None else []
    command.kill()
    command.wait()
    wait_until(lambda: not any(helper.is_running() for helper in helpers), timeout_s=5, what="helpers end")
    for name, data in platform.lake_bytes().items():
        assert data in (files[name], files[name][:-20])
    replay_all(platform, pool(platform, processes=2))
    assert platform.lake_bytes() == files


def test_the_command_says_what_it_did(platform: SmallPlatform) -> None:
    """With three processes the command exits 0, and a count below one is refused."""
    files = platform.lake_bytes()
    ruin(platform)
    words = [*COMMAND, "replay", "--json", "--data-dir", str(platform.data.root)]
    done = subprocess.run([*words, "--processes", "3"], capture_output=True, text=True, check=True, timeout=60)
    assert msgspec.json.decode(done.stdout)["trades"] == len(platform.acknowledged)
    assert platform.lake_bytes() == files
    assert subprocess.run([*words, "--processes", "0"], capture_output=True, check=False, timeout=60).returncode == 2

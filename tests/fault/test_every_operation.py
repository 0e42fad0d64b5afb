"""Crash at every operation, from the log to retention: nothing acknowledged is lost, nothing is twice, all adds up.

One run of a small recording touches the disk a few hundred times. At these operations, in the middle of each write
and around each commit of the ledger, copies are made of what a killed process and of what a power loss would leave.
Each copy is brought up again, drained and judged: at all operations in the campaign, at every other one in the suite.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.support.builders.platform_in_process import SmallPlatform, ts_event
from tests.support.faults.crash_points import WatchedDisk
from tests.support.judges import evidence
from trading_platform.domain.errors import PlatformError
from trading_platform.domain.verdict import pass_all
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake import merge
from trading_platform.store.ledger import Ledger
from trading_platform.store.verify import verify_store

SEGMENT_BYTES = 1700
LATE = 999


def live(platform: SmallPlatform) -> None:
    """Record, decode, stage, publish, seal and retire, more than once and in turn, with copies of known trades."""
    platform.start()
    platform.record(range(95, 99))
    platform.process()
    platform.publish()
    platform.record(range(97, 103))
    platform.stop()
    platform.process()
    platform.publish()
    platform.keep()
    platform.start()
    platform.record([96, 103, 104])
    platform.stop()
    platform.process()
    platform.publish()
    platform.keep(retention_ns=0)


def judge(root: Path, acknowledged: set[tuple[str, int]], appended: set[tuple[str, int]]) -> None:
    """Bring up what a crash left, drain it, and compare with what was acknowledged."""
    platform = SmallPlatform(root, segment_bytes=SEGMENT_BYTES, seed=77)
    try:
        platform.now_ns = ts_event(LATE)
        recovered = platform.start().recovered
        assert recovered.damaged == ()
        platform.record([LATE])
        platform.stop()
        platform.process()
        platform.publish()
        held = platform.held()
        assert len(held) == len(set(held)), "a trade twice"
        assert acknowledged <= set(held), "acknowledged trades lost"
        assert set(held) <= appended | {("BTC-USDT", LATE)}, "trades that never were"
        assert verify_store(platform.data, platform.ledger, {"ticks": pass_all}).violations == ()
    finally:
        platform.close()


class Crashes:
    """Judges a copy at the operations that `wanted` picks; counts operations and failures."""

    def __init__(
        self,
        root: Path,
        scratch: Path,
        *,
        seeds: Callable[[int], int],
        kills: Callable[[int], bool],
        honest: bool = True,
    ) -> None:
        self.seen: Counter[str] = Counter()
        self.judged: Counter[str] = Counter()
        self.cases = 0
        self.failures: list[str] = []
        self._scratch, self._seeds, self._kills = scratch, seeds, kills
        self.disk = WatchedDisk(root, self.crash, honest=honest)
        Ledger.open(DataDir(root).create()).close()
        self.platform = SmallPlatform(root, disk=self.disk, segment_bytes=SEGMENT_BYTES)
        self.disk.watch_commits(self.platform.ledger.database.engine, self.platform.data.ledger_path)

    def run(self) -> None:
        """Live once, crashing everywhere."""
        live(self.platform)
        self.crash("end", Path())
        self.platform.close()

    def crash(self, name: str, path: Path, *, seeds: int | None = None) -> None:
        """Judge what a crash now would leave."""
        number = self.seen.total()
        self.seen[name] += 1
        many = self._seeds(number) if seeds is None else seeds
        randoms: list[Random | None] = [Random(f"{number} {seed}") for seed in range(many)]
        if self._kills(number):
            randoms.append(None)
        for random in randoms:
            self.cases += 1
            self.judged[name] += 1
            left = self.disk.left(self._scratch / "left", random)
            try:
                judge(left, set(self.platform.acknowledged), set(self.platform.appended))
            except (AssertionError, PlatformError) as error:
                how = "kill" if random is None else "power loss"
                self.failures.append(f"{how} before operation {number}, {name} {path.name}: {error}"[:300])
            shutil.rmtree(left)


def crash_everywhere(tmp_path: Path, **how: object) -> Crashes:
    """Run the whole way once and crash at each operation."""
    crashes = Crashes(tmp_path / "data", tmp_path, **how)  # type: ignore[arg-type]
    crashes.run()
    return crashes


@pytest.mark.timeout(600)
def test_a_crash_at_any_operation_loses_nothing(memory_path: Path) -> None:
    """Power lost at every other operation, and between them a kill: all acknowledged trades are held, each once."""
    crashes = crash_everywhere(memory_path, seeds=lambda number: (number + 1) % 2, kills=lambda number: number % 4 == 1)
    assert crashes.failures == []
    assert crashes.seen.total() > 200
    kinds = {
        "create",
        "write",
        "half a write",
        "sync",
        "rename",
        "unlink",
        "sync directory",
        "ledger commit",
        "truncate",
    }
    assert kinds <= set(crashes.judged)


def test_a_disk_that_does_not_sync_loses_trades(memory_path: Path) -> None:
    """Negative control: where syncing does nothing, the same crashes lose what was acknowledged."""
    crashes = Crashes(
        memory_path / "data", memory_path, seeds=lambda number: 0, kills=lambda number: False, honest=False
    )
    crashes.run()
    for _ in range(8):
        crashes.crash("later", Path(), seeds=1)
    assert len(crashes.failures) == 8


def test_without_removing_duplicates_a_crash_shows_them(memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: where copies are not merged, the judge sees trades twice."""

    def all_of_them(copies):
        rows = copies.drop_columns([merge.ORIGIN]).sort_by([("epoch", "ascending"), ("trade_id", "ascending")])
        return merge.Merged(rows, rows.slice(0, 0), [])

    monkeypatch.setattr(merge, "merge", all_of_them)
    crashes = Crashes(memory_path / "data", memory_path, seeds=lambda number: 0, kills=lambda number: number % 25 == 24)
    crashes.run()
    assert any("twice" in failure for failure in crashes.failures)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_crashes_everywhere_many_times(memory_path: Path) -> None:
    """Each operation with a kill and twelve power losses, each of which loses something else."""
    crashes = crash_everywhere(memory_path, seeds=lambda number: 12, kills=lambda number: True)
    figures = {"operations": crashes.seen.total(), "crashes judged": crashes.cases, "failures": len(crashes.failures)}
    evidence.write(
        "crash-at-every-operation",
        "A crash at every operation, log to retention",
        figures,
        rows=[{"operation": name, "times": times} for name, times in sorted(crashes.seen.items())],
        notes="Judged: every acknowledged trade held once, no other held, `verify` finds nothing. Controls: a disk "
        "whose sync does nothing loses trades; without merging copies trades are held twice.",
    )
    assert crashes.failures == []


@pytest.fixture
def memory_path(tmp_path: Path) -> Path:
    """A folder in memory where there is one: what is durable is told by the harness, so real syncing only costs."""
    memory = Path("/dev/shm")  # noqa: S108  a folder of our own below it
    if not memory.is_dir():
        return tmp_path
    folder = memory / f"crashes-{tmp_path.name}-{id(tmp_path)}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)

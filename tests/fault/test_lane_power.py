"""Power lost at every operation of the disk: all that was acknowledged is there, and nothing else than was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.support.builders.log_lanes import append_numbered, open_lane, read_numbers
from tests.support.faults.lossy_disk import MemoryDisk, PowerLoss
from trading_platform.domain.errors import PlatformError, StorageError
from trading_platform.store.log.writer import LaneWriter

SEGMENT_BYTES = 2048


@pytest.fixture
def lane(tmp_path: Path) -> Path:
    """The place of a lane; its directory is there, for the lock, which is real."""
    (tmp_path / "live-a").mkdir()
    return tmp_path / "live-a"


class Life:
    """A writer's life on a disk that may die: openings, commits over several segments, orderly and unclean ends."""

    def __init__(self, lane: Path, disk: MemoryDisk) -> None:
        self.lane, self.disk = lane, disk
        self.appended = 0
        self.acknowledged = 0
        self.writer: LaneWriter | None = None

    def run(self) -> bool:
        """Live it; tell whether it came to its end."""
        try:
            for opening in range(3):
                self.writer = open_lane(self.lane, disk=self.disk, segment_bytes=SEGMENT_BYTES, seed=opening)
                for batch in (1, 12, 4, 20):
                    append_numbered(self.writer, range(self.appended, self.appended + batch))
                    self.appended += batch
                    self.writer.commit()
                    self.acknowledged = self.appended
                self.writer.close()
        except PowerLoss:
            if self.writer is not None:
                # The process is gone with the machine; only this one's lock must be given back by hand.
                self.writer._lock.release()
            return False
        return True


def recovered_numbers(lane: Path, disk: MemoryDisk, seed: int) -> list[int]:
    """Open the lane again, add one record, and return all numbers in it."""
    with open_lane(lane, disk=disk, segment_bytes=SEGMENT_BYTES, seed=seed) as writer:
        assert writer.recovered.damaged == ()
        append_numbered(writer, [10**6])
    return read_numbers(lane, disk=disk)


def refuse_at(refused: int) -> Callable[[str, Path, int], Exception | None]:
    return lambda name, path, number: StorageError("refused") if number == refused else None


def total_operations(lane: Path) -> int:
    disk = MemoryDisk()
    assert Life(lane, disk).run()
    return len(disk.operations)


@pytest.mark.parametrize("die", ["before", "half", "after"])
def test_power_lost_at_any_operation_loses_nothing_acknowledged(lane: Path, die: str) -> None:
    """Recovered is a prefix of what was appended, at least all that was committed, with no corruption seen."""
    total = total_operations(lane)
    assert total > 80
    for die_at in range(total):
        disk = MemoryDisk(die_at=die_at, die=die)
        life = Life(lane, disk)
        assert not life.run()
        for seed in range(6):
            numbers = recovered_numbers(lane, disk.after_power_loss(Random(f"{die_at} {seed}")), seed=99)
            assert numbers[-1] == 10**6
            assert numbers[:-1] == list(range(len(numbers) - 1)), (die_at, seed)
            assert life.acknowledged <= len(numbers) - 1 <= life.appended, (die_at, seed)


def test_power_lost_again_while_recovering_loses_nothing(lane: Path) -> None:
    """Recovery that dies at any of its own operations, and runs again, comes to the same end."""
    random = Random(7)
    for die_at in range(3, total_operations(lane), 5):
        disk = MemoryDisk(die_at=die_at, die=random.choice(["before", "half", "after"]))
        life = Life(lane, disk)
        life.run()
        found = disk.after_power_loss(random)
        for second in range(12):
            again = found.after_kill()
            again.die_at, again.die = second, random.choice(["before", "half", "after"])
            try:
                open_lane(lane, disk=again, segment_bytes=SEGMENT_BYTES, seed=77).close()
            except PowerLoss:
                again = again.after_power_loss(random)
            again.die_at = None
            numbers = recovered_numbers(lane, again, seed=99)[:-1]
            assert numbers == list(range(len(numbers)))
            assert life.acknowledged <= len(numbers) <= life.appended


def test_a_process_killed_at_any_operation_loses_nothing_acknowledged(lane: Path) -> None:
    """With the machine still up, every record whose write was reached is kept as well."""
    for die_at in range(total_operations(lane)):
        disk = MemoryDisk(die_at=die_at, die="after")
        life = Life(lane, disk)
        life.run()
        numbers = recovered_numbers(lane, disk.after_kill(), seed=99)[:-1]
        assert numbers == list(range(len(numbers)))
        assert life.acknowledged <= len(numbers) <= life.appended


def test_a_disk_that_does_not_sync_loses_acknowledged_records(lane: Path) -> None:
    """Negative control: where sync does nothing, the same harness sees records lost or corruption reported."""
    caught = 0
    for seed in range(20):
        disk = MemoryDisk(honest=False, die_at=60)
        life = Life(lane, disk)
        life.run()
        assert life.acknowledged > 0
        try:
            numbers = recovered_numbers(lane, disk.after_power_loss(Random(seed)), seed=99)[:-1]
            caught += len(numbers) < life.acknowledged
        except (AssertionError, PlatformError):
            caught += 1
    assert caught > 15


def test_an_error_at_any_operation_is_an_error_and_loses_nothing(lane: Path) -> None:
    """A disk that refuses any one operation stops the writer with a storage error; a new opening has it all."""
    for refused in range(total_operations(lane)):
        disk = MemoryDisk(fail=refuse_at(refused))
        life = Life(lane, disk)
        try:
            ended = life.run()
        except StorageError:
            ended = False
            if life.writer is not None:
                life.writer.close()
        disk.fail = lambda name, path, number: None
        numbers = recovered_numbers(lane, disk, seed=99)[:-1]
        assert numbers == list(range(len(numbers)))
        assert life.acknowledged <= len(numbers) <= life.appended
        assert not ended or len(numbers) == life.appended

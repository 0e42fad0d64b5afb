"""Any order of appends, commits, openings, kills and power losses: the lane is what its writers were promised."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.builders.log_lanes import append_numbered, number_of, open_lane, read_numbers
from tests.support.faults.lossy_disk import MemoryDisk
from trading_platform.domain.errors import PlatformError, StorageError
from trading_platform.domain.position import Position
from trading_platform.store.log.writer import LaneReader, LaneWriter


class LaneMachine(RuleBasedStateMachine):
    """The model: the numbers that are in the lane for certain, and those that may follow them after a crash."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="lane-"))
        self.lane = self.root / "live-a"
        self.lane.mkdir()
        self.disk = MemoryDisk()
        self.certain: list[int] = []
        self.pending: list[int] = []
        self.next = 0
        self.seen: list[int] = []
        self.position = Position(0, 0)
        self.writer: LaneWriter | None = None

    @initialize(segment_bytes=st.sampled_from([1100, 1500, 4096, 1 << 16]), background=st.booleans())
    def choose_size(self, segment_bytes: int, background: bool) -> None:
        """Small segments turn often; the next one is made by commits or apart from them."""
        self.segment_bytes, self.background = segment_bytes, background

    @precondition(lambda self: self.writer is None)
    @rule(seed=st.integers(0, 2**32))
    def open(self, seed: int) -> None:
        """Opening finds all that is certain, and of the rest a prefix, which is certain from now on."""
        self.writer = open_lane(
            self.lane, disk=self.disk, segment_bytes=self.segment_bytes, seed=seed, background=self.background
        )
        assert self.writer.recovered.damaged == ()
        numbers = read_numbers(self.lane, disk=self.disk)
        assert numbers[: len(self.certain)] == self.certain
        rest = numbers[len(self.certain) :]
        assert rest == self.pending[: len(rest)]
        self.certain, self.pending = numbers, []

    @precondition(lambda self: self.writer is not None)
    @rule(count=st.integers(1, 30))
    def append(self, count: int) -> None:
        """Appended records are pending."""
        assert self.writer is not None
        numbers = list(range(self.next, self.next + count))
        append_numbered(self.writer, numbers)
        self.pending += numbers
        self.next += count

    @precondition(lambda self: self.writer is not None)
    @rule()
    def commit(self) -> None:
        """Committed records are certain."""
        assert self.writer is not None
        self.writer.commit()
        assert self.writer.pending_bytes == 0
        self.certain, self.pending = self.certain + self.pending, []

    @precondition(lambda self: self.writer is not None)
    @rule()
    def zero_ahead(self) -> None:
        """Space for the next segment is made between commits, at any moment."""
        assert self.writer is not None
        self.writer.zero_ahead()

    @precondition(lambda self: self.writer is not None)
    @rule()
    def close(self) -> None:
        """An orderly close commits."""
        assert self.writer is not None
        self.writer.close()
        self.writer = None
        self.certain, self.pending = self.certain + self.pending, []

    @precondition(lambda self: self.writer is not None)
    @rule(after=st.integers(0, 8))
    def fail(self, after: int) -> None:
        """The disk refuses an operation during a commit; the writer is done for."""
        assert self.writer is not None
        refused = len(self.disk.operations) + after
        self.disk.fail = lambda name, path, number: StorageError("refused") if number == refused else None
        try:
            self.writer.commit()
        except StorageError:
            self.writer.close()
            self.writer = None
        else:
            self.certain, self.pending = self.certain + self.pending, []
        self.disk.fail = lambda name, path, number: None

    @rule()
    def kill(self) -> None:
        """The process dies; what it had written stays."""
        self._abandon()
        self.disk = self.disk.after_kill()

    @rule(seed=st.integers(0, 2**32))
    def lose_power(self, seed: int) -> None:
        """The machine dies; of what was not synced any part stays."""
        self._abandon()
        self.disk = self.disk.after_power_loss(Random(seed))

    @rule(limit=st.sampled_from([1, 100, 1 << 20]))
    def read(self, limit: int) -> None:
        """A reader that keeps its position over everything sees each certain record once, in order."""
        with LaneReader(self.lane, start=self.position, disk=self.disk) as reader:
            self.seen += [number_of(record) for record in reader.read(limit)]
            self.position = reader.position

    @invariant()
    def seen_is_certain(self) -> None:
        """Nothing is ever served that could still be lost; nothing served is lost afterwards."""
        assert self.seen == (self.certain + self.pending)[: len(self.seen)]
        if self.writer is not None:
            assert len(self.seen) <= len(self.certain)

    def _abandon(self) -> None:
        if self.writer is not None:
            self.writer._lock.release()
            self.writer = None

    def teardown(self) -> None:
        """Everything certain is still there at the end."""
        try:
            if self.writer is None:
                self.open(0)
            assert self.writer is not None
            self.writer.close()
            assert read_numbers(self.lane, disk=self.disk)[: len(self.certain)] == self.certain
        finally:
            shutil.rmtree(self.root)


LaneMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestLaneMachine = LaneMachine.TestCase


class LyingDiskMachine(LaneMachine):
    """The same machine on a disk whose sync does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = MemoryDisk(honest=False)


def test_the_machine_notices_a_disk_that_does_not_sync() -> None:
    """Negative control: on such a disk the same rules find what was promised and lost, or corruption."""
    with pytest.raises((AssertionError, PlatformError)):
        run_state_machine_as_test(
            LyingDiskMachine, settings=settings(max_examples=150, phases=[Phase.generate], report_multiple_bugs=False)
        )

"""A lane between real processes: one writes, one reads, the writer is killed with -9."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.builders.log_lanes import append_numbered, number_of, open_lane, read_numbers
from tests.support.waiting import wait_until
from trading_platform.domain.errors import LockHeld
from trading_platform.domain.position import Position
from trading_platform.store.fs.locks import FileLock, held_by
from trading_platform.store.log.writer import LaneReader, durable_position, recover_lane

WRITE = """
import sys
from itertools import count
from pathlib import Path
from tests.support.builders.log_lanes import append_numbered, open_lane
writer = open_lane(Path(sys.argv[1]), segment_bytes=1 << 16, seed=int(sys.argv[2]))
number = int(sys.argv[3])
for batch in count(1):
    append_numbered(writer, range(number, number + batch % 50 + 1))
    number += batch % 50 + 1
    sys.stdout.write(f"{number} {writer.commit()}\\n")
    sys.stdout.flush()
"""


@contextmanager
def endless_writer(lane: Path, seed: int, first: int) -> Iterator[subprocess.Popen[str]]:
    """Run a process that appends, commits and acknowledges on its output until it is killed."""
    command = [sys.executable, "-c", WRITE, str(lane), str(seed), str(first)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def test_kill_9_of_the_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """A reader beside the writer sees a growing prefix; after kill -9 every acknowledged record is recovered."""
    lane = tmp_path / "live-a"
    told: list[object] = []
    acknowledged, position, seen = 0, Position(0, 0), 0
    with LaneReader(lane, on_damage=told.append) as reader:
        for life in range(3):
            first = seen
            with endless_writer(lane, life, first) as child:
                assert child.stdout is not None
                for _ in range(60 + 25 * life):
                    number, _, text = child.stdout.readline().partition(" ")
                    acknowledged, position = int(number), Position.parse(text.strip())
                    for record in reader.read():
                        assert number_of(record) == seen
                        seen += 1
                    assert reader.position <= durable_position(lane)
                child.send_signal(signal.SIGKILL)
                # What it had still written into the pipe is acknowledged too.
                for line in child.stdout.read().splitlines():
                    number, _, text = line.partition(" ")
                    acknowledged, position = int(number), Position.parse(text)
            assert held_by(lane / "lock") is None
            assert durable_position(lane) >= position
            recovered = recover_lane(lane)
            assert recovered.end >= position
            for records in iter(reader.read, []):
                for record in records:
                    assert number_of(record) == seen
                    seen += 1
            assert seen >= acknowledged
            assert reader.position == recovered.end
    assert told == []
    assert read_numbers(lane) == list(range(seen))


def test_a_live_writer_keeps_its_lane(tmp_path: Path) -> None:
    """A second writer is told the first one's pid, and gets the lane once that one is dead."""
    lane = tmp_path / "live-a"
    with endless_writer(lane, 0, 0) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(LockHeld, match=f"lane live-a is in use by process {child.pid}"):
            open_lane(lane)
        assert held_by(lane / "lock") == child.pid
        child.kill()
        child.wait()
        with open_lane(lane, seed=1) as writer:
            append_numbered(writer, [7])


def test_a_stopped_writer_holds_its_lane_and_its_reader_waits(tmp_path: Path) -> None:
    """A writer that is stopped, not dead, keeps the lock; its reader reads up to the mark and no further."""
    lane = tmp_path / "live-a"
    with endless_writer(lane, 0, 0) as child, LaneReader(lane) as reader:
        assert child.stdout is not None
        for _ in range(20):
            line = child.stdout.readline()
        child.send_signal(signal.SIGSTOP)
        wait_until(lambda: "(stopped)" in Path(f"/proc/{child.pid}/status").read_text(), what="the writer is stopped")
        for _ in iter(reader.read, []):
            assert reader.position <= durable_position(lane)
        assert reader.read() == []
        assert reader.position == durable_position(lane) >= Position.parse(line.split()[1])
        with pytest.raises(LockHeld):
            FileLock.acquire(lane / "lock", "the lane")
        child.send_signal(signal.SIGCONT)
        assert child.stdout.readline()

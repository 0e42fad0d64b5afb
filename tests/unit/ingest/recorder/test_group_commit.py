"""Group commit: what arrives during a commit goes into the next one, at once and whole."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from tests.support.builders.log_lanes import read_all
from trading_platform.domain.errors import StorageError
from trading_platform.ingest.recorder.group_commit import HIGH_WATER_BYTES, RUN_NS, Backlog, Committer
from trading_platform.ingest.transport.frame_batch import Packed
from trading_platform.store.log.writer import Kind, LaneWriter


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


class Gate:
    """A lane's writer whose commits wait until they are let through."""

    def __init__(self, writer: LaneWriter) -> None:
        self.append, self.append_packed = writer.append, writer.append_packed
        self.entered, self.open = threading.Event(), threading.Event()
        self._writer = writer
        self.commits = 0

    def commit(self) -> object:
        self.entered.set()
        assert self.open.wait(10)
        self.commits += 1
        return self._writer.commit()

    def zero_ahead(self) -> bool:
        return self._writer.zero_ahead()


def lane(folder: Path) -> LaneWriter:
    return LaneWriter.open(folder / "live-test", clock=lambda: 0, entropy=os.urandom)


def committer(writer: object, durable: list[int]) -> Committer:
    return Committer(
        writer,  # type: ignore[arg-type]
        wall_ns=lambda: 0,
        monotonic_ns=lambda: 0,
        on_durable=lambda frames, lag_ns: durable.append(frames),
    )


def test_frames_of_one_millisecond_share_a_record() -> None:
    """A record has one receive time; frames later than that, or of another connection, begin another."""
    clock = Clock()
    backlog = Backlog(lambda: 0, clock)
    backlog.add_batch([b"a", b"b"], 1)
    clock.now = RUN_NS
    backlog.add_batch([b"c"], 1)
    clock.now = RUN_NS + 1
    backlog.add_batch([b"d"], 1)
    backlog.add_batch([b"e"], 2)
    backlog.add_batch(Packed(1, b"\1\0\0\0", b"f"), 2)
    assert [(run.connection, run.frames, len(run.packed)) for run in backlog.take()] == [
        (1, [b"a", b"b", b"c"], 0),
        (1, [b"d"], 0),
        (2, [b"e"], 0),
        (2, [], 1),
    ]


def test_what_is_taken_grows_no_more() -> None:
    """A frame that comes after the commit has begun is in the next one, although received at the same time."""
    backlog = Backlog(lambda: 0, lambda: 0)
    backlog.add_batch([b"a"], 1)
    first = backlog.take()
    backlog.add_batch([b"b"], 1)
    assert [run.frames for run in first] == [[b"a"]]
    assert [run.frames for run in backlog.take()] == [[b"b"]]


def test_bytes_count_until_they_are_durable() -> None:
    """Room comes back when a commit has ended, not when it begins."""
    backlog = Backlog(lambda: 0, lambda: 0)
    backlog.add_batch([bytes(HIGH_WATER_BYTES), b"x"], 1)
    told = [backlog.full]
    runs = backlog.take()
    told.append(backlog.full)
    backlog.committed(sum(run.size for run in runs))
    assert [*told, backlog.full] == [True, True, False]
    assert backlog.size == 0


def test_what_comes_during_a_commit_is_one_commit(tmp_path: Path) -> None:
    """However much arrives while the disk is busy, one commit takes all of it, in order."""

    async def run() -> int:
        with lane(tmp_path) as writer:
            gate = Gate(writer)
            mine = committer(gate, durable)
            running = asyncio.create_task(mine.run())
            mine.add(Kind.FRAMES, b"0", 1)
            await asyncio.to_thread(gate.entered.wait, 10)
            for number in range(1, 100):
                mine.add(Kind.FRAMES, str(number).encode(), 1)
            gate.open.set()
            mine.close()
            await running
            return gate.commits

    durable: list[int] = []
    assert asyncio.run(run()) == 2
    assert durable == [1, 99]
    frames = [frame for record in read_all(tmp_path / "live-test") for frame in record.frames]
    assert frames == [str(number).encode() for number in range(100)]


def test_who_fills_it_waits_for_the_disk(tmp_path: Path) -> None:
    """Beyond the high-water mark `room` waits until a commit has ended."""

    async def run() -> tuple[bool, bool, bool]:
        with lane(tmp_path) as writer:
            gate = Gate(writer)
            mine = committer(gate, [])
            running = asyncio.create_task(mine.run())
            mine.add_batch([bytes(1 << 20)] * 9, 1)
            before = mine.full
            waiting = asyncio.create_task(mine.room())
            await asyncio.to_thread(gate.entered.wait, 10)
            waited = not waiting.done()
            gate.open.set()
            await asyncio.wait_for(waiting, 10)
            after = mine.full
            mine.close()
            await running
            return before, waited, after

    assert asyncio.run(run()) == (True, True, False)


def test_space_is_made_beside_the_commits(tmp_path: Path) -> None:
    """Once some of a segment is used, a thread that does not commit makes the next one; its failure ends recording."""

    class Refusing(Gate):
        def zero_ahead(self) -> bool:
            zeroing.append(threading.current_thread())
            raise StorageError("fdatasync: input/output error")

        def commit(self) -> object:
            committing.append(threading.current_thread())
            return self._writer.commit()

    async def run() -> None:
        with lane(tmp_path) as writer:
            mine = committer(Refusing(writer), [])
            mine.add_batch([bytes(1 << 17)], 1)
            with pytest.raises(StorageError, match="input/output"):
                await mine.run()

    zeroing: list[threading.Thread] = []
    committing: list[threading.Thread] = []
    asyncio.run(run())
    assert len(zeroing) == 1
    assert zeroing[0] not in committing


def test_a_disk_that_refuses_ends_it(tmp_path: Path) -> None:
    """The error of a commit comes out of `run`, and nothing is committed after it."""

    class Refusing(Gate):
        def commit(self) -> object:
            self.commits += 1
            raise StorageError("fdatasync: input/output error")

    async def run() -> None:
        with lane(tmp_path) as writer:
            refusing.append(Refusing(writer))
            mine = committer(refusing[0], durable)
            mine.add(Kind.FRAMES, b"0", 1)
            running = asyncio.create_task(mine.run())
            with pytest.raises(StorageError, match="input/output"):
                await running
            mine.add(Kind.FRAMES, b"1", 1)

    durable: list[int] = []
    refusing: list[Refusing] = []
    asyncio.run(run())
    assert refusing[0].commits == 1
    assert durable == []

"""Group commit: whatever has arrived goes into the log as soon as the previous fdatasync has returned.

Runs of frames are collected on the event loop; one thread alone commits, and goes on by itself: were each commit
started from the event loop, it would wait its turn there twice. Another one makes the space that the next commits
write into. What is logged is recorder.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from trading_platform.ingest.transport.frame_batch import Packed
from trading_platform.store.log.writer import Kind, LaneWriter
from trading_platform.telemetry import metrics

RUN_NS = 1_000_000
"""Frames received within this long of each other share a record and its receive time."""
RUN_BYTES = 256 << 10
HIGH_WATER_BYTES = 8 << 20
"""Received but not yet durable: beyond this much we stop reading and the socket fills.

A commit holds its bytes three times (frames, records, the write), so a slow disk and large messages cost 24 MB.
"""

USED_BYTES = 64 << 10
"""How much is committed between two looks at the space ahead."""


class FrameRun:
    """Frames that become one record."""

    __slots__ = ("connection", "count", "frames", "kind", "mono_ns", "packed", "size", "ts_recv")

    def __init__(self, kind: Kind, connection: int, ts_recv: int, mono_ns: int) -> None:
        self.kind, self.connection, self.ts_recv, self.mono_ns = kind, connection, ts_recv, mono_ns
        # Either single frames or packed ones; a connection's transport gives one kind.
        self.frames: list[bytes] = []
        self.packed: list[Packed] = []
        self.count = 0
        self.size = 0


class Backlog:
    """What has been received and is not durable yet, in the order of arrival. Sans-I/O: no thread, no lock, no disk.

    The rule of group commit: everything that is here goes into the log as soon as the commit before has ended.

    Parameters
    ----------
    wall_ns, monotonic_ns : clocks.

    Examples
    --------
    >>> backlog = Backlog(lambda: 1_000, lambda: 7)
    >>> backlog.add(Kind.FRAMES, b"one", 1)
    >>> backlog.add(Kind.FRAMES, b"two", 1)
    >>> [run.frames for run in backlog.take()], backlog.take(), backlog.size
    ([[b'one', b'two']], [], 6)
    >>> backlog.committed(6)
    >>> backlog.size, backlog.full
    (0, False)
    """

    def __init__(self, wall_ns: Callable[[], int], monotonic_ns: Callable[[], int]) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._runs: list[FrameRun] = []
        self._open: FrameRun | None = None
        self.size = 0

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._runs)

    @property
    def full(self) -> bool:
        """Whether so much waits for the disk that nothing more should be received."""
        return self.size > HIGH_WATER_BYTES

    def add(self, kind: Kind, frame: bytes, connection: int = 0) -> None:
        """Take one frame; it is received now."""
        run = self._place(kind, connection)
        run.frames.append(frame)
        self._taken(run, 1, len(frame))

    def add_batch(self, batch: list[bytes] | Packed, connection: int) -> None:
        """Take the frames of one receive; they are received now."""
        run = self._place(Kind.FRAMES, connection, packed=isinstance(batch, Packed))
        if isinstance(batch, Packed):
            run.packed.append(batch)
            self._taken(run, batch.frame_count, len(batch.payload))
        else:
            run.frames.extend(batch)
            self._taken(run, len(batch), sum(map(len, batch)))

    def take(self) -> list[FrameRun]:
        """Return all that is to be committed now; none of it grows any more."""
        runs, self._runs, self._open = self._runs, [], None
        return runs

    def committed(self, size: int) -> None:
        """Take note that so many of the bytes taken are durable."""
        self.size -= size

    def _place(self, kind: Kind, connection: int, *, packed: bool = False) -> FrameRun:
        now = self._monotonic_ns()
        run = self._open
        if (
            run is None
            or run.connection != connection
            or run.kind != kind
            or kind != Kind.FRAMES
            or now - run.mono_ns > RUN_NS
            or run.size > RUN_BYTES
            or bool(run.frames if packed else run.packed)
        ):
            run = self._open = FrameRun(kind, connection, self._wall_ns(), now)
            self._runs.append(run)
        return run

    def _taken(self, run: FrameRun, count: int, size: int) -> None:
        run.count += count
        run.size += size
        self.size += size


class Committer:
    """Makes durable what is added, in a thread of its own that nothing on the event loop can hold up.

    Parameters
    ----------
    wall_ns, monotonic_ns : clocks.
    on_durable : called in that thread with (frames, lag in ns of the oldest of them) after each commit.
    """

    def __init__(
        self,
        writer: LaneWriter,
        *,
        wall_ns: Callable[[], int],
        monotonic_ns: Callable[[], int],
        on_durable: Callable[[int, int], None],
    ) -> None:
        self._writer = writer
        self._monotonic_ns = monotonic_ns
        self._on_durable = on_durable
        # Guarded, as are `_closing` and `_asleep`. No Condition: it makes a lock for each wait, and each trade waits.
        self._backlog = Backlog(wall_ns, monotonic_ns)
        self._guard = threading.Lock()
        self._wake = threading.Lock()  # taken; given back when the commit thread, asleep, has something to do
        self._wake.acquire()
        self._asleep = False
        self._room = asyncio.Event()
        self._room.set()
        self._closing = self._over = False
        self._used = threading.Event()

    def add(self, kind: Kind, frame: bytes, connection: int = 0) -> None:
        """Take one frame; it is received now."""
        with self._guard:
            self._backlog.add(kind, frame, connection)
            self._rouse()

    def add_batch(self, batch: list[bytes] | Packed, connection: int) -> None:
        """Take the frames of one receive; they are received now."""
        with self._guard:
            self._backlog.add_batch(batch, connection)
            self._rouse()
            if self._backlog.full:
                self._room.clear()

    @property
    def waiting_bytes(self) -> int:
        """How much was received and is not durable yet."""
        return self._backlog.size

    @property
    def full(self) -> bool:
        """Whether too much is waiting for the disk."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait while too much is waiting for the disk."""
        if not self._room.is_set():
            await self._room.wait()

    async def run(self) -> None:
        """Commit until `close` was called and nothing is left.

        Raises
        ------
        StorageError : when the disk refuses; nothing can be recorded any more.
        """
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(2, "committer") as threads:
            both = (
                loop.run_in_executor(threads, self._commit_all, loop.call_soon_threadsafe),
                loop.run_in_executor(threads, self._zero_ahead),
            )
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
            finally:
                self.close()
                self._over = True
                self._used.set()
            await both[0]
            await both[1]

    def close(self) -> None:
        """Let `run` return once everything taken is durable."""
        with self._guard:
            self._closing = True
            self._rouse()

    def _commit_all(self, on_loop: Callable[[Callable[[], None]], object]) -> None:
        used = 0
        try:
            while runs := self._next():
                self._commit(runs)
                size = sum(run.size for run in runs)
                with self._guard:
                    was_full = self._backlog.full
                    self._backlog.committed(size)
                    has_room = was_full and not self._backlog.full
                if has_room:
                    on_loop(self._has_room)
                used += size
                if used > USED_BYTES:
                    used = 0
                    self._used.set()
        finally:
            self._over = True
            self._used.set()

    def _zero_ahead(self) -> None:
        """Make space ahead of the commits, which need not wait for it."""
        while self._used.wait() and not self._over:
            self._used.clear()
            while self._writer.zero_ahead() and not self._over:
                pass

    def _next(self) -> list[FrameRun]:
        """Wait for something to commit; nothing means that there will be no more."""
        while True:
            with self._guard:
                if self._backlog or self._closing:
                    return self._backlog.take()
                self._asleep = True
            self._wake.acquire()

    def _rouse(self) -> None:
        """Let the commit thread go on; the caller holds the guard."""
        if self._asleep:
            self._asleep = False
            self._wake.release()

    def _has_room(self) -> None:
        with self._guard:
            if not self._backlog.full:
                self._room.set()

    def _commit(self, runs: list[FrameRun]) -> None:
        frames = 0
        for run in runs:
            when_and_whence = {"ts_recv": run.ts_recv, "mono_ns": run.mono_ns, "connection": run.connection}
            if run.packed:
                parts = [one.lengths for one in run.packed] + [one.payload for one in run.packed]
                self._writer.append_packed(run.kind, run.count, parts, **when_and_whence)
            else:
                self._writer.append(run.kind, run.frames, **when_and_whence)
            frames += run.count
        began = self._monotonic_ns()
        self._writer.commit()
        metrics.COMMIT_SECONDS.observe((self._monotonic_ns() - began) / 1e9)
        self._on_durable(frames, self._monotonic_ns() - runs[0].mono_ns)

"""Group commit: whatever has arrived goes into the log as soon as the previous fdatasync has returned.

Runs of frames are collected on the event loop; one thread alone touches the log. What is logged is recorder.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from trading_platform.ingest.packed import Packed
from trading_platform.store.segment_log import Kind, LaneWriter

RUN_NS = 1_000_000
"""Frames received within this long of each other share a record and its receive time."""
RUN_BYTES = 256 << 10
HIGH_WATER_BYTES = 8 << 20
"""Received but not yet durable: beyond this much we stop reading and the socket fills.

A commit holds its bytes three times (frames, records, the write), so a slow disk and large messages cost 24 MB.
"""


class _Run:
    __slots__ = ("connection", "count", "frames", "kind", "mono_ns", "packed", "size", "ts_recv")

    def __init__(self, kind: Kind, connection: int, ts_recv: int, mono_ns: int) -> None:
        self.kind, self.connection, self.ts_recv, self.mono_ns = kind, connection, ts_recv, mono_ns
        # Either single frames or packed ones; a connection's transport gives one kind.
        self.frames: list[bytes] = []
        self.packed: list[Packed] = []
        self.count = 0
        self.size = 0


class Committer:
    """Collects frames and makes them durable.

    Parameters
    ----------
    wall_ns, monotonic_ns : clocks.
    on_durable : called with (frames, lag in ns of the oldest of them) after each commit.
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
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._on_durable = on_durable
        self._runs: list[_Run] = []
        self._open: _Run | None = None
        self._size = 0
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False

    def add(self, kind: Kind, frame: bytes, connection: int = 0) -> None:
        """Take one frame; it is received now."""
        self._place(kind, connection).frames.append(frame)
        self._taken(1, len(frame))

    def add_batch(self, batch: list[bytes] | Packed, connection: int) -> None:
        """Take the frames of one receive; they are received now."""
        run = self._place(Kind.FRAMES, connection, packed=isinstance(batch, Packed))
        if isinstance(batch, Packed):
            run.packed.append(batch)
            self._taken(batch.frame_count, len(batch.payload))
        else:
            run.frames.extend(batch)
            self._taken(len(batch), sum(map(len, batch)))

    def _place(self, kind: Kind, connection: int, *, packed: bool = False) -> _Run:
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
            run = self._open = _Run(kind, connection, self._wall_ns(), now)
            self._runs.append(run)
        return run

    def _taken(self, count: int, size: int) -> None:
        assert self._open is not None
        self._open.count += count
        self._open.size += size
        self._size += size
        if self._size > HIGH_WATER_BYTES:
            self._room.clear()
        self._work.set()

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
        with ThreadPoolExecutor(1, "committer") as thread:
            while True:
                await self._work.wait()
                runs, self._runs, self._open = self._runs, [], None
                self._work.clear()
                if runs:
                    size = self._size
                    await loop.run_in_executor(thread, self._commit, runs)
                    self._size -= size
                    if self._size <= HIGH_WATER_BYTES:
                        self._room.set()
                elif self._closing:
                    return
                if self._closing:
                    self._work.set()

    def close(self) -> None:
        """Let `run` return once everything taken is durable."""
        self._closing = True
        self._work.set()

    def _commit(self, runs: list[_Run]) -> None:
        frames = 0
        for run in runs:
            when_and_whence = {"ts_recv": run.ts_recv, "mono_ns": run.mono_ns, "connection": run.connection}
            if run.packed:
                parts = [one.lengths for one in run.packed] + [one.payload for one in run.packed]
                self._writer.append_packed(run.kind, run.count, parts, **when_and_whence)
            else:
                self._writer.append(run.kind, run.frames, **when_and_whence)
            frames += run.count
        self._writer.commit()
        self._on_durable(frames, self._monotonic_ns() - runs[0].mono_ns)

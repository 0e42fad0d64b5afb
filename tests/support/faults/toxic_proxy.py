"""A TCP proxy on loopback that injects faults, named like toxiproxy's toxics.

`down` is what flows from the venue to us, `up` what flows from us to the venue.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Literal, Self
from urllib.parse import urlsplit

Way = Literal["up", "down"]


class ToxicProxy:
    """Forwards connections to `address` ("host:port" or a URL); a context manager.

    Attributes
    ----------
    timeout : ways on which nothing passes any more, connections staying open: a silent hole.
    latency_s, jitter_s : each piece is delayed by the first, and at random by up to the second.
    slicer_bytes : pieces are cut to this size, None for as they come.
    bandwidth : bytes a second downwards, None for no limit.
    opened : connections accepted so far.
    """

    def __init__(self, address: str, seed: int = 0) -> None:
        target = urlsplit(address if "//" in address else f"//{address}")
        assert target.hostname is not None
        assert target.port is not None
        self._target = target.hostname, target.port
        self._scheme = target.scheme
        self.timeout: set[Way] = set()
        self.latency_s = self.jitter_s = 0.0
        self.slicer_bytes: int | None = None
        self.bandwidth: float | None = None
        self.opened = 0
        self._random = random.Random(seed)
        self._links: dict[asyncio.StreamWriter, asyncio.StreamWriter] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._limited: dict[asyncio.StreamWriter, tuple[int, Callable[[asyncio.StreamWriter], None]]] = {}
        self._ready: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="toxic proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._ready.result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """The proxy's own address, of the target's scheme."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def reset_peer(self) -> None:
        """End every connection to us with RST, wherever it stands."""
        self._loop.call_soon_threadsafe(lambda: [_reset(writer) for writer in list(self._links)])

    def close_peer(self) -> None:
        """End every connection to us with FIN, without a word of WebSocket."""
        self._loop.call_soon_threadsafe(lambda: [writer.close() for writer in list(self._links)])

    def limit_data(self, count: int, then: Literal["reset", "close"] = "reset") -> None:
        """Let so many more bytes down on each open connection, then end it: in the middle of a frame, as a rule."""

        def arm() -> None:
            end = _reset if then == "reset" else asyncio.StreamWriter.close
            self._limited = dict.fromkeys(self._links, (count, end))

        self._loop.call_soon_threadsafe(arm)

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._ready.set_result(server.sockets[0].getsockname()[1])
        await self._stop.wait()
        server.close()
        for writer in (*self._links, *self._links.values()):
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._links[writer] = far_writer
        both = [
            asyncio.create_task(self._pass("up", reader, far_writer)),
            asyncio.create_task(self._pass("down", far_reader, writer)),
        ]
        self._tasks.update(both)
        await asyncio.wait(both)
        self._tasks.difference_update(both)
        self._links.pop(writer, None)
        writer.close()

    async def _pass(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # whoever is left sees the end below
            while data := await reader.read(self.slicer_bytes or 1 << 16):
                wait_s = self.latency_s + self._random.uniform(0, self.jitter_s)
                if way == "down" and self.bandwidth is not None:
                    wait_s += len(data) / self.bandwidth
                if wait_s:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._stop.wait(), wait_s)
                if way in self.timeout:
                    continue
                await self._write(writer, data)
        if way not in self.timeout:
            writer.close()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        limit = self._limited.get(writer)
        if limit is not None:
            left, end = limit
            data = data[:left]
            self._limited[writer] = (left - len(data), end)
        step = self.slicer_bytes or len(data) or 1
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
            await writer.drain()
        if limit is not None and self._limited[writer][0] == 0:
            limit[1](writer)
            raise ConnectionResetError


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

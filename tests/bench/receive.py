"""Receivers to compare with, and the recorder with a clock at each commit: ``python -m tests.bench.receive HOW …``.

``bare URL COUNT``: a loop over `websockets` that keeps nothing. ``logger URL COUNT FILE``: a raw socket and the
recorder's commit rule, nothing else. Both ask for the recorder's priority, so that what is compared is the work.
``timed OUT recorder``: the real recorder; at its end OUT gets, for every read of the socket, how many trades it
brought, when, and how long they took to be durable, in ns. ``publish publisher``: the real publisher, which
begins after a second instead of thirty.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import sys
import threading
import time
from collections import deque
from pathlib import Path
from urllib.parse import urlsplit

FRAME_BYTES = 177
"""About the wire size of one trade."""


async def bare(url: str, count: int) -> None:
    """Receive so many messages; print when the last came and what they cost."""
    from websockets.asyncio.client import connect

    from trading_platform.processes import scheduling as priority

    priority.come_first()
    async with connect(url, max_size=1 << 20, max_queue=256, compression=None, proxy=None) as connection:
        begun = time.process_time_ns()
        for _ in range(count):
            await connection.recv(decode=False)
        print(json.dumps({"ended_ns": time.monotonic_ns(), "cpu_ns": time.process_time_ns() - begun}), flush=True)


def logger(url: str, count: int, file: Path) -> None:
    """Write what arrives as soon as the previous fdatasync has returned, into space zeroed before; print the waits."""
    from trading_platform.processes import scheduling as priority

    priority.come_first()
    at = urlsplit(url)
    client = socket.create_connection((at.hostname or "", at.port or 0))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    target = os.open(file, os.O_RDWR | os.O_CREAT)
    for _ in range((count * FRAME_BYTES >> 20) + 8):
        os.write(target, bytes(1 << 20))
    os.fsync(target)
    key = base64.b64encode(os.urandom(16)).decode()
    client.sendall(
        f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    pending: list[tuple[int, bytes]] = []
    ready, over = threading.Condition(), threading.Event()
    waits: list[tuple[int, int, int]] = []

    ended = 0

    def write() -> None:
        nonlocal ended
        place = 0
        while True:
            with ready:
                while not pending:
                    if over.is_set():
                        return
                    ready.wait()
                runs = pending[:]
                pending.clear()
            data = b"".join(run for _, run in runs)
            os.pwrite(target, data, place)
            os.fdatasync(target)
            place += len(data)
            ended = time.monotonic_ns()
            waits.extend((len(run), begun, ended - begun) for begun, run in runs)

    writer = threading.Thread(target=write)
    writer.start()
    client.settimeout(3.0)
    try:
        while data := client.recv(1 << 18):
            with ready:
                pending.append((time.monotonic_ns(), data))
                ready.notify()
    except TimeoutError:
        pass
    over.set()
    with ready:
        ready.notify()
    writer.join()
    print(json.dumps({"waits": waits, "ended_ns": ended}), flush=True)


def timed(out: Path, role: str) -> int:
    """Run the real worker; write the waits when it has stopped."""
    from trading_platform.commands.workers import ingest_worker as workers
    from trading_platform.ingest.recorder.group_commit import Committer
    from trading_platform.ingest.transport import websocket as websocket_client
    from trading_platform.store.log.segment_files import SegmentFiles
    from trading_platform.store.log.writer import Kind

    arrived: deque[tuple[int, int]] = deque()
    waits: list[tuple[int, int, int]] = []
    heard: list[int] = []
    durable_ns = 0
    hear, add_batch = websocket_client._ClientConnection.data_received, Committer.add_batch
    sync, commit = SegmentFiles.sync, Committer._commit

    def hearing(self, data):  # type: ignore[no-untyped-def]
        heard.append(time.monotonic_ns())
        hear(self, data)

    def adding(self, batch, connection):  # type: ignore[no-untyped-def]
        arrived.append((len(batch), heard[0]))
        heard.clear()
        add_batch(self, batch, connection)

    def syncing(self):  # type: ignore[no-untyped-def]
        nonlocal durable_ns
        sync(self)
        durable_ns = time.monotonic_ns()

    def committing(self, runs):  # type: ignore[no-untyped-def]
        left = sum(run.count for run in runs if run.kind == Kind.FRAMES)
        commit(self, runs)
        while left > 0:
            count, begun = arrived.popleft()
            waits.append((count, begun, durable_ns - begun))
            left -= count

    websocket_client._ClientConnection.data_received = hearing  # type: ignore[method-assign]
    Committer.add_batch = adding  # type: ignore[method-assign]
    SegmentFiles.sync = syncing  # type: ignore[method-assign]
    Committer._commit = committing  # type: ignore[method-assign]
    code = workers.main([role])
    out.write_text(json.dumps(waits))
    return code


def publish() -> int:
    """Run the real publisher; its pauses are a second, or twenty times what the last publish took, as ever."""
    from trading_platform.commands.workers import ingest_worker as workers
    from trading_platform.ingest.processor import publisher

    publisher.EVERY_S = 1.0
    return workers.main(["publisher"])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["bare", url, count]:
            asyncio.run(bare(url, int(count)))
        case ["logger", url, count, file]:
            logger(url, int(count), Path(file))
        case ["timed", out, role]:
            sys.exit(timed(Path(out), role))
        case ["publish", _]:
            sys.exit(publish())

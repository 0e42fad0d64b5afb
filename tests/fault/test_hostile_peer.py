"""A peer that means harm costs the recorder a connection, never its memory: bombs, giants, endless fragments, floods.

The peer is a bare socket that speaks just enough WebSocket to do wrong; what it costs is the peak of the recorder's
resident memory, as the kernel counts it, from a moment at which the recorder was healthy and at work.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import subprocess
import sys
import time
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from tests.support.builders.ingest_process import peak_bytes
from tests.support.builders.log_lanes import read_all
from tests.support.judges import evidence
from trading_platform.ingest.workers.supervisor import CONFIG_VARIABLE, WORKERS, WorkerSpec
from trading_platform.processes import worker_process as children
from trading_platform.store.log.writer import Kind

MOST_GROWTH = 64 << 20
FLOOD = 300_000
GOOD = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":%d,'
    b'"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(payload: bytes, first: int = 0x81) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 65536:
        return bytes([first, 126]) + size.to_bytes(2, "big") + payload
    return bytes([first, 127]) + size.to_bytes(8, "big") + payload


async def deflate_bomb(peer: Peer) -> None:
    """200 MB of nothing in a 200 KB message."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(200)) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    assert len(data) < 300_000
    await peer.send(frame(data[:-4], 0xC1))


async def giant(peer: Peer) -> None:
    """One message of 200 MB."""
    await peer.send(bytes([0x81, 127]) + (200 << 20).to_bytes(8, "big"))
    for _ in range(200):
        await peer.send(bytes(1 << 20))


async def endless_fragments(peer: Peer) -> None:
    """A message of fragments that never ends."""
    await peer.send(frame(b"a" * 1000, 0x01))
    piece = frame(b"b" * 1000, 0x00) * 100
    for _ in range(2000):
        await peer.send(piece)


async def empty_fragments(peer: Peer) -> None:
    """A message of fragments that hold nothing: its size never grows, their number does."""
    await peer.send(frame(b"", 0x01))
    piece = frame(b"", 0x00) * 10_000
    for _ in range(200):
        await peer.send(piece)


async def flood(peer: Peer) -> None:
    """300,000 messages as fast as they are taken."""
    for start in range(0, FLOOD, 1000):
        await peer.send(b"".join(frame(GOOD % (1000 + number)) for number in range(start, start + 1000)))


async def large_messages(peer: Peer) -> None:
    """150 messages just within what one may hold."""
    message = frame(b" " * ((1 << 20) - 1))
    for _ in range(150):
        await peer.send(message)


async def warm_up(peer: Peer) -> None:
    """Nothing evil: what a transport loads when it is first used is not what an evil costs."""
    for number in range(50):
        await peer.send(frame(GOOD % number) * 100)
        await peer.send(frame(b"[" + b" " * 200_000 + b"]"))


Evil = Callable[["Peer"], Awaitable[None]]
EVILS: dict[Evil, bool] = {  # whether the connection has to end
    warm_up: False,
    deflate_bomb: True,
    giant: True,
    endless_fragments: True,
    empty_fragments: True,
    flood: False,
    large_messages: False,
}


class Peer:
    """One connection of the peer."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class Venue:
    """Does one evil after the other, a connection each, each after one good frame."""

    def __init__(self) -> None:
        self._evils = iter(EVILS.items())
        self.pid = 0
        self.growth: dict[str, int] = {}
        self.took: dict[str, float] = {}
        self.over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = None
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._shake_hands(reader, writer)
                ended = asyncio.create_task(_end_of(reader))
                await self._do_evil(Peer(writer), ended)
        finally:
            if ended is not None:
                ended.cancel()
            writer.transport.abort()

    @staticmethod
    async def _shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = next(line[18:] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1(key.strip() + _GUID).digest())  # noqa: S324  the protocol's choice
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    async def _do_evil(self, peer: Peer, ended: asyncio.Task[None]) -> None:
        await peer.send(frame(GOOD % (len(self.growth) + 1)))
        evil, ends = next(self._evils, (None, False))
        if evil is None:
            self.over.set()
            await ended
            return
        before, began = peak_bytes(self.pid, reset=True), time.monotonic()
        with suppress(ConnectionError):
            await evil(peer)
        if ends:
            await asyncio.wait_for(ended, 20)  # the recorder ends it, not we
        else:
            await peer.send(frame(b"", 0x88))  # a close frame of ours, after all the rest was taken
            await asyncio.wait_for(ended, 20)
        self.growth[evil.__name__] = peak_bytes(self.pid) - before
        self.took[evil.__name__] = round(time.monotonic() - began, 2)


async def _end_of(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(1 << 16):
            pass


async def torment(data_dir: Path, transport: str) -> dict[str, int]:
    """Let each evil happen to one real recorder; return by how much its memory grew."""
    venue = Venue()
    server = await asyncio.start_server(venue.serve, "127.0.0.1", 0)
    config = WorkerSpec(
        data_dir=str(data_dir),
        venue="binance",
        symbols={"BTCUSDT": "BTC-USDT"},
        ws_url=f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}",
        history_start="2016-01-01",
        database_url="",
        transport="fast" if transport == "fast" else "websockets",
        compression=True,
    )
    environ = {CONFIG_VARIABLE: msgspec.json.encode(config).decode(), "TP_LOG_LEVEL": "error"}
    recorder = children.start("recorder", [WORKERS, "recorder"], environ)
    venue.pid = recorder.pid
    try:
        await asyncio.wait_for(venue.over.wait(), 60)
    finally:
        code = await asyncio.to_thread(recorder.stop, 10.0)
        server.close()
    assert code == 0
    print(venue.took)
    return venue.growth


def test_hostile_input_costs_a_connection_and_no_memory(tmp_path: Path) -> None:
    """Each evil costs 64 MB at most; the recorder lives on, and has every message that was one."""
    survive(tmp_path, "websockets")


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_hostile_input_costs_either_transport_no_memory(tmp_path: Path) -> None:
    """The same for both transports, with the figures."""
    growth = {transport: survive(tmp_path / transport, transport) for transport in ("websockets", "fast")}
    megabytes = {
        transport: {name: round(size / 2**20, 1) for name, size in evils.items()} for transport, evils in growth.items()
    }
    evidence.write(
        "hostile-peer",
        "A venue that is out to hurt the recorder",
        {f"most growth, {transport} (MB, 64 allowed)": max(evils.values()) for transport, evils in megabytes.items()},
        rows=[
            {
                "what it sends": name.replace("_", " "),
                **{f"{transport} (MB)": megabytes[transport][name] for transport in megabytes},
            }
            for name in megabytes["fast"]
        ],
        notes="Peak resident memory of a real recorder above its peak before each attack. After each it is connected"
        " again and every message that was one is in the log. Control: a reader that keeps what it is sent exceeds the"
        " allowance (test_without_limits_the_same_flood_costs_more).",
    )


def survive(tmp_path: Path, transport: str) -> dict[str, int]:
    """Torment a recorder, judge what it kept, and return by how much each evil made it grow."""
    growth = asyncio.run(torment(tmp_path, transport))
    print({name: f"{size / 2**20:.1f} MB" for name, size in growth.items()})
    assert growth.keys() == {evil.__name__ for evil in EVILS}
    del growth["warm_up"]
    assert max(growth.values()) <= MOST_GROWTH, growth
    frames = [
        item
        for record in read_all(tmp_path / "log" / "live-binance")
        for item in record.frames
        if record.kind == Kind.FRAMES
    ]
    kept = set(frames)
    assert all(GOOD % number in kept for number in range(1, len(EVILS) + 2))
    assert all(GOOD % number in kept for number in range(1000, 1000 + FLOOD))
    return growth


def test_without_limits_the_same_flood_costs_more(tmp_path: Path) -> None:
    """The measurement can fail: a reader that keeps what it is sent grows by more than is allowed."""
    child = (
        "import sys, socket\n"
        "kept = []\n"
        "for _ in range(300): kept.append(bytearray(1 << 20))\n"
        "print('full', flush=True); sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.readline()\n" + child],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        before = peak_bytes(process.pid, reset=True)
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        assert peak_bytes(process.pid) - before > MOST_GROWTH
        process.communicate(b"\n", timeout=10)

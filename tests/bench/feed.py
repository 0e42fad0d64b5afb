"""A venue that only sends: prebuilt Binance combined trade frames, as fast as they are taken or at a rate.

It runs in a process of its own, does the WebSocket handshake by hand and writes whole frames, so that sending costs
as little as can be: ``python -m tests.bench.feed COUNT SYMBOLS [--rate N] [--single] [--tls CERT] [--deflate]`` prints
its URL and serves one connection after another.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import socket
import ssl
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

COALESCED_BYTES = 64 << 10
START_MS = 1_723_075_200_000
PAUSE = threading.Event()
"""Never set: waiting for it is pacing, not synchronising."""
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def symbols(count: int) -> dict[str, str]:
    """Return so many symbols, venue's spelling -> canonical."""
    return {
        f"B{chr(65 + n // 26)}{chr(65 + n % 26)}USDT": f"B{chr(65 + n // 26)}{chr(65 + n % 26)}-USDT"
        for n in range(count)
    }


def payloads(count: int, names: list[str], *, from_id: int = 4_000_000_000) -> Iterator[bytes]:
    """Yield trades, the symbols in turn, the ids of each contiguous."""
    each = [
        (f'{{"stream":"{name.lower()}@trade","data":{{"e":"trade","E":'.encode(), f',"s":"{name}","t":'.encode())
        for name in names
    ]
    width = len(names)
    for n in range(count):
        head, symbol = each[n % width]
        ms = START_MS + n // 1000
        price, size = 61_000_00 + n * 37 % 99_991, 1 + n * 7919 % 999_983
        yield b'%b%d%b%d,"p":"%d.%02d000000","q":"%d.%05d000","T":%d,"m":%b,"M":true}}' % (
            head,
            ms,
            symbol,
            from_id + n // width,
            price // 100,
            price % 100,
            size // 100_000,
            size % 100_000,
            ms,
            b"true" if n & 1 else b"false",
        )


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """Return an unmasked, unfragmented frame of under 64 KiB."""
    size = len(payload)
    return (bytes((first, size)) if size < 126 else struct.pack(">BBH", first, 126, size)) + payload


def deflated(plain: Iterator[bytes]) -> Iterator[bytes]:
    """Yield frames under permessage-deflate with context takeover."""
    squeeze = zlib.compressobj(wbits=-15)
    for payload in plain:
        yield frame((squeeze.compress(payload) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4], 0xC1)


def handshake(client: socket.socket, *, deflate: bool) -> bytes:
    """Answer the client's request, and return its first line."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += client.recv(65536)
    lines = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:] if b": " in line)
    accept = base64.b64encode(hashlib.sha1(lines[b"Sec-WebSocket-Key"] + _MAGIC).digest())  # noqa: S324
    extension = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else b""
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n" + extension + b"\r\n"
    )
    return request.split(b"\r\n", 1)[0]


def chunks(frames: list[bytes], limit: int) -> list[bytes]:
    """Join frames to runs of at most `limit` bytes."""
    runs, run, size = [], [], 0
    for one in frames:
        if size + len(one) > limit and run:
            runs.append(b"".join(run))
            run, size = [], 0
        run.append(one)
        size += len(one)
    return [*runs, b"".join(run)]


def serve(arguments: argparse.Namespace) -> None:
    """Serve the same frames to one client after another until killed."""
    plain = payloads(arguments.count, list(symbols(arguments.symbols)))
    frames = list(deflated(plain)) if arguments.deflate else [frame(payload) for payload in plain]
    runs = frames if arguments.single or arguments.rate else chunks(frames, COALESCED_BYTES)
    context = None
    if arguments.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.tls)
    listener = socket.create_server(("127.0.0.1", 0))
    scheme = "wss" if context else "ws"
    print(json.dumps({"url": f"{scheme}://localhost:{listener.getsockname()[1]}"}), flush=True)
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            client = context.wrap_socket(client, server_side=True)
        try:
            handshake(client, deflate=arguments.deflate)
            print(json.dumps({"begun_ns": time.monotonic_ns()}), flush=True)
            if arguments.rate:
                paced(client, runs, arguments.rate)
            else:
                for run in runs:
                    client.sendall(run)
            # The receiver closes first.
            while client.recv(65536):
                pass
        except OSError:
            print("the client left", file=sys.stderr)
        finally:
            client.close()


def paced(client: socket.socket, frames: list[bytes], rate: float) -> None:
    """Send each frame when it is due; those that are overdue go together."""
    begun, at = time.monotonic(), 0
    while at < len(frames):
        due = min(len(frames), int((time.monotonic() - begun) * rate) + 1)
        if due > at:
            client.sendall(b"".join(frames[at:due]))
            at = due
        PAUSE.wait(0.000_2)


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("symbols", type=int)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--single", action="store_true")
    parser.add_argument("--tls", type=Path)
    parser.add_argument("--deflate", action="store_true")
    return parser.parse_args(words)


if __name__ == "__main__":
    serve(arguments())

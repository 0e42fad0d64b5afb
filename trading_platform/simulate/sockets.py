"""Sockets of a simulated venue: listening, a WebSocket connection that counts inbound frames, an HTTP server.

The messages sent over them are decided by venue_server.py.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode

from trading_platform.domain.errors import UsageError
from trading_platform.simulate.exchange import HttpAnswer, StreamSession


class Client(ServerConnection):
    """A connection that counts every inbound frame, pings and pongs too, as an exchange does.

    Attributes
    ----------
    session : what it is subscribed to.
    deaf : whether nothing is written to it any more.
    inbound_per_s : most frames it may send in a second, None for no limit.
    heard_s, written_s : when something came from it and went to it, by the loop's time.
    """

    session: StreamSession
    deaf = False
    inbound_per_s: int | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.heard_s = self.written_s = self.loop.time()
        self._inbound: deque[float] = deque()
        self.on_flood: Callable[[Client], None] | None = None
        self.on_close: Callable[[Client], None] | None = None

    def process_event(self, event: Any) -> None:
        """Count the frame, then let the library handle it."""
        if isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG}:
            self.heard_s = now = self.loop.time()
            if self.inbound_per_s is not None and self._is_flooded(now, self.inbound_per_s) and self.on_flood:
                self.on_flood(self)
        if isinstance(event, Frame) and event.opcode is Opcode.CLOSE and self.on_close:
            self.on_close(self)
        super().process_event(event)

    def _is_flooded(self, now: float, most: int) -> bool:
        """Count a frame; tell whether it is one too many in a second."""
        flooded = len(self._inbound) == most and now - self._inbound[0] < 1.0
        if len(self._inbound) == most:
            self._inbound.popleft()
        self._inbound.append(now)
        return flooded


class HttpServer(uvicorn.Server):
    """A uvicorn that leaves signals to whoever owns the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def http_config(app: Any) -> uvicorn.Config:
    """Return the settings of a quiet HTTP server for an ASGI application."""
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


def http_app(answer: Callable[[str, str, str, dict[str, str]], Awaitable[HttpAnswer]]) -> Any:
    """Return an ASGI application that answers by (method, path, query, headers); names of headers in lower case."""

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        told = await answer(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers)
        sent = dict(told.headers)
        sent.setdefault("content-type", "application/json;charset=UTF-8")
        sent["content-length"] = str(len(told.body))
        raw = [(name.encode(), value.encode()) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": told.status, "headers": raw})
        await send({"type": "http.response.body", "body": told.body})

    return app


def text_frame(payload: bytes) -> bytes:
    """Return a whole, unmasked WebSocket text frame, ready for the wire.

    >>> text_frame(b"hi").hex()
    '81026869'
    """
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises UsageError, one line, if the port is in use or the address impossible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
        listening.setblocking(False)
    except (OSError, OverflowError) as error:
        listening.close()
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "in use; give another --port" if in_use else str(error)
        raise UsageError(f"port {port} on {host} is {reason}" if in_use else f"{host}:{port}: {reason}") from None
    return listening


def address_of(listening: socket.socket) -> str:
    """Return host and port as an address spells them."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

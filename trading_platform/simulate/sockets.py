"""Sockets of a simulated venue: listening, a WebSocket connection that counts inbound frames, an HTTP server.

What is said over them is venue_server.py's to decide.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode

from trading_platform.domain.errors import UsageError
from trading_platform.simulate.exchanges.binance_rest import Answer
from trading_platform.simulate.exchanges.binance_stream import Session

INBOUND_PER_SECOND = 5
"""Pings, pongs and control messages a client may send on one connection."""


class Client(ServerConnection):
    """A connection that counts every inbound frame, pings and pongs too, as the venue does."""

    session: Session
    deaf = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.inbound: deque[float] = deque(maxlen=INBOUND_PER_SECOND)
        self.on_flood: Callable[[Client], None] | None = None
        self.on_close: Callable[[Client], None] | None = None

    def process_event(self, event: Any) -> None:
        """Count the frame, then let the library handle it."""
        if isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG}:
            now = self.loop.time()
            if len(self.inbound) == INBOUND_PER_SECOND and now - self.inbound[0] < 1.0 and self.on_flood:
                self.on_flood(self)
            self.inbound.append(now)
        if isinstance(event, Frame) and event.opcode is Opcode.CLOSE and self.on_close:
            self.on_close(self)
        super().process_event(event)


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


def http_app(answer: Callable[[str, str, str, dict[str, str]], Answer]) -> Any:
    """Return an ASGI application that answers by (method, path, query, headers); names of headers in lower case."""

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        told = answer(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers)
        sent = dict(told.headers)
        sent.setdefault("content-type", "application/json;charset=UTF-8")
        sent["content-length"] = str(len(told.body))
        raw = [(name.encode(), value.encode()) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": told.status, "headers": raw})
        await send({"type": "http.response.body", "body": told.body})

    return app


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

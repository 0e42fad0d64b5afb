"""The socket: connect, receive raw frames, close quickly. Decides nothing; that is session.py.

Message and queue sizes are bounded in bytes, because a peer may send anything. fast_transport.py has the same seam.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI

from trading_platform.ingest.packed import Packed

MAX_FRAME_BYTES = 1 << 20
OPEN_TIMEOUT_S = 10.0
PING_INTERVAL_S = 10.0
PONG_TIMEOUT_S = 5.0
# The closing handshake is a courtesy; waiting the library's 10 s for it would keep us from reconnecting.
CLOSE_TIMEOUT_S = 1.0
PENDING_BYTES = 4 << 20
"""Received but not yet taken: beyond this much nothing more is taken from the library, whose queue then fills."""


class HandshakeRefused(Exception):
    """The server answered with HTTP instead of a stream: its status and Retry-After."""

    def __init__(self, status: int, retry_after_s: float | None) -> None:
        self.status = status
        self.retry_after_s = retry_after_s
        super().__init__(f"HTTP {status}")


class ConnectionLost(Exception):
    """The connection could not be made or has ended; the text says why."""


class OpenStream(Protocol):
    """An open connection, whatever the transport."""

    async def receive_batch(self) -> list[bytes] | Packed:
        """Return the messages that have arrived, at least one; raises ConnectionLost when there will be none."""
        ...

    async def close(self) -> None:
        """Close, waiting a second at most for the other side; what has arrived can still be received."""
        ...


class Transport(Protocol):
    """What opens connections: `open_stream` here, or that of fast_transport.py."""

    def __call__(self, url: str) -> AbstractAsyncContextManager[OpenStream]:
        """Connect; raises HandshakeRefused or ConnectionLost."""
        ...


class Stream:
    """An open connection of the library `websockets`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._ended: ConnectionClosed | None = None
        self._pump = asyncio.create_task(self._receive())

    async def _receive(self) -> None:
        """Take messages from the library.

        It hands out what it has without letting the event loop run, so one awakening of who waits in
        `receive_batch` brings all of them: that costs a fortieth of receiving them, an awakening each a quarter.
        """
        receive, changed = self._connection.recv, self._changed
        try:
            while True:
                # decode=False gives the payload of text and binary messages alike, without decoding it.
                message = await receive(decode=False)
                self._pending.append(message)
                self._pending_bytes += len(message)
                changed.set()
                if self._pending_bytes > PENDING_BYTES:
                    self._room.clear()
                    await self._room.wait()
        except ConnectionClosed as error:
            self._ended = error
            changed.set()

    async def receive_batch(self) -> list[bytes]:
        """Return the messages that have arrived, at least one, in order.

        Raises
        ------
        ConnectionLost : when there will be none.
        """
        await self._changed.wait()
        messages, self._pending, self._pending_bytes = self._pending, [], 0
        if self._ended is None:
            self._changed.clear()
            self._room.set()
        elif not messages:
            raise ConnectionLost(_reason(self._ended)) from self._ended
        return messages

    async def close(self) -> None:
        """Close, waiting a second at most for the other side."""
        await self._connection.close()

    async def end(self) -> None:
        """Close and let nothing run on."""
        await self._connection.close()
        self._pump.cancel()
        with suppress(asyncio.CancelledError):
            await self._pump


@asynccontextmanager
async def open_stream(url: str) -> AsyncIterator[Stream]:
    """Connect to `url`; the library pings every 10 s and gives up 5 s after an unanswered one.

    Raises
    ------
    HandshakeRefused, ConnectionLost : if there is no stream to be had now.
    """
    try:
        connection = await connect(
            url,
            open_timeout=OPEN_TIMEOUT_S,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PONG_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_FRAME_BYTES,
            max_queue=256,
            compression=None,
            user_agent_header=None,
            proxy=None,
        )
    except InvalidStatus as error:
        raise HandshakeRefused(error.response.status_code, retry_after(error)) from error
    except (OSError, TimeoutError, InvalidHandshake, InvalidMessage, InvalidURI) as error:
        raise ConnectionLost(f"connect: {error or type(error).__name__}") from error
    stream = Stream(connection)
    try:
        yield stream
    finally:
        await stream.end()


def _reason(error: ConnectionClosed) -> str:
    frame = error.rcvd or error.sent
    return f"closed {frame.code} {frame.reason}".strip() if frame else "closed without a close frame"


def retry_after(error: InvalidStatus) -> float | None:
    """Return how long the server asks to wait, None if it does not say so in seconds."""
    text = error.response.headers.get("Retry-After")
    return float(text) if text is not None and text.isascii() and text.isdecimal() else None

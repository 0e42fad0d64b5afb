"""The socket: connect, receive raw frames, close quickly. Decides nothing; that is session.py.

Message and queue sizes are bounded in bytes, because a peer may send anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI

MAX_FRAME_BYTES = 1 << 20
OPEN_TIMEOUT_S = 10.0
PING_INTERVAL_S = 10.0
PONG_TIMEOUT_S = 5.0
# The closing handshake is a courtesy; waiting the library's 10 s for it would keep us from reconnecting.
CLOSE_TIMEOUT_S = 1.0


class HandshakeRefused(Exception):
    """The server answered with HTTP instead of a stream: its status and Retry-After."""

    def __init__(self, status: int, retry_after_s: float | None) -> None:
        self.status = status
        self.retry_after_s = retry_after_s
        super().__init__(f"HTTP {status}")


class ConnectionLost(Exception):
    """The connection could not be made or has ended; the text says why."""


class Stream:
    """An open connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def receive(self) -> bytes:
        """Return the next message, whole.

        Raises
        ------
        ConnectionLost : when there will be none.
        """
        try:
            # decode=False gives the payload of text and binary messages alike, without decoding it.
            return await self._connection.recv(decode=False)
        except ConnectionClosed as error:
            raise ConnectionLost(_reason(error)) from error

    async def close(self) -> None:
        """Close, waiting a second at most for the other side."""
        await self._connection.close()


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
        raise HandshakeRefused(error.response.status_code, _retry_after(error)) from error
    except (OSError, TimeoutError, InvalidHandshake, InvalidMessage, InvalidURI) as error:
        raise ConnectionLost(f"connect: {error or type(error).__name__}") from error
    try:
        yield Stream(connection)
    finally:
        await connection.close()


def _reason(error: ConnectionClosed) -> str:
    frame = error.rcvd or error.sent
    return f"closed {frame.code} {frame.reason}".strip() if frame else "closed without a close frame"


def _retry_after(error: InvalidStatus) -> float | None:
    text = error.response.headers.get("Retry-After")
    return float(text) if text is not None and text.isascii() and text.isdecimal() else None

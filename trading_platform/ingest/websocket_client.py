"""The socket: connect, receive raw frames, close quickly. Decides nothing; that is session.py.

Message and queue sizes are bounded in bytes, because a peer may send anything. fast_transport.py has the same seam.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI

from trading_platform.domain.venue import KeepAlive
from trading_platform.ingest.packed import Packed
from trading_platform.ingest.polite_protocol import INBOUND_PER_SECOND, PoliteProtocol

MAX_FRAME_BYTES = 1 << 20
OPEN_TIMEOUT_S = 10.0
# The closing handshake is a courtesy; waiting the library's 10 s for it would keep us from reconnecting.
CLOSE_TIMEOUT_S = 1.0
PENDING_BYTES = 4 << 20
"""Received but not yet taken: beyond this much nothing more is taken from the library, whose queue then fills."""
LIBRARY_QUEUE = 16
"""The library counts frames, not bytes: so many of the largest."""


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

    @property
    def heard_s(self) -> float:
        """When anything last arrived, in the event loop's time; now, while we ourselves do not read."""
        ...

    def tend(self, ping: KeepAlive | None) -> None:
        """Send what is owed, and the venue's kind of ping if given one; ignored on a connection that has ended."""
        ...

    def abort(self) -> None:
        """End at once: nothing more will arrive."""
        ...

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


class _Connection(ClientConnection):
    """The library's connection, with a polite protocol object, telling when it heard anything."""

    def __init__(self, protocol: ClientProtocol, *, per_second: float, **options: Any) -> None:
        self.polite = PoliteProtocol(
            protocol.uri,
            extensions=protocol.available_extensions,
            max_size=protocol.max_message_size,
            logger=protocol.logger,
            per_second=per_second,
        )
        super().__init__(self.polite, **options)
        self.heard_s = self.loop.time()
        self._ending = False

    def data_received(self, data: bytes) -> None:
        self.heard_s = self.loop.time()
        super().data_received(data)
        if not self._ending and self.polite.close_expected():
            # The library waits for the other side to close, until somebody calls close(): we wait a second.
            self._ending = True
            self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)


class Stream:
    """An open connection of the library `websockets`."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._sending: set[asyncio.Task[None]] = set()
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

    @property
    def heard_s(self) -> float:
        """When anything last arrived, in the event loop's time; now, while we ourselves do not read."""
        return self._connection.loop.time() if self._connection.recv_messages.paused else self._connection.heard_s

    def tend(self, ping: KeepAlive | None) -> None:
        """Send what is owed, and the venue's kind of ping if given one."""
        if ping is not None or self._connection.polite.owed is not None:
            task = asyncio.create_task(self._send(ping))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, ping: KeepAlive | None) -> None:
        connection = self._connection
        with suppress(ConnectionClosed):
            if ping is not None and ping.kind == "ping":
                await connection.ping()
            elif ping is not None:
                await connection.send(ping.message, text=True)
            async with connection.send_context():
                connection.polite.pay()

    def abort(self) -> None:
        """End at once."""
        self._connection.transport.abort()

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
async def open_stream(
    url: str, *, compression: bool = False, per_second: float = INBOUND_PER_SECOND
) -> AsyncIterator[Stream]:
    """Connect to `url`. Whether it lives is for session.py to judge: the library's own keep-alive is off.

    Parameters
    ----------
    compression : offer permessage-deflate. The largest message is bounded after inflation.
    per_second : messages, pings and pongs that the venue lets us send.

    Raises
    ------
    HandshakeRefused, ConnectionLost : if there is no stream to be had now.
    """
    try:
        connection = await connect(
            url,
            open_timeout=OPEN_TIMEOUT_S,
            ping_interval=None,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_FRAME_BYTES,
            max_queue=LIBRARY_QUEUE,
            compression="deflate" if compression else None,
            user_agent_header=None,
            proxy=None,
            create_connection=cast("type[ClientConnection]", functools.partial(_Connection, per_second=per_second)),
        )
    except InvalidStatus as error:
        raise HandshakeRefused(error.response.status_code, retry_after(error)) from error
    except (OSError, TimeoutError, InvalidHandshake, InvalidMessage, InvalidURI) as error:
        raise ConnectionLost(f"connect: {error or type(error).__name__}") from error
    assert isinstance(connection, _Connection)
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

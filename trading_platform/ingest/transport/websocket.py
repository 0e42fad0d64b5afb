"""The socket: connect, receive raw frames, close quickly. Decides nothing; that is session.py.

Message and queue sizes are bounded in bytes, because a peer may send anything. fast_websocket.py has the same seam.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol, cast
from urllib.parse import urljoin

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.frames import DATA_OPCODES, CloseCode, Frame
from websockets.protocol import Event, State
from websockets.uri import parse_uri

from trading_platform.ingest.rate_limits.retry_after import seconds
from trading_platform.ingest.transport.delivery import Delivery, Take
from trading_platform.ingest.transport.frame_splitter import FrameCutter
from trading_platform.ingest.transport.rate_limited_protocol import INBOUND_PER_SECOND, PoliteProtocol
from trading_platform.venues.adapter import KeepAlive

MAX_FRAME_BYTES = 1 << 20
OPEN_TIMEOUT_S = 10.0
# The closing handshake is a courtesy; waiting the library's 10 s for it would keep us from reconnecting.
CLOSE_TIMEOUT_S = 1.0
PENDING_BYTES = 4 << 20
"""Received but not yet taken: beyond this much reading pauses and the socket fills."""
REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})
MAX_REDIRECTS = 10
"""As the library does it."""
FRAGMENTS = 4096
"""A message of more than this many is refused: empty ones add nothing to its size."""


class HandshakeRefused(Exception):
    """The server answered with HTTP instead of a stream: its status, Retry-After and Location."""

    def __init__(self, status: int, retry_after_s: float | None, location: str | None = None) -> None:
        self.status = status
        self.retry_after_s = retry_after_s
        self.location = location
        super().__init__(f"HTTP {status}")


class ConnectionLost(Exception):
    """The connection could not be made or has ended; the text says why, `code` is that of the other side's close."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        self.code = code
        super().__init__(reason)


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

    async def deliver(self, take: Take) -> None:
        """Give `take` the messages in order, some at a time, as soon as they arrive, until it does not want more.

        They are given from within the event loop's reading of the socket: no task has to be woken for them first.

        Raises
        ------
        ConnectionLost : when there will be none.
        """
        ...

    async def close(self) -> None:
        """Close, waiting a second at most for the other side; what has arrived can still be received."""
        ...


class Transport(Protocol):
    """What opens connections: `open_stream` here, or that of fast_websocket.py."""

    def __call__(self, url: str) -> AbstractAsyncContextManager[OpenStream]:
        """Connect; raises HandshakeRefused or ConnectionLost."""
        ...


class _Connection(ClientConnection):
    """The library's connection, with a polite protocol object, keeping what arrives until it is taken.

    Messages do not pass the library's queue: a coroutine for each costs a third of receiving one, and two more rounds
    of the event loop before it is in the log. Simple frames do not pass its parser either (frame_splitter.py).
    """

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
        self.held = False
        self._cutter = FrameCutter(self.polite, super().data_received)
        self._fragments: list[bytes | bytearray | memoryview] = []
        self._delivery = Delivery()
        self._ending = False

    # ---- called by the event loop

    def data_received(self, data: bytes) -> None:
        self.heard_s = self.loop.time()
        self._cutter.feed(data)
        if self._cutter and self._delivery.wanted:
            self._delivery.give(self._cutter.take())
        elif self._cutter:
            self._delivery.wake()
            if self._cutter.size > PENDING_BYTES and not self.held:
                self.held = True
                self.transport.pause_reading()
        if not self._ending and self.polite.close_expected():
            # The library waits for the other side to close, until somebody calls close(): we wait a second.
            self._ending = True
            self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def process_event(self, event: Event) -> None:
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
        elif event.fin and not self._fragments:
            self._cutter.add(bytes(event.data))
        else:
            self._fragment(event)

    def _fragment(self, frame: Frame) -> None:
        fragments = self._fragments
        fragments.append(frame.data)
        if frame.fin:
            self._cutter.add(b"".join(fragments))
            fragments.clear()
        elif len(fragments) > FRAGMENTS and self.polite.state is State.OPEN:
            self.polite.fail(CloseCode.MESSAGE_TOO_BIG, f"a message of more than {FRAGMENTS} fragments")
            self.send_data()
        self._cutter.joining = bool(fragments)

    def eof_received(self) -> None:
        self._cutter.end()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._delivery.wake()

    # ---- called by who receives

    async def deliver(self, take: Take) -> None:
        """Give messages away until `take` has enough or there will be none."""
        enough = False
        while not enough and not self.over:
            if self._cutter:
                messages = self._cutter.take()
                if self.held:
                    self.held = False
                    self.transport.resume_reading()
                enough = not take(messages)
            else:
                enough = await self._delivery.wait(take)

    @property
    def over(self) -> bool:
        """Whether there are no messages and will be none."""
        return not self._cutter and self.connection_lost_waiter.done()


class Stream:
    """An open connection of the library `websockets`."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._sending: set[asyncio.Task[None]] = set()

    async def deliver(self, take: Take) -> None:
        """Give `take` the messages as they arrive; see `OpenStream`."""
        await self._connection.deliver(take)
        if self._connection.over:
            ended = self._connection.polite.close_exc
            raise ConnectionLost(_reason(ended), None if ended.rcvd is None else int(ended.rcvd.code)) from ended

    @property
    def heard_s(self) -> float:
        """When anything last arrived, in the event loop's time; now, while we ourselves do not read."""
        return self._connection.loop.time() if self._connection.held else self._connection.heard_s

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


@asynccontextmanager
async def open_stream(
    url: str,
    *,
    compression: bool = False,
    per_second: float = INBOUND_PER_SECOND,
    open_timeout_s: float = OPEN_TIMEOUT_S,
) -> AsyncIterator[Stream]:
    """Connect to `url`. Whether it lives is for session.py to judge: the library's own keep-alive is off.

    Parameters
    ----------
    compression : offer permessage-deflate. The largest message is bounded after inflation.
    per_second : messages, pings and pongs that the venue lets us send.
    open_timeout_s : how long connecting and the handshake may take together.

    Raises
    ------
    HandshakeRefused, ConnectionLost : if there is no stream to be had now.
    """
    try:
        connection = await _Connect(
            url,
            open_timeout=open_timeout_s,
            ping_interval=None,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_FRAME_BYTES,
            compression="deflate" if compression else None,
            user_agent_header=None,
            proxy=None,
            create_connection=cast("type[ClientConnection]", functools.partial(_Connection, per_second=per_second)),
        )
    except InvalidStatus as error:
        raise refusal(error) from error
    except (OSError, TimeoutError, InvalidHandshake, InvalidMessage, InvalidURI) as error:
        raise ConnectionLost(f"connect: {str(error) or type(error).__name__}") from error
    assert isinstance(connection, _Connection)
    stream = Stream(connection)
    try:
        yield stream
    finally:
        await stream.close()


def _reason(error: ConnectionClosed) -> str:
    frame = error.rcvd or error.sent
    return f"closed {frame.code} {frame.reason}".strip() if frame else "closed without a close frame"


class _Connect(connect):
    """The library's connect, which follows redirects, and should not to anywhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return where to go on, or why not."""
        location = exc.response.headers.get("Location") if isinstance(exc, InvalidStatus) else None
        try:
            same = location is not None and is_same_origin(self.uri, location)
            return super().process_redirect(exc) if same else exc
        except InvalidURI:
            return exc


def is_same_origin(url: str, location: str) -> bool:
    """Tell whether a redirect stays with the host that was meant: its name, its port, its encryption.

    >>> is_same_origin("ws://venue.example/stream", "/other"), is_same_origin("ws://a.example/", "ws://a.example:8080/")
    (True, False)
    >>> is_same_origin("ws://venue.example/stream", "http://venue.example/")
    False
    """
    try:
        old, new = parse_uri(url), parse_uri(urljoin(url, location))
    except (InvalidURI, ValueError):
        return False
    return (old.secure, old.host, old.port) == (new.secure, new.host, new.port)


def refusal(error: InvalidStatus) -> HandshakeRefused:
    """Return what a server said instead of opening a stream."""
    response = error.response
    return HandshakeRefused(response.status_code, retry_after(error), response.headers.get("Location"))


def retry_after(error: InvalidStatus) -> float | None:
    """Return how long the server asks to wait, None if it does not say so."""
    headers = error.response.headers
    return seconds(headers.get("Retry-After"), headers.get("Date"))

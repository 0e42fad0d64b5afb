"""The socket: connect, receive raw frames, close quickly. Decides nothing; that is session.py.

Message and queue sizes are bounded in bytes, because a peer may send anything. What this shares with fast_websocket.py
is protocol.py.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.frames import DATA_OPCODES, CloseCode, Frame
from websockets.protocol import Event, State

from trading_platform.ingest.transport.delivery import Delivery, Take
from trading_platform.ingest.transport.frame_splitter import FrameSplitter
from trading_platform.ingest.transport.protocol import (
    CLOSE_TIMEOUT_S,
    MAX_FRAME_BYTES,
    OPEN_TIMEOUT_S,
    ConnectionLost,
    is_same_origin,
    refusal,
)
from trading_platform.ingest.transport.rate_limited_protocol import INBOUND_PER_SECOND, RateLimitedProtocol
from trading_platform.venues.adapter import KeepAlive

PENDING_BYTES = 4 << 20
"""Received but not yet taken: beyond this much reading pauses and the socket fills."""
FRAGMENTS = 4096
"""A message of more than this many is refused: empty ones add nothing to its size."""


class _ClientConnection(ClientConnection):
    """The library's connection, with a rate-limited protocol object, keeping what arrives until it is taken.

    Messages do not pass the library's queue: a coroutine for each costs a third of receiving one, and two more rounds
    of the event loop before it is in the log. Simple frames do not pass its parser either (frame_splitter.py).
    """

    def __init__(self, protocol: ClientProtocol, *, per_second: float, **options: Any) -> None:
        self.limited = RateLimitedProtocol(
            protocol.uri,
            extensions=protocol.available_extensions,
            max_size=protocol.max_message_size,
            logger=protocol.logger,
            per_second=per_second,
        )
        super().__init__(self.limited, **options)
        self.heard_s = self.loop.time()
        self.reading_paused = False
        self._splitter = FrameSplitter(self.limited, super().data_received)
        self._fragments: list[bytes | bytearray | memoryview] = []
        self._delivery = Delivery()
        self._ending = False

    # ---- called by the event loop

    def data_received(self, data: bytes) -> None:
        self.heard_s = self.loop.time()
        self._splitter.feed(data)
        if self._splitter and self._delivery.wanted:
            self._delivery.give(self._splitter.take())
        elif self._splitter:
            self._delivery.wake()
            if self._splitter.size > PENDING_BYTES and not self.reading_paused:
                self.reading_paused = True
                self.transport.pause_reading()
        if not self._ending and self.limited.close_expected():
            # Until close() is called the library waits for the other side to close: wait one second.
            self._ending = True
            self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def process_event(self, event: Event) -> None:
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
        elif event.fin and not self._fragments:
            self._splitter.add(bytes(event.data))
        else:
            self._fragment(event)

    def _fragment(self, frame: Frame) -> None:
        fragments = self._fragments
        fragments.append(frame.data)
        if frame.fin:
            self._splitter.add(b"".join(fragments))
            fragments.clear()
        elif len(fragments) > FRAGMENTS and self.limited.state is State.OPEN:
            self.limited.fail(CloseCode.MESSAGE_TOO_BIG, f"a message of more than {FRAGMENTS} fragments")
            self.send_data()
        self._splitter.joining = bool(fragments)

    def eof_received(self) -> None:
        self._splitter.end()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._delivery.wake()

    # ---- called by the consumer

    async def deliver(self, take: Take) -> None:
        """Deliver messages until `take` has enough or there will be none."""
        enough = False
        while not enough and not self.over:
            if self._splitter:
                messages = self._splitter.take()
                if self.reading_paused:
                    self.reading_paused = False
                    self.transport.resume_reading()
                enough = not take(messages)
            else:
                enough = await self._delivery.wait(take)

    @property
    def over(self) -> bool:
        """Whether there are no messages and will be none."""
        return not self._splitter and self.connection_lost_waiter.done()


class WebSocketStream:
    """An open connection of the library `websockets`."""

    def __init__(self, connection: _ClientConnection) -> None:
        self._connection = connection
        self._sending: set[asyncio.Task[None]] = set()

    async def deliver(self, take: Take) -> None:
        """Give `take` the messages as they arrive; see `OpenStream`."""
        await self._connection.deliver(take)
        if self._connection.over:
            ended = self._connection.limited.close_exc
            raise ConnectionLost(_reason(ended), None if ended.rcvd is None else int(ended.rcvd.code)) from ended

    @property
    def heard_s(self) -> float:
        """When anything last arrived, in the event loop's time; now, while we ourselves do not read."""
        return self._connection.loop.time() if self._connection.reading_paused else self._connection.heard_s

    def tick(self, ping: KeepAlive | None) -> None:
        """Send what is owed, and the venue's kind of ping if given one."""
        if ping is not None or self._connection.limited.owed is not None:
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
                connection.limited.send_owed_pong()

    def say(self, message: bytes) -> bool:
        """Send a text message if the venue's limit allows one now; return whether it was sent."""
        sent = self._connection.limited.try_send_text(message)
        if sent:
            self._connection.send_data()
        return sent

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
) -> AsyncIterator[WebSocketStream]:
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
            create_connection=cast(
                "type[ClientConnection]", functools.partial(_ClientConnection, per_second=per_second)
            ),
        )
    except InvalidStatus as error:
        raise refusal(error) from error
    except (OSError, TimeoutError, InvalidHandshake, InvalidMessage, InvalidURI) as error:
        raise ConnectionLost(f"connect: {str(error) or type(error).__name__}") from error
    assert isinstance(connection, _ClientConnection)
    stream = WebSocketStream(connection)
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

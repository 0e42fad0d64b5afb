"""Receive many frames at a time from the socket, without an object for each frame: the fast transport.

The bytes arrive in one big buffer; transport/frame_splitter_jit.py takes runs of simple frames out of it. Handshake,
control frames, fragments, compression and everything that should not be there go through the protocol object of
`websockets`, so what this accepts and refuses is what `websockets` does. Deciding is session.py.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urljoin

import numpy as np
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI, parse_uri

from trading_platform.ingest.transport import frame_splitter_jit as frame_splitter
from trading_platform.ingest.transport.delivery import Delivery, Take
from trading_platform.ingest.transport.frame_batch import Packed
from trading_platform.ingest.transport.frame_header import HANDSHAKE_BYTES, HANDSHAKE_END, frame_size
from trading_platform.ingest.transport.protocol import (
    CLOSE_TIMEOUT_S,
    MAX_FRAME_BYTES,
    MAX_REDIRECTS,
    OPEN_TIMEOUT_S,
    REDIRECTS,
    ConnectionLost,
    HandshakeRefused,
    is_same_origin,
    refusal,
)
from trading_platform.ingest.transport.rate_limited_protocol import INBOUND_PER_SECOND, RateLimitedProtocol
from trading_platform.venues.adapter import KeepAlive

BUFFER_BYTES = 256 << 10
QUEUE_BYTES = 4 << 20
"""Received but not yet taken: beyond this much reading pauses and the socket fills."""
PASS_BYTES = 8 << 20
"""The most that one buffer may inflate to; beyond it the connection is refused as too big."""
_LENGTH = struct.Struct("<I")


class FrameReceiver:
    """Turn the bytes of a connection into packed messages. Sans-I/O: bytes in, messages and bytes to send out.

    Parameters
    ----------
    protocol : a client protocol that has sent its request.

    Examples
    --------
    >>> receiver = FrameReceiver(ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN))
    >>> receiver.feed(bytes([0x81, 2]) + b"hi" + bytes([0x89, 0]) + bytes([0x81, 3]) + b"yo")
    >>> receiver.take().payload, receiver.feed(b"u"), receiver.take().payload
    (b'hi', None, b'you')
    """

    def __init__(self, protocol: ClientProtocol) -> None:
        self.protocol = protocol
        self._memory = bytearray(BUFFER_BYTES)
        self._buffer = np.frombuffer(self._memory, np.uint8)
        self._view = memoryview(self._memory)
        self._fill = 0
        self._out = np.empty(BUFFER_BYTES, np.uint8)
        self._lengths = np.empty(2 * BUFFER_BYTES, np.uint8)
        self._told = np.zeros(4, np.int64)
        self._passing = 0  # bytes of the current other frame that the protocol object still awaits
        self._message: list[bytes] | None = None  # the fragments of the current message
        self._parts: list[tuple[int, bytes, bytes]] = []
        self._inflated = 0
        self._refused = False

    def room(self) -> memoryview:
        """Return where the next bytes go; never empty."""
        return self._view[self._fill :]

    def filled(self, size: int) -> None:
        """Take the bytes that were put into `room`."""
        self._fill += size
        at = 0
        if self.protocol.state is State.CONNECTING:
            at = self._handshake()
        while at < self._fill and self.protocol.state is not State.CONNECTING:
            before = at
            if self.protocol.state is not State.OPEN and self._ended():
                at = self._fill
                break
            at = self._frames(at)
            if at == before:
                break
        left = self._fill - at
        if at and left:
            self._memory[:left] = self._memory[at : self._fill]
        self._fill = left

    def feed(self, data: bytes) -> None:
        """Take bytes that were not read into `room`."""
        at = 0
        while at < len(data):
            room = self.room()
            size = min(len(room), len(data) - at)
            room[:size] = data[at : at + size]
            self.filled(size)
            at += size

    def take(self) -> Packed | None:
        """Return the messages that are whole now, None if there is none."""
        parts, self._parts, self._inflated = self._parts, [], 0
        if not parts:
            return None
        if len(parts) == 1:
            return Packed(*parts[0])
        count, lengths, payloads = zip(*parts, strict=True)
        return Packed(sum(count), b"".join(lengths), b"".join(payloads))

    def _handshake(self) -> int:
        """Give the answer to our request, and nothing after it, to the protocol object; return its size."""
        end = self._memory.find(HANDSHAKE_END, 0, self._fill)
        if end < 0:
            if self._fill > HANDSHAKE_BYTES:
                self.protocol.receive_eof()
                return self._fill
            return 0
        end += len(HANDSHAKE_END)
        self.protocol.receive_data(bytes(self._view[:end]))
        if self.protocol.state is State.CONNECTING:  # refused: what follows is the body
            self.protocol.receive_data(bytes(self._view[end : self._fill]))
            return self._fill
        return end

    def _frames(self, at: int) -> int:
        """Take what can be taken from `at` on; return up to where."""
        if not self._passing and self._message is None:
            told = self._told
            frame_splitter.split(self._buffer, at, self._fill, self._lengths, self._out, told)
            at, count, size, waiting = map(int, told)
            if count:
                self._parts.append((count, self._lengths[: 4 * count].tobytes(), self._out[:size].tobytes()))
            if waiting:
                return at
        if not self._passing:
            self._passing = frame_size(self._view, at, self._fill)
        size = min(self._passing, self._fill - at)
        if size:
            self._passing -= size
            self.protocol.receive_data(bytes(self._view[at : at + size]))
            self._events()
        return at + size

    def _events(self) -> None:
        for event in self.protocol.events_received():
            if not isinstance(event, Frame):
                continue
            if event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
                self._fragment(event)

    def _fragment(self, frame: Frame) -> None:
        message = self._message or []
        message.append(bytes(frame.data))
        self._message = message
        if frame.fin:
            payload = b"".join(message)
            self._parts.append((1, _LENGTH.pack(len(payload)), payload))
            self._message = None
            self._inflated += len(payload)
            if self._inflated > PASS_BYTES and self.protocol.state is State.OPEN:
                self.protocol.fail(1009, f"more than {PASS_BYTES} bytes in one buffer")
                self._refused = True

    def _ended(self) -> bool:
        """Whether the other side has said that nothing more will come, or said something wrong."""
        protocol = self.protocol
        return protocol.state is State.CLOSED or bool(protocol.close_rcvd or protocol.parser_exc) or self._refused


class _Socket(asyncio.BufferedProtocol):
    """Moves bytes between a transport and a FrameReceiver, and wakes the consumer."""

    def __init__(self, protocol: RateLimitedProtocol) -> None:
        self.receiver = FrameReceiver(protocol)
        self.protocol = protocol
        self.transport: asyncio.Transport | None = None
        self.queue: deque[Packed] = deque()
        self.queued_bytes = 0
        self.paused = False
        self.lost = False
        self.delivery = Delivery()
        self.reason = "closed without a close frame"
        self.code: int | None = None
        self._loop = asyncio.get_running_loop()
        self.heard_s = self._loop.time()

    # ---- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.protocol.send_request(self.protocol.connect())
        self.flush()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  (asyncio's signature)
        return self.receiver.room()

    def buffer_updated(self, nbytes: int) -> None:
        self.heard_s = self._loop.time()
        self.receiver.filled(nbytes)
        if self.protocol.writes:
            self.flush()
        packed = self.receiver.take()
        if packed is not None and self.delivery.wanted:
            self.delivery.give(packed)
            return
        if packed is not None:
            self.queue.append(packed)
            self.queued_bytes += len(packed.payload)
            if self.queued_bytes > QUEUE_BYTES and not self.paused:
                self.paused = True
                assert self.transport is not None
                self.transport.pause_reading()
        self.delivery.wake()

    def eof_received(self) -> bool:
        self.protocol.receive_eof()
        self.flush()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self.protocol.receive_eof()
        if self.protocol.close_rcvd is not None:
            self.code = int(self.protocol.close_rcvd.code)
        close = self.protocol.close_rcvd or self.protocol.close_sent
        if close is not None:
            self.reason = f"closed {int(close.code)} {close.reason}".strip()
        elif error is not None:
            self.reason = f"lost: {error}"
        self.delivery.wake()

    # ---- called by the consumer

    def taken(self, packed: Packed) -> None:
        """Go on reading once there is room again."""
        self.queued_bytes -= len(packed.payload)
        if self.paused and self.queued_bytes <= QUEUE_BYTES // 2:
            self.paused = False
            if not self.lost:
                assert self.transport is not None
                self.transport.resume_reading()

    def flush(self) -> None:
        """Send what the protocol object wants sent; once it is done, the connection ends within a second."""
        assert self.transport is not None
        for data in self.protocol.data_to_send():
            if data:
                self.transport.write(data)
            elif self.transport.can_write_eof():
                with suppress(OSError):
                    self.transport.write_eof()
            else:
                self.transport.close()
        if self.protocol.close_expected() and not self.lost:
            self._loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)


class FastStream:
    """An open connection; the same calls as `websocket.Stream`."""

    def __init__(self, connection: _Socket) -> None:
        self._connection = connection

    async def deliver(self, take: Take) -> None:
        """Give `take` the messages as they arrive; see `OpenStream`."""
        connection = self._connection
        while True:
            if connection.queue:
                packed = connection.queue.popleft()
                connection.taken(packed)
                if not take(packed):
                    return
            elif connection.lost:
                raise ConnectionLost(connection.reason, connection.code)
            elif await connection.delivery.wait(take):
                return

    @property
    def heard_s(self) -> float:
        """When anything last arrived, in the event loop's time; now, while we ourselves do not read."""
        connection = self._connection
        return asyncio.get_running_loop().time() if connection.paused else connection.heard_s

    def tick(self, ping: KeepAlive | None) -> None:
        """Send what is owed, and the venue's kind of ping if given one."""
        connection = self._connection
        if connection.protocol.state is not State.OPEN or connection.lost:
            return
        if ping is not None and ping.kind == "ping":
            connection.protocol.send_ping(b"")
        elif ping is not None:
            connection.protocol.send_text(ping.message)
        connection.protocol.send_owed_pong()
        connection.flush()

    def say(self, message: bytes) -> bool:
        """Send a text message if the venue's limit allows one now; return whether it was sent."""
        connection = self._connection
        sent = not connection.lost and connection.protocol.try_send_text(message)
        if sent:
            connection.flush()
        return sent

    def abort(self) -> None:
        """End at once."""
        assert self._connection.transport is not None
        self._connection.transport.abort()

    async def close(self) -> None:
        """Close, waiting a second at most for the other side."""
        connection = self._connection
        if connection.protocol.state is State.OPEN:
            connection.protocol.send_close(1000)
        connection.flush()


@asynccontextmanager
async def open_stream(
    url: str,
    *,
    compression: bool = False,
    per_second: float = INBOUND_PER_SECOND,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[FastStream]:
    """Connect to `url`; see `websocket.open_stream`.

    Parameters
    ----------
    compression : offer permessage-deflate: a seventh of the bytes, three times the work.
    per_second : messages, pings and pongs that the venue lets us send.
    tls : for wss; the system's certificates count if it is None.

    Raises
    ------
    HandshakeRefused, ConnectionLost : if there is no stream to be had now.
    """
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            connection = await _follow(url, compression=compression, per_second=per_second, tls=tls)
    except (InvalidURI, TimeoutError) as error:
        raise ConnectionLost(f"connect: {str(error) or type(error).__name__}") from error
    try:
        yield FastStream(connection)
    finally:
        assert connection.transport is not None
        if connection.protocol.state is State.OPEN:
            connection.protocol.send_close(1000)
            connection.flush()
        connection.transport.close()


async def _follow(url: str, *, compression: bool, per_second: float, tls: ssl.SSLContext | None) -> _Socket:
    """Connect, and go where the same host redirects to; nowhere else."""
    for _ in range(MAX_REDIRECTS):
        try:
            return await _connect(parse_uri(url), compression=compression, per_second=per_second, tls=tls)
        except HandshakeRefused as error:
            if error.status not in REDIRECTS or error.location is None or not is_same_origin(url, error.location):
                raise
            url = urljoin(url, error.location)
    raise ConnectionLost(f"connect: more than {MAX_REDIRECTS} redirects")


async def _connect(uri: WebSocketURI, *, compression: bool, per_second: float, tls: ssl.SSLContext | None) -> _Socket:
    loop = asyncio.get_running_loop()
    extensions = [ClientPerMessageDeflateFactory(compress_settings={"memLevel": 5})] if compression else None
    protocol = RateLimitedProtocol(uri, extensions=extensions, max_size=MAX_FRAME_BYTES, per_second=per_second)
    connection = _Socket(protocol)
    context = (tls or ssl.create_default_context()) if uri.secure else None
    frame_splitter.split.dispatcher()  # loading it takes half a second: before there is anything to receive
    try:
        await loop.create_connection(
            lambda: connection, uri.host, uri.port, ssl=context, server_hostname=uri.host if context else None
        )
        while protocol.state is State.CONNECTING and protocol.handshake_exc is None and not connection.lost:
            await connection.delivery.wait()
    except OSError as error:
        _abort(connection)
        raise ConnectionLost(f"connect: {str(error) or type(error).__name__}") from error
    except BaseException:
        _abort(connection)
        raise
    if protocol.handshake_exc is not None or protocol.state is State.CONNECTING:
        _abort(connection)
        reason = protocol.handshake_exc
        if isinstance(reason, InvalidStatus):
            raise refusal(reason) from reason
        raise ConnectionLost(f"connect: {reason or connection.reason}") from reason
    return connection


def _abort(connection: _Socket) -> None:
    if connection.transport is not None:
        connection.transport.abort()

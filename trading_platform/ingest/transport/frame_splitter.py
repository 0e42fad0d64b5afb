"""Take simple frames out of what arrives, give all others to the protocol object of `websockets`. Sans-I/O.

What is simple is frame_header.py. The library takes 4 µs for a frame, in steps that each may raise; this takes 2 µs.
Whatever is not simple, and everything once the connection is ending, goes through the library. The same with a kernel,
for packed messages, is fast_websocket.py, which needs numba; this needs nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from websockets.client import ClientProtocol
from websockets.protocol import State

from trading_platform.ingest.transport.frame_header import (
    BINARY,
    HANDSHAKE_BYTES,
    HANDSHAKE_END,
    TEXT,
    frame_size,
    is_simple,
)


class FrameSplitter:
    """Cut the bytes of a connection.

    Parameters
    ----------
    protocol : a client's protocol object; messages of 64 KiB must be within its limit.
    pass_on : gives bytes to the protocol object, and messages that come of them to `add`.

    Attributes
    ----------
    size : the bytes of all messages that wait.
    joining : whether a message of several fragments is under way; set by the owner, which joins them.

    Examples
    --------
    >>> from websockets.uri import parse_uri
    >>> protocol = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
    >>> cutter = FrameSplitter(protocol, protocol.receive_data)
    >>> cutter.feed(bytes([0x81, 2]) + b"hi" + bytes([0x89, 0]) + bytes([0x81, 3]) + b"yo")
    >>> cutter.take(), cutter.feed(b"u"), cutter.take(), len(protocol.events_received())
    ([b'hi'], None, [b'you'], 1)
    """

    def __init__(self, protocol: ClientProtocol, pass_on: Callable[[bytes], object]) -> None:
        self.size = 0
        self.joining = False
        self._protocol, self._pass_on = protocol, pass_on
        self._messages: list[bytes] = []
        self._tail = b""  # the beginning of a simple frame, or of any header
        self._passing = 0  # bytes of the current other frame that the protocol object still awaits
        self._all = False  # everything goes to the protocol object from now on

    def __bool__(self) -> bool:
        """Whether there are messages."""
        return bool(self._messages)

    def take(self) -> list[bytes]:
        """Return the messages that are whole now."""
        messages, self._messages, self.size = self._messages, [], 0
        return messages

    def add(self, message: bytes) -> None:
        """Take a message that the protocol object gave."""
        self._messages.append(message)
        self.size += len(message)

    def feed(self, data: bytes) -> None:
        """Take bytes as they arrive."""
        if self._tail:
            data, self._tail = self._tail + data, b""
        if self._all:
            self._pass_on(data)
            return
        at = 0
        if self._protocol.state is State.CONNECTING:
            at = self._handshake(data)
        while at < len(data):
            if not self._passing:
                if self._protocol.state is not State.OPEN or self._protocol.extensions:
                    self._all = True
                    self._pass_on(data[at:])
                    return
                if not self.joining:
                    at = self._cut(data, at)
                self._passing = self._other_frame(data, at)
                if not self._passing:
                    self._tail = data[at:]
                    return
            piece = data[at : at + self._passing]
            self._passing -= len(piece)
            at += len(piece)
            self._pass_on(piece)

    def end(self) -> None:
        """Let the protocol object see what is not whole: nothing more will arrive."""
        tail, self._tail, self._all = self._tail, b"", True
        if tail:
            self._pass_on(tail)

    def _handshake(self, data: bytes) -> int:
        """Pass on the answer to our request, and nothing after it; return its size."""
        end = data.find(HANDSHAKE_END)
        if end < 0:
            if len(data) <= HANDSHAKE_BYTES:
                self._tail = data
            else:
                self._all = True
                self._pass_on(data)
            return len(data)
        end += len(HANDSHAKE_END)
        self._pass_on(data[:end])
        if self._protocol.state is State.CONNECTING:  # refused: what follows is the body
            self._all = True
            self._pass_on(data[end:])
            return len(data)
        return end

    def _cut(self, data: bytes, at: int) -> int:
        """Take the simple frames that are whole from `at` on; return up to where."""
        messages, begun, size = self._messages, at, len(data)
        while at + 1 < size and TEXT <= data[at] <= BINARY:
            length, begin = data[at + 1], at + 2
            if length == 126 and at + 3 < size:
                length, begin = data[at + 2] << 8 | data[at + 3], at + 4
                if length < 126:
                    break
            elif length > 125:
                break
            end = begin + length
            if end > size:
                break
            messages.append(data[begin:end])
            at = end
        self.size += at - begun
        return at

    def _other_frame(self, data: bytes, at: int) -> int:
        """Return the size of the frame at `at` if it is not simple; 0 if it is or its header is not whole."""
        size = frame_size(data, at, len(data))
        return 0 if size and not self.joining and is_simple(data, at) else size

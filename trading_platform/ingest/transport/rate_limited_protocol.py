"""A client's side of the WebSocket protocol that never sends more than the venue allows, whatever the venue sends.

The library answers every ping at once: a flood of pings would make the venue cut us off for flooding. RFC 6455 (5.5.3)
lets an endpoint answer only the most recent ping; that is what this does once the limit is reached.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from trading_platform.ingest.rate_limits.message_limiter import MessageLimiter

INBOUND_PER_SECOND = 5.0


class RateLimitedProtocol(ClientProtocol):
    """`websockets`' protocol object with a limit on what it sends.

    Parameters
    ----------
    per_second : pings, pongs and messages the venue lets a client send.

    Examples
    --------
    >>> from websockets.uri import parse_uri
    >>> limited = RateLimitedProtocol(parse_uri("ws://localhost/"), state=State.OPEN, per_second=3, clock_ns=lambda: 0)
    >>> limited.receive_data(bytes([0x89, 1]) + b"a" + bytes([0x89, 1]) + b"b" + bytes([0x89, 1]) + b"c")
    >>> len(limited.data_to_send()), limited.owed
    (2, b'c')
    """

    def __init__(
        self,
        *args: Any,
        per_second: float = INBOUND_PER_SECOND,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._limiter = MessageLimiter(per_second)
        self._clock_ns = clock_ns
        self.owed: bytes | None = None

    def send_frame(self, frame: Frame) -> None:
        """Send a frame, or remember the pong for later."""
        if frame.opcode is Opcode.PONG:
            if not self._limiter.take(self._clock_ns()):
                self.owed = bytes(frame.data)
                return
            self.owed = None
        elif frame.opcode in {Opcode.PING, Opcode.TEXT, Opcode.BINARY}:
            self._limiter.take(self._clock_ns(), urgent=True)
        super().send_frame(frame)

    def send_owed_pong(self) -> None:
        """Send the pong that is owed, if that is allowed by now."""
        if self.owed is not None and self.state is State.OPEN:
            self.send_frame(Frame(Opcode.PONG, self.owed))

    def try_send_text(self, message: bytes) -> bool:
        """Send a message if that is allowed by now; return whether it was sent."""
        if self.state is not State.OPEN or not self._limiter.has_room(self._clock_ns()):
            return False
        self.send_text(message)
        return True

"""A client's side of the WebSocket protocol that never sends more than the venue allows, whatever the venue sends.

The library answers every ping at once; a flood of pings would so get us cut off for flooding. RFC 6455 (5.5.3) lets an
endpoint answer only the most recent one, and that is what happens here once the allowance is spent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from trading_platform.ingest.liveness.keepalive import Allowance

INBOUND_PER_SECOND = 5.0


class PoliteProtocol(ClientProtocol):
    """`websockets`' protocol object with an allowance.

    Parameters
    ----------
    per_second : pings, pongs and messages the venue lets a client send.

    Examples
    --------
    >>> from websockets.uri import parse_uri
    >>> polite = PoliteProtocol(parse_uri("ws://localhost/"), state=State.OPEN, per_second=3, clock_ns=lambda: 0)
    >>> polite.receive_data(bytes([0x89, 1]) + b"a" + bytes([0x89, 1]) + b"b" + bytes([0x89, 1]) + b"c")
    >>> len(polite.data_to_send()), polite.owed
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
        self._allowance = Allowance(per_second)
        self._clock_ns = clock_ns
        self.owed: bytes | None = None

    def send_frame(self, frame: Frame) -> None:
        """Send a frame, or remember the pong for later."""
        if frame.opcode is Opcode.PONG:
            if not self._allowance.take(self._clock_ns()):
                self.owed = bytes(frame.data)
                return
            self.owed = None
        elif frame.opcode in {Opcode.PING, Opcode.TEXT, Opcode.BINARY}:
            self._allowance.take(self._clock_ns(), urgent=True)
        super().send_frame(frame)

    def pay(self) -> None:
        """Send the pong that is owed, if that is allowed by now."""
        if self.owed is not None and self.state is State.OPEN:
            self.send_frame(Frame(Opcode.PONG, self.owed))

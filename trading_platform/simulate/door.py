"""Who gets a stream of the simulated venue, and what others are answered. Sans-I/O: address and time -> an answer.

Sockets and faults are venue_server.py, what an address asks for binance_stream.py.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from trading_platform.simulate.exchanges.binance_stream import MAX_STREAMS, streams_of

ADDRESS_BYTES = 8000
"""The longest path of a stream with its query: servers and proxies accept request lines of 8 KB."""
_CONNECTS, _CONNECTS_WINDOW_S = 300, 300.0


class Refusal(NamedTuple):
    """An answer instead of a stream; `note` is what is remembered of it, "" for nothing."""

    status: int
    text: str
    note: str = "refused"
    retry_after_s: int | None = None


class Door:
    r"""What a venue lets in.

    Parameters
    ----------
    address_bytes : longest address of a stream; longer ones are answered 414.
    refuse : asked for each connection's streams; returns the status that it is answered with, None for a stream.

    Examples
    --------
    >>> door = Door(40)
    >>> door.answer("/stream?streams=btcusdt@trade", 0.0) is None
    True
    >>> door.answer("/stream?streams=" + 30 * "a", 0.0).text
    'Address too long\n'
    >>> door.refuse(451, until_s=5.0)
    >>> door.answer("/ws", 4.0).status, door.answer("/ws", 5.0)
    (451, None)
    """

    def __init__(
        self, address_bytes: int = ADDRESS_BYTES, refuse: Callable[[list[str]], int | None] | None = None
    ) -> None:
        self._address_bytes, self._refuse = address_bytes, refuse
        self._connects: deque[float] = deque()
        self._refused_until_s = self._banned_until_s = 0.0
        self._status = 503

    def refuse(self, status: int, *, until_s: float) -> None:
        """Answer every connection so until then."""
        self._status, self._refused_until_s = status, until_s

    def ban(self, until_s: float) -> None:
        """Answer every connection with a ban until then."""
        self._banned_until_s = until_s

    def answer(self, target: str, now_s: float) -> Refusal | None:
        """Count an attempt; return what it is answered, None for a stream."""
        while self._connects and now_s - self._connects[0] > _CONNECTS_WINDOW_S:
            self._connects.popleft()
        self._connects.append(now_s)
        if now_s < self._banned_until_s:
            wait_s = math.ceil(self._banned_until_s - now_s)
            return Refusal(HTTPStatus.IM_A_TEAPOT, "Way too many requests; IP banned\n", "banned", wait_s)
        if now_s < self._refused_until_s:
            return Refusal(self._status, "refused\n")
        if len(self._connects) > _CONNECTS:
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "Too many connection attempts from IP\n")
        if len(target) > self._address_bytes:
            return Refusal(HTTPStatus.REQUEST_URI_TOO_LONG, "Address too long\n")
        streams = streams_of(target)
        if streams is None:
            return Refusal(HTTPStatus.NOT_FOUND, "Not found\n", "")
        if len(streams) > MAX_STREAMS:
            return Refusal(HTTPStatus.BAD_REQUEST, f"More than {MAX_STREAMS} streams\n")
        status = None if self._refuse is None else self._refuse(streams)
        return None if status is None else Refusal(status, "refused\n")

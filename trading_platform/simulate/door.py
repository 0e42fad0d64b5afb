"""Admit or refuse stream connections to the simulated venue: rate limit, ban, address length. Sans-I/O.

Sockets and faults are venue_server.py; interpreting an address belongs to each exchange (exchanges/).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from http import HTTPStatus

from trading_platform.simulate.exchange import Refusal, StreamLimits, StreamSession


class Door:
    r"""Decides for each connection attempt: a session or a refusal.

    Parameters
    ----------
    limits : the exchange's.
    open_session : an address to what it asks for.
    refuse : asked for each connection's topics; returns the status that it is answered with, None for a stream.

    Examples
    --------
    >>> def nothing(target):
    ...     return Refusal(404, "Not found\n")
    >>> door = Door(StreamLimits(connects=300, connects_window_s=300.0, address_bytes=40), nothing)
    >>> door.answer("/stream?streams=btcusdt@trade", 0.0).text
    'Not found\n'
    >>> door.answer("/stream?streams=" + 30 * "a", 0.0).text
    'Address too long\n'
    >>> door.refuse(451, until_s=5.0)
    >>> door.answer("/ws", 4.0).status, door.answer("/ws", 5.0).status
    (451, 404)
    """

    def __init__(
        self,
        limits: StreamLimits,
        open_session: Callable[[str], StreamSession | Refusal],
        refuse: Callable[[list[str]], int | None] | None = None,
    ) -> None:
        self._limits, self._open, self._refuse = limits, open_session, refuse
        self._connects: deque[float] = deque()
        self._refused_until_s = self._banned_until_s = 0.0
        self._status = 503

    def refuse(self, status: int, *, until_s: float) -> None:
        """Answer every connection so until then."""
        self._status, self._refused_until_s = status, until_s

    def ban(self, until_s: float) -> None:
        """Answer every connection with a ban until then."""
        self._banned_until_s = until_s

    def answer(self, target: str, now_s: float) -> StreamSession | Refusal:
        """Count an attempt; return the session that it gets, or what it is answered instead."""
        limits = self._limits
        while self._connects and now_s - self._connects[0] > limits.connects_window_s:
            self._connects.popleft()
        self._connects.append(now_s)
        if now_s < self._banned_until_s:
            wait_s = math.ceil(self._banned_until_s - now_s) if limits.ban_tells_when else None
            return Refusal(limits.ban_status, limits.ban_text, "banned", wait_s)
        if now_s < self._refused_until_s:
            return Refusal(self._status, "refused\n")
        if len(self._connects) > limits.connects:
            return Refusal(limits.too_many_status, "Too many connection attempts from IP\n")
        if len(target) > limits.address_bytes:
            return Refusal(HTTPStatus.REQUEST_URI_TOO_LONG, "Address too long\n")
        session = self._open(target)
        if isinstance(session, Refusal):
            return session
        status = None if self._refuse is None else self._refuse(list(session.topics))
        return session if status is None else Refusal(status, "refused\n")

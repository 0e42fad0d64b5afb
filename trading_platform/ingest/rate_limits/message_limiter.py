"""How many messages a client may send to a venue in a second. Sans-I/O.

What counts as a message, and what waits, is transport/rate_limited_protocol.py; requests over REST are
request_weights.py.
"""

from __future__ import annotations

from collections import deque

from trading_platform.domain.units import NS_PER_S


class MessageLimiter:
    """Allows so many messages in any second, and not one more.

    One is kept for `urgent` ones: our own ping must not wait behind answers to a flood of theirs.

    Examples
    --------
    >>> limiter = MessageLimiter(2)
    >>> [limiter.take(0), limiter.take(0), limiter.take(0, urgent=True), limiter.take(2 * 10**9)]
    [True, False, True, True]
    """

    # The venue's second does not begin when ours does, and the network delays one message more than the next.
    _WINDOW_NS = int(1.2 * NS_PER_S)

    def __init__(self, per_second: float) -> None:
        self._most = max(1, int(per_second))
        self._spent: deque[int] = deque()

    def take(self, now_ns: int, *, urgent: bool = False) -> bool:
        """Spend one if there is one; return whether."""
        if not self.has_room(now_ns, urgent=urgent):
            return False
        self._spent.append(now_ns)
        return True

    def has_room(self, now_ns: int, *, urgent: bool = False) -> bool:
        """Tell whether `take` would spend one."""
        while self._spent and self._spent[0] <= now_ns - self._WINDOW_NS:
            self._spent.popleft()
        return len(self._spent) < self._most - (0 if urgent or self._most == 1 else 1)

"""Decide when to connect and how long to wait. Sans-I/O: state + event + `now_ns` -> decision.

The socket is websocket_client.py; randomness is handed in.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

_S = 1_000_000_000


@dataclass(frozen=True)
class SessionLimits:
    """What a venue and our own caution allow.

    Attributes
    ----------
    first_wait_s, longest_wait_s : the upper end of the first wait, doubled at each failure, and its cap.
    after_429_s : least wait after a 429, whatever the venue says.
    connects : most connection attempts in `connects_window_s`.
    """

    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    after_429_s: float = 60.0
    connects: int = 150
    connects_window_s: float = 300.0


class Session:
    """One connection's life: waits with full jitter, honours refusals, never exceeds the connect budget.

    Examples
    --------
    >>> session = Session(SessionLimits(), random.Random(1))
    >>> session.next_connect_ns(now_ns=0)
    0
    >>> session.connecting(now_ns=0)
    >>> session.refused(now_ns=0, status=429, retry_after_s=90.0)
    >>> session.next_connect_ns(now_ns=0) >= 90 * 10**9
    True
    """

    def __init__(self, limits: SessionLimits, rng: random.Random) -> None:
        self._limits = limits
        self._rng = rng
        self._failures = 0
        self._not_before_ns = 0
        self._attempts: deque[int] = deque()

    def next_connect_ns(self, now_ns: int) -> int:
        """Return when the next attempt may be made (`now_ns` if at once)."""
        at = max(now_ns, self._not_before_ns)
        window = int(self._limits.connects_window_s * _S)
        while self._attempts and self._attempts[0] <= at - window:
            self._attempts.popleft()
        if len(self._attempts) >= self._limits.connects:
            at = max(at, self._attempts[-self._limits.connects] + window)
        return at

    def connecting(self, now_ns: int) -> None:
        """Count an attempt."""
        self._attempts.append(now_ns)

    def delivered(self) -> None:
        """Take note that the connection works: the next wait is short again."""
        self._failures = 0

    def failed(self, now_ns: int) -> None:
        """Take note of a failed attempt or a lost connection: wait, longer each time, with full jitter."""
        longest = min(self._limits.longest_wait_s, self._limits.first_wait_s * 2.0 ** min(self._failures, 20))
        self._failures += 1
        self._not_before_ns = max(self._not_before_ns, now_ns + int(self._rng.uniform(0, longest) * _S))

    def refused(self, now_ns: int, status: int, retry_after_s: float | None) -> None:
        """Take note of an HTTP answer instead of a stream."""
        if status not in (429, 418):
            self.failed(now_ns)
            return
        wait = max(self._limits.after_429_s, retry_after_s or 0.0)
        self._failures += 1
        self._not_before_ns = now_ns + int((wait + self._rng.uniform(0, 0.1 * wait)) * _S)

    def banned(self, until_ns: int) -> None:
        """Honour a ban learned elsewhere."""
        self._not_before_ns = max(self._not_before_ns, until_ns)

"""When to connect: backoff with full jitter, refusals, bans, a breaker, the venue's budget. Sans-I/O.

What happens on a connection is recorder/session.py, what a refusal means venues/answers.py. `Address` is shared by
all feeds of a venue, because the venue counts by address; each feed has its own `Backoff`, so that they do not connect
all at once.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from trading_platform.domain.backoff import doubled
from trading_platform.domain.units import NS_PER_S
from trading_platform.ingest.rate_limits.circuit_breaker import Breaker
from trading_platform.venues.limits import RateLimit, limit_of


@dataclass(frozen=True)
class ConnectLimits:
    """What a venue and our own caution allow.

    Attributes
    ----------
    first_wait_s, longest_wait_s : the upper end of the first wait, doubled at each failure, and its cap.
    longest_refused_s : the cap where the venue is well and refuses what is asked for: only a person can change that.
    after_limit_s : least wait where we ask too often, whatever the venue says; after_ban_s: after a ban without a time.
    longest_refusal_s : cap of what a Retry-After is believed.
    connects : most connection attempts in `connects_window_s`; the second half of them is spread evenly.
    """

    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    longest_refused_s: float = 300.0
    after_limit_s: float = 60.0
    after_ban_s: float = 120.0
    longest_refusal_s: float = 7 * 86_400.0
    connects: int = 150
    connects_window_s: float = 300.0

    @classmethod
    def of(cls, limits: Iterable[RateLimit]) -> ConnectLimits:
        """Return what leaves half of the connects that a venue allows to others at this address.

        >>> ConnectLimits.of([RateLimit("connects", 150, 600.0)]).connects
        75
        """
        told = limit_of(limits, "connects")
        return cls() if told.most == inf else cls(connects=int(told.most) // 2, connects_window_s=told.window_s)


class Address:
    """What a venue counts by our address: attempts, refusals, bans.

    Attributes
    ----------
    open : how many connections to it are.
    searcher : the feed that finds out how many symbols the venue accepts; the others wait for its result.
    alone : how many symbols were refused by themselves since a connection was open. While there are any, one feed
        after the other asks, each to its end: all of them at once would be a burst at a venue that refuses.
    parts : the feeds of what was split, the next to ask last: the smallest parts first, since they tell soonest whether
        the venue accepts anything. Who is not among them waits while they ask.

    Examples
    --------
    >>> address = Address(ConnectLimits(), random.Random(1))
    >>> address.ready_ns(now_ns=0)
    0
    >>> address.connecting(now_ns=0)
    >>> address.refused(now_ns=0, kind="rate_limited", retry_after_s=90.0)
    90.0
    >>> address.ready_ns(now_ns=0) >= 90 * 10**9
    True
    """

    def __init__(self, limits: ConnectLimits, rng: random.Random) -> None:
        self.limits = limits
        self.breaker = Breaker()
        self.open = self.alone = 0
        self.searcher: object | None = None
        self.parts: list[object] = []
        self._rng = rng
        self._not_before_ns = 0
        self._attempts: deque[int] = deque()

    def ready_ns(self, now_ns: int) -> int:
        """Return when the next attempt may be made, `now_ns` if at once."""
        at = max(self.breaker.ready_ns(now_ns), self._not_before_ns)
        limits, window = self.limits, int(self.limits.connects_window_s * NS_PER_S)
        while self._attempts and self._attempts[0] <= now_ns - window:
            self._attempts.popleft()
        made = len(self._attempts)
        if made >= limits.connects:
            at = max(at, self._attempts[-limits.connects] + window + 1)
        elif made >= (limits.connects + 1) // 2:
            # A flapping venue must not use up the budget at once: until the window ends we would be blind.
            at = max(at, self._attempts[-1] + window // max(1, limits.connects // 2))
        return at

    def connecting(self, now_ns: int) -> None:
        """Count an attempt."""
        self._attempts.append(now_ns)
        self.breaker.trying(now_ns)

    def recall(self, ages_ns: Iterable[int], now_ns: int) -> None:
        """Count, before any of its own, the attempts of processes before this one: so long ago, the oldest first."""
        self._attempts.extend(now_ns - age for age in ages_ns)

    def worked(self) -> None:
        """Take note that a connection delivers."""
        self.breaker.worked()

    def failed(self, now_ns: int) -> None:
        """Take note of an attempt that brought nothing."""
        self.breaker.failed(now_ns)

    def answered(self) -> None:
        """Take note of a refusal that is about what was asked for: the venue is well, nothing is broken."""
        self.breaker.worked()

    def refused(self, now_ns: int, kind: str, retry_after_s: float | None) -> float:
        """Take note that the venue wants us to wait: we ask too often, or are banned; return for how long (s)."""
        limits = self.limits
        least = limits.after_ban_s if kind == "banned" else limits.after_limit_s
        wait_s = min(max(least, retry_after_s or 0.0), limits.longest_refusal_s)
        jitter_s = self._rng.uniform(0.0, 0.1 * wait_s)
        self._not_before_ns = max(self._not_before_ns, now_ns + int((wait_s + jitter_s) * NS_PER_S))
        # It did answer: nothing is broken, and waiting is all that is asked.
        self.breaker.worked()
        return wait_s

    def banned(self, until_ns: int) -> None:
        """Honour a ban learned elsewhere."""
        self._not_before_ns = max(self._not_before_ns, until_ns)


class Backoff:
    """Growing waits with full jitter: anywhere below a bound that doubles up to a cap."""

    def __init__(self, limits: ConnectLimits, rng: random.Random) -> None:
        self._limits = limits
        self._rng = rng
        self._failures = 0
        self.ready_ns = 0

    def failed(self, now_ns: int, longest_s: float | None = None) -> None:
        """Wait, longer than last time, up to `longest_s` if that is not the usual cap."""
        limits = self._limits
        bound_s = doubled(
            limits.first_wait_s, self._failures, limits.longest_wait_s if longest_s is None else longest_s
        )
        self._failures += 1
        self.ready_ns = max(self.ready_ns, now_ns + int(self._rng.uniform(0.0, bound_s) * NS_PER_S))

    def worked(self) -> None:
        """Make the next wait short again."""
        self._failures = 0

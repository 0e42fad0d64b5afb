"""What a venue's limits on requests leave us: our share of each, while everybody's sum stays below it. Sans-I/O.

The venue counts by address. Our share is ours whatever others use; only once all of us together come near the limit,
as the venue's own header says, everybody waits. Asking is rest_client.py.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping

from trading_platform.venues.limits import RateLimit

KEPT_FREE = 0.1
"""So much of the limit is left alone: others spend between two answers that tell us of it."""


class Weights:
    """The weight of one address within a window.

    Parameters
    ----------
    share : how much of the limit we may use.
    limit : weight that the venue allows an address in a window.

    Examples
    --------
    >>> weights = Weights(share=0.5, limit=100)
    >>> for at_s in (0.0, 1.0):
    ...     weights.spend(25, at_s)
    >>> weights.wait_s(25, 2.0)  # our share is spent
    58.0
    >>> weights.wait_s(25, 60.0), weights.wait_s(50, 61.0)
    (0.0, 0.0)

    Others may use their half without it becoming ours to wait for; near the limit all wait.

    >>> weights.told(60, 61.0)
    >>> weights.wait_s(25, 61.0)
    0.0
    >>> weights.told(80, 62.0)
    >>> weights.wait_s(25, 63.0)
    59.0
    """

    def __init__(self, share: float, limit: float, window_s: float = 60.0) -> None:
        self._window_s, self._limit = window_s, limit
        self._ours, self._all = share * limit, (1.0 - KEPT_FREE) * limit
        self._spent: deque[tuple[float, float]] = deque()
        self._told = (-math.inf, 0.0)
        self._since_told = 0.0

    def wait_s(self, weight: float, now_s: float) -> float:
        """Return for how long a request of this weight has to wait; one alone may always be sent."""
        while self._spent and self._spent[0][0] <= now_s - self._window_s:
            self._spent.popleft()
        waits = [0.0]
        if self._spent and sum(spent for _, spent in self._spent) + weight > self._ours:
            waits.append(max(0.01, self._spent[0][0] + self._window_s - now_s))
        told_at_s, used = self._told
        if now_s < told_at_s + self._window_s and used + self._since_told + weight > self._all:
            waits.append(told_at_s + self._window_s - now_s)
        return max(waits)

    def spend(self, weight: float, now_s: float) -> None:
        """Take note of a request that is sent now."""
        self._spent.append((now_s, weight))
        self._since_told += weight

    def told(self, used: float, now_s: float) -> None:
        """Take note of what the venue says that everyone at this address has used in this minute, us included."""
        self._told, self._since_told = (now_s, used), 0.0

    def used(self, now_s: float) -> float:
        """Return the part of the venue's limit that is used up, by what it told and by what was sent since."""
        told_at_s, told = self._told
        told = told if now_s < told_at_s + self._window_s else 0.0
        ours = sum(spent for at_s, spent in self._spent if at_s > now_s - self._window_s)
        return max(ours, told + self._since_told if told else 0.0) / self._limit


class Budgets:
    """All limits on what is asked at one address.

    Examples
    --------
    >>> budgets = Budgets(0.5, [RateLimit("weight", 100, 60.0), RateLimit("requests", 4, 1.0)])
    >>> for _ in range(2):
    ...     budgets.spend({"weight": 10}, 0.0)
    >>> budgets.wait_s({"weight": 10}, 0.0), budgets.wait_s({"weight": 40}, 2.0)
    (1.0, 58.0)
    """

    def __init__(self, share: float, limits: Iterable[RateLimit]) -> None:
        self._each = [
            (limit.what, Weights(share, limit.most, limit.window_s))
            for limit in limits
            if limit.what in {"weight", "requests"}
        ]

    def wait_s(self, cost: Mapping[str, float], now_s: float) -> float:
        """Return for how long a request of this cost has to wait."""
        return max((mine.wait_s(_of(cost, what), now_s) for what, mine in self._each), default=0.0)

    def spend(self, cost: Mapping[str, float], now_s: float) -> None:
        """Take note of a request that is sent now."""
        for what, mine in self._each:
            mine.spend(_of(cost, what), now_s)

    def used(self, now_s: float) -> float:
        """Return the part that is used up of the limit that is nearest to its end, 0 to 1."""
        return max((mine.used(now_s) for _, mine in self._each), default=0.0)

    def told(self, used: Mapping[str, float], now_s: float) -> None:
        """Take note of what the venue says that everyone at this address has used."""
        for what, mine in self._each:
            if what in used:
                mine.told(used[what], now_s)


def _of(cost: Mapping[str, float], what: str) -> float:
    return cost.get(what, 1.0 if what == "requests" else 0.0)

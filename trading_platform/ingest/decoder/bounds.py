"""Is this decoded trade possible? The last check before a trade counts. Pure.

What does not pass is quarantined with its raw bytes; whether bytes are a trade at all is venues/.
"""

from __future__ import annotations

from typing import NamedTuple

from trading_platform.domain.days import day_start
from trading_platform.domain.trade import Trade

_BIGGEST = 1e18
AHEAD_NS = 366 * 86_400 * 1_000_000_000
"""A trade may lie this far ahead of our clock. Wide on purpose: our clock is the weaker witness (a laptop that slept,
a replayed market that runs faster than ours), and errors of unit, which this is against, are off by a thousand."""


class Bounds(NamedTuple):
    """Limits of a plausible trade.

    Attributes
    ----------
    earliest_ns : start of history; an earlier time is a unit error.
    ahead_ns : how far a trade time may lie ahead of its receive time.
    """

    earliest_ns: int
    ahead_ns: int = AHEAD_NS

    @classmethod
    def of(cls, history_start: str) -> Bounds:
        """Return the limits for a history that starts on this day. Age is never a reason to refuse."""
        return cls(day_start(history_start))

    def broken(self, trade: Trade, price: float, quantity: float, ts_recv: int) -> str | None:
        """Return the name of the first limit the trade breaks, None if it is possible."""
        if not 0.0 < price < _BIGGEST:
            return "price"
        if not 0.0 < quantity < _BIGGEST:
            return "quantity"
        if trade.ts_event < self.earliest_ns:
            return "too_early"
        if trade.ts_event > ts_recv + self.ahead_ns:
            return "in_the_future"
        return None

"""An end that nobody vouches for: since when nothing is known of a symbol, and how bad that is.

Which ends are open is ingest/recovery/open_tails.py. A quiet symbol on a live connection has no open end: the
connection is asked for signs of life.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple

from trading_platform.domain.units import NS_PER_S

AMBER_AFTER_S, RED_AFTER_S = 60, 300


class Concern(IntEnum):
    """How bad it is that nothing is known: a reconnect takes seconds, a silence of minutes is somebody's business."""

    NONE = 0
    AMBER = 1
    RED = 2


class OpenEnd(NamedTuple):
    """A symbol of which nothing is known since a time (ns, receive clock)."""

    venue: str
    symbol: str
    since_ns: int

    @property
    def since(self) -> datetime:
        """The time since when nothing is known, whole seconds."""
        return datetime.fromtimestamp(self.since_ns // NS_PER_S, UTC)

    def age_s(self, now_ns: int) -> int:
        """Return for how long nothing is known, in whole seconds, 0 if the clock went back."""
        return max(0, (now_ns - self.since_ns) // NS_PER_S)

    def concern(self, now_ns: int) -> Concern:
        """Return how bad that is.

        >>> end = OpenEnd("binance", "BTC-USDT", 0)
        >>> [end.concern(seconds * 10**9).name for seconds in (30, 61, 301)]
        ['NONE', 'AMBER', 'RED']
        """
        age_s = self.age_s(now_ns)
        return Concern((age_s > AMBER_AFTER_S) + (age_s > RED_AFTER_S))

    def text(self, now_ns: int) -> str:
        """Return it in words.

        >>> OpenEnd("binance", "BTC-USDT", 0).text(420 * 10**9)
        'not known since 1970-01-01 00:00:00 UTC (7 min)'
        """
        age_s = self.age_s(now_ns)
        age = f"{age_s} s" if age_s < 120 else f"{age_s // 60:,} min"
        return f"not known since {self.since:%Y-%m-%d %H:%M:%S} UTC ({age})"

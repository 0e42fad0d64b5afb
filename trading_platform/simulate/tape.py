"""The tape of a simulated venue: single prints, listings, and the interface of a market.

Markets are recorded_market.py (captures) and synthetic_market.py. Serving them is venue_server.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol


class ListedSymbol(NamedTuple):
    """One symbol that the venue lists.

    Attributes
    ----------
    venue_symbol, symbol : the venue's spelling and the canonical name.
    price_step, quantity_step : smallest increments, as the venue would print them.
    """

    venue_symbol: str
    symbol: str
    price_step: str
    quantity_step: str

    @property
    def base(self) -> str:
        """The asset that is traded."""
        return self.symbol.split("-")[0]

    @property
    def quote(self) -> str:
        """The asset that prices are in."""
        return self.symbol.split("-")[1]


class Print(NamedTuple):
    """One trade as the venue prints it; literals are kept, so that what is served is what was recorded.

    Sorts by the moment of issue, then listing, then id.

    Attributes
    ----------
    due_ns : when the simulated clock issues it; never before a lower id of its symbol.
    order : its listing's index, so that simultaneous trades have one order.
    trade_id : rises by one per trade, holes of a recording excepted.
    venue_symbol : the venue's spelling.
    time, event_time : the venue's `T` and `E`, in ms or µs.
    price, quantity : the venue's literals.
    buyer_is_maker : the venue's `m`.
    kind : the venue's `X`, None where it prints none.
    """

    due_ns: int
    order: int
    trade_id: int
    venue_symbol: str
    time: int
    event_time: int
    price: str
    quantity: str
    buyer_is_maker: bool
    kind: str | None = None


def time_ns(time: int) -> int:
    """Return a print's time, ms or µs, in ns.

    >>> time_ns(1_723_161_255_342), time_ns(1_723_161_255_342_001)
    (1723161255342000000, 1723161255342001000)
    """
    return time * 1000 if time >= 10**14 else time * 1_000_000


def with_places(literal: str, places: int) -> str:
    """Return a decimal with so many places, more if it needs them.

    >>> with_places("61837.63000000", 1), with_places("0.5", 8), with_places("7", 1), with_places("7.00", 0)
    ('61837.63', '0.50000000', '7.0', '7')
    """
    whole, _, part = literal.partition(".")
    part = part.rstrip("0").ljust(places, "0")
    return f"{whole}.{part}" if part else whole


class Market(Protocol):
    """Trades by time, for the stream, and by id, for REST."""

    @property
    def name(self) -> str:
        """Which market this is, in ASCII: another one has another name, a longer piece of this one the same."""
        ...

    @property
    def listings(self) -> Sequence[ListedSymbol]:
        """What is traded."""
        ...

    @property
    def start_ns(self) -> int:
        """When the first trade may happen."""
        ...

    def blocks(self, from_ns: int) -> Iterator[list[Print]]:
        """Yield every print due from that instant on, ascending, in lists of bounded size; ends if the market does."""
        ...

    def last_id(self, venue_symbol: str) -> int | None:
        """Return the id after which nothing more comes, None if the market is endless."""
        ...

    def head_at(self, venue_symbol: str, ts_ns: int) -> int | None:
        """Return the highest id due at or before the instant, None if there is none."""
        ...

    def page(self, venue_symbol: str, from_id: int, head: int, limit: int) -> list[Print]:
        """Return up to `limit` prints with from_id ≤ id ≤ head, ascending."""
        ...

    def newest(self, venue_symbol: str, head: int, limit: int) -> list[Print]:
        """Return the last `limit` prints with id ≤ head, ascending."""
        ...

"""What of the past a venue tells: how it is asked, and what a page proves. Plain values; the exchanges are beside.

Who asks, and for what, is ingest/recovery/; what follows from a page is ingest/decoder/page_decoder.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple, NewType, Protocol, runtime_checkable

from trading_platform.domain.errors import FrameError
from trading_platform.domain.id_ranges import IdRanges, Range
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues.answers import Request

Cursor = NewType("Cursor", str)
"""Where to ask on: an id, an instant in the venue's own unit, a token. Only its adapter reads it; the log keeps it."""


class Missing(NamedTuple):
    """Ids that are missing, and what is known around them.

    Attributes
    ----------
    first, last : the ids.
    held_before, held_after : whether the id before the first, and the one after the last, is held: a page that lists
        it too is witness that nothing was left out between.
    after_ns, before_ns : they were traded no earlier than this and no later than that, None if that is not known.
    """

    first: int
    last: int
    held_before: bool = False
    held_after: bool = False
    after_ns: int | None = None
    before_ns: int | None = None


class Asked(NamedTuple):
    """What a page answers.

    Attributes
    ----------
    cursor : where the page begins.
    from_id, to_id : the ids that it is asked for, as far as they fit into it; None if not by their numbers.
    """

    cursor: Cursor
    from_id: int | None = None
    to_id: int | None = None


class Span(NamedTuple):
    """The ids that one request is about, and what to ask for after them; None: nothing is left."""

    first: int
    last: int
    then: Asked | None


class RefusedRow(NamedTuple):
    """A row of a page that is no trade.

    Attributes
    ----------
    trade_id : its id as far as that can be read, None if not.
    raw : the row's own bytes.
    error : what is wrong with it.
    follows, precedes : the ids of the nearest rows before and after it whose id can be read, None without one.
    """

    trade_id: int | None
    raw: bytes
    error: FrameError
    follows: int | None = None
    precedes: int | None = None


class Page(NamedTuple):
    """What a page holds, and what it proves.

    Attributes
    ----------
    trades : in the order of their ids.
    refused : rows that are no trades, in the order of the page.
    then : what to ask for next, None if the page shows no way on.
    covers : first and last id between which the venue has no trade that the page lacks; None: it proves nothing.
    ends : whether the venue has nothing behind the page's end by now.
    first : id and time (ns) of the first trade that an answer tells of without listing it.
    """

    trades: list[Trade]
    refused: list[RefusedRow]
    then: Asked | None = None
    covers: tuple[int, int] | None = None
    ends: bool = False
    first: tuple[int, int] | None = None

    @classmethod
    def of(cls, rows: Iterable[Trade | RefusedRow]) -> Page:
        """Return the page of these rows, given in its order."""
        given = list(rows)
        ids = [row.trade_id for row in given]
        follows = list(accumulate([None, *ids], _known))
        precedes = list(accumulate([None, *reversed(ids)], _known))[::-1]
        refused = [
            row._replace(follows=follows[at], precedes=precedes[at + 1])
            for at, row in enumerate(given)
            if isinstance(row, RefusedRow)
        ]
        trades = [row for row in given if isinstance(row, Trade)]
        return cls(sorted(trades, key=lambda trade: trade.trade_id or 0), refused)

    def placed(self, from_id: int) -> Page:
        """Return the page of a contiguous sequence asked for from `from_id` on, ids told by their rows' places.

        Rows without an id of their own lie between two that have one: if exactly so many ids do too, they are theirs.

        Examples
        --------
        >>> row = RefusedRow(None, b"{}", FrameError("shape", "no id"), follows=4, precedes=6)
        >>> [found.trade_id for found in Page([], [row]).placed(1).refused]
        [5]
        >>> [found.trade_id for found in Page([], [row._replace(precedes=7)]).placed(1).refused]
        [None]
        """
        together: dict[tuple[int, int | None], list[int]] = {}
        for place, row in enumerate(self.refused):
            if row.trade_id is None:
                before = from_id - 1 if row.follows is None else row.follows
                together.setdefault((before, row.precedes), []).append(place)
        refused = list(self.refused)
        for (before, after), places in together.items():
            if after is None or after - before == len(places) + 1:
                for number, place in enumerate(places, start=before + 1):
                    refused[place] = refused[place]._replace(trade_id=number)
        return self._replace(refused=refused)

    def ids(self) -> list[int]:
        """Return the ids of all rows that have one."""
        ids = [trade.trade_id for trade in self.trades] + [row.trade_id for row in self.refused]
        return [number for number in ids if number is not None]

    def newest(self) -> int | None:
        """Return the greatest id of any row, None if no row has one."""
        return max(self.ids(), default=None)

    def first_trade(self) -> tuple[int, int] | None:
        """Return id and time of the first trade that the page tells of, None if it tells of none."""
        if self.first is not None or not self.trades:
            return self.first
        found = self.trades[0]
        return None if found.trade_id is None else (found.trade_id, found.ts_event)


def _known(before: int | None, number: int | None) -> int | None:
    return before if number is None else number


def contradiction(ids: Sequence[int], from_id: int, to_id: int | None, limit: int) -> str | None:
    """Return how a page by ids differs from what was asked: up to `limit` trades of [from_id, to_id].

    Ids that are missing do not shorten a page, so it may reach beyond `to_id`.

    Examples
    --------
    >>> contradiction([5, 6, 9], 5, 7, 1000)
    >>> contradiction([4, 5], 5, 7, 1000)
    'it begins with 4, and was asked from 5 on'
    >>> contradiction([5, 6, 7, 8], 5, 7, 1000)
    'it has 4 rows, and 3 were asked for'
    """
    if ids and min(ids) < from_id:
        return f"it begins with {min(ids)}, and was asked from {from_id} on"
    asked = limit if to_id is None else min(limit, to_id - from_id + 1)
    if (different := len(set(ids))) > asked:  # a row that comes twice is a copy
        return f"it has {different} rows, and {asked} were asked for"
    return None


class NumberedPages:
    """What follows from ids for a history of contiguous ids with so many rows a page: ids count trades."""

    page_limit: int

    def together(self, missing: Iterable[Range]) -> list[Range]:
        """Return missing ids as ranges, joined where one page brings two together.

        >>> pages = NumberedPages()
        >>> pages.page_limit = 1000
        >>> pages.together([(1, 2), (500, 501), (5000, 5001)])
        [(1, 501), (5000, 5001)]
        """
        joined: list[Range] = []
        for first, last in IdRanges(missing):
            if joined and last - joined[-1][0] < self.page_limit:
                joined[-1] = (joined[-1][0], last)
            else:
                joined.append((first, last))
        return joined

    def pages(self, missing: Range) -> int:
        """Return how many pages a range takes: each begins with the last trade of the one before."""
        first, last = missing
        return -(-(last - first + 1) // max(1, self.page_limit - 1))


@runtime_checkable
class History(Protocol):
    """The trades of the past that a venue's REST serves.

    Attributes
    ----------
    direction : whether pages go on towards the newest trade or away from it.
    page_limit : most trades one page holds.
    """

    direction: Literal["forward", "backward"]
    page_limit: int

    def together(self, missing: Iterable[Range]) -> list[Range]:
        """Return missing ids as ranges to ask for one after the other: those joined that one page brings together."""
        ...

    def pages(self, missing: Range) -> int:
        """Return how many pages a range takes, about: for a person who waits."""
        ...

    def from_ids(self, missing: Missing) -> Asked | None:
        """Return what to ask for to get missing ids, None if the venue cannot be asked for them."""
        ...

    def from_time(self, ts_ns: int) -> Asked:
        """Return what to ask for to learn of the first trade at or after an instant: `Page.first_trade`."""
        ...

    def request(self, venue_symbol: str, asked: Asked) -> Request:
        """Return the request of a page."""
        ...

    def newest(self, venue_symbol: str) -> Request:
        """Return the request for the newest trade."""
        ...

    def span(self, asked: Asked) -> Span | None:
        """Return the ids that one request is about, None if only its answer tells."""
        ...

    def read(self, body: bytes, symbol: str, asked: Asked | None = None) -> Page:
        """Return the trades of a page, apart from them the rows that are none, and what it proves.

        Parameters
        ----------
        symbol : the canonical name of what it lists.
        asked : what the page answers; None: not known, or the newest trade.

        Raises
        ------
        FrameError : if it is no page of trades as a whole, or (kind ``page``) not what was asked for; nothing else,
            whatever the bytes.
        """
        ...

    def raw_rows(self, body: bytes) -> dict[int, bytes]:
        """Return the bytes of each row of a page by its id. Raises FrameError only."""
        ...


class NewestOnly(ABC):
    """What a history has in common with others that serve the newest trades of a symbol and nothing else.

    A cursor is empty. What is left to the venue: `newest`, `read`, `raw_rows` and how many a page holds.
    """

    direction: Literal["forward", "backward"] = "backward"

    def together(self, missing: Iterable[Range]) -> list[Range]:
        """Return the ranges as they are: no page is asked for by ids."""
        return list(missing)

    def pages(self, missing: Range) -> int:
        """Return none: no page is asked for by ids."""
        del missing
        return 0

    def from_ids(self, missing: Missing) -> Asked | None:
        """Return nothing: no trade is asked for by its id."""
        del missing
        return None

    def from_time(self, ts_ns: int) -> Asked:
        """Return the newest trades, whatever the time."""
        del ts_ns
        return Asked(Cursor(""))

    def request(self, venue_symbol: str, asked: Asked) -> Request:
        """Return the request for the newest trades."""
        del asked
        return self.newest(venue_symbol)

    @abstractmethod
    def newest(self, venue_symbol: str) -> Request:
        """Return the request for the newest trades."""

    def span(self, asked: Asked) -> Span | None:
        """Return nothing: only an answer tells what it is about."""
        del asked
        return None

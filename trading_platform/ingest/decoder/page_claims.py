"""What a page of a venue says beside its trades: which bytes each was, and which ids it lacks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from trading_platform.completeness.records import Claim
from trading_platform.domain.id_ranges import Range
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues.history import History


class RawRows:
    """Finds the bytes of a page's rows; they are looked up only once one is to be kept apart."""

    def __init__(self, history: History, body: bytes) -> None:
        self._history, self._body = history, body
        self._rows: dict[int, bytes] | None = None

    def of(self, trade: Trade) -> bytes | None:
        """Return the row that a trade was read from."""
        if self._rows is None:
            self._rows = self._history.raw_rows(self._body)
        return None if trade.trade_id is None else self._rows.get(trade.trade_id)


def raw_of(trade: Trade, raw: bytes | RawRows) -> bytes:
    """Return the bytes that a trade was read from: the frame, or its row in a page."""
    found = raw.of(trade) if isinstance(raw, RawRows) else raw
    return found or msgspec.json.encode(trade)


def skipped(listed: Sequence[int], seen_ns: int) -> list[Claim]:
    """Return the ranges of ids that a listing, ascending, leaves out."""
    reason = "the venue's listing skips it twice"
    return [Claim(low + 1, high - 1, reason, seen_ns) for low, high in pairwise(listed) if high - low > 1]


def unserved(listed: Sequence[int], covers: Range, seen_ns: int, *, ends: bool) -> list[Claim]:
    """Return the ranges before and behind what a page lists of the ids that it covers, and what that says of them.

    A page that begins late has forgotten what lies before; one that `ends` has nothing behind its end.

    >>> [claim[:3] for claim in unserved([12, 13], (10, 15), 0, ends=True)]
    [(10, 11, 'retention'), (14, 15, 'not served')]
    >>> [claim[:3] for claim in unserved([12, 13], (10, 13), 0, ends=False)]
    [(10, 11, 'retention')]
    >>> [claim[:3] for claim in unserved([], (10, 15), 0, ends=True)]
    [(10, 15, 'not served')]
    """
    first, last = covers
    if not listed:
        return [Claim(first, last, "not served", seen_ns)]
    lacking = [(first, listed[0] - 1, "retention")]
    if ends:
        lacking.append((listed[-1] + 1, last, "not served"))
    return [Claim(*each, seen_ns) for each in lacking if each[0] <= each[1]]

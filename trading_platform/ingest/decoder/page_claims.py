"""What a page of a venue says beside its trades: which bytes each was, and which ids it lacks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from trading_platform.completeness.records import Claim
from trading_platform.domain.trade import Trade
from trading_platform.venues.adapter import VenueAdapter


class RawRows:
    """Finds the bytes of a page's rows; they are looked up only once one is to be kept apart."""

    def __init__(self, adapter: VenueAdapter, body: bytes) -> None:
        self._adapter, self._body = adapter, body
        self._rows: dict[int, bytes] | None = None

    def of(self, trade: Trade) -> bytes | None:
        """Return the row that a trade was read from."""
        if self._rows is None:
            self._rows = self._adapter.raw_rows(self._body)
        return None if trade.trade_id is None else self._rows.get(trade.trade_id)


def raw_of(trade: Trade, raw: bytes | RawRows) -> bytes:
    """Return the bytes that a trade was read from: the frame, or its row in a page."""
    found = raw.of(trade) if isinstance(raw, RawRows) else raw
    return found or msgspec.json.encode(trade)


def skipped(listed: Sequence[int], seen_ns: int) -> list[Claim]:
    """Return the ranges of ids that a listing, ascending, leaves out."""
    reason = "the venue's listing skips it twice"
    return [Claim(low + 1, high - 1, reason, seen_ns) for low, high in pairwise(listed) if high - low > 1]


def unserved(listed: Sequence[int], first: int, last: int, limit: int, seen_ns: int) -> list[Claim]:
    """Return the ranges before and behind what a page lists of [first, last], and what that says of them.

    A page that begins late has forgotten what lies before; one that is not full has nothing behind its end.

    >>> [claim[:3] for claim in unserved([12, 13], 10, 15, 1000, 0)]
    [(10, 11, 'retention'), (14, 15, 'not served')]
    >>> [claim[:3] for claim in unserved([12, 13], 10, 15, 2, 0)]
    [(10, 11, 'retention')]
    >>> [claim[:3] for claim in unserved([], 10, 15, 1000, 0)]
    [(10, 15, 'not served')]
    """
    if not listed:
        return [Claim(first, last, "not served", seen_ns)]
    ends = [(first, listed[0] - 1, "retention")]
    if len(listed) < limit:
        ends.append((listed[-1] + 1, last, "not served"))
    return [Claim(*end, seen_ns) for end in ends if end[0] <= end[1]]

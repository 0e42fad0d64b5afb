"""Tell between which stored trades of a symbol a trade may be missing, from their ids alone. Pure arithmetic on ids.

An id is missing if it is neither stored nor void (used by the venue without a trade). Between two epochs a trade may
always be missing: ids cannot prove the opposite. Which trades are stored is pipeline/tick_days.py; the consequence for
time is uncertain_spans.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Self

import numpy as np

from trading_platform.completeness.records import SequenceRow
from trading_platform.completeness.uncertain_spans import Bool, Int64
from trading_platform.domain.id_ranges import Range

Key = tuple[int, int]
"""(epoch, trade id): the order of a symbol's trades."""

_LEAST, _GREATEST = int(np.iinfo(np.int64).min), int(np.iinfo(np.int64).max)


class Voids:
    """The void ids of one epoch.

    Examples
    --------
    >>> voids = Voids([(3, 4), (9, 9)])
    >>> voids.count(np.array([1, 4, 5]), np.array([10, 9, 8])).tolist(), voids.within(4, 20)
    ([3, 2, 0], [(4, 4), (9, 9)])
    """

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        pairs = np.array(sorted(ranges), np.int64).reshape(-1, 2)
        self._first, self._last = pairs[:, 0], pairs[:, 1]
        self._before = np.concatenate(([0], np.cumsum(self._last - self._first + 1)))

    def count(self, first: Int64, last: Int64) -> Int64:
        """Count the void ids in each [first, last]; 0 if the range is empty."""
        count: Int64 = np.maximum(self._below(last + 1) - self._below(first), 0)
        return count

    def _below(self, ids: Int64) -> Int64:
        if not len(self._first):
            return np.zeros(len(ids), np.int64)
        at = np.searchsorted(self._first, ids)
        beyond = np.where(at > 0, self._last[np.maximum(at, 1) - 1] - ids + 1, 0)
        below: Int64 = self._before[at] - np.maximum(beyond, 0)
        return below

    def within(self, first: int, last: int) -> list[Range]:
        """Return the ranges that lie in [first, last], clipped to it."""
        low, high = np.searchsorted(self._last, first), np.searchsorted(self._first, last, side="right")
        pairs = zip(self._first[low:high].tolist(), self._last[low:high].tolist(), strict=True)
        return [(max(a, first), min(b, last)) for a, b in pairs]


class IdAccount:
    """What is known about a symbol's ids besides its stored trades.

    Parameters
    ----------
    voids : void ids by epoch.
    ended : the epochs that were followed by another.
    begin : the first id that is to be stored, None if unknown.

    Examples
    --------
    >>> account = IdAccount({0: Voids([(12, 12)])}, [], begin=(0, 12))
    >>> account.missing((0, 11), (0, 13)), account.missing((0, 11), (0, 14))
    (False, True)
    >>> account.missing_below((0, 13)), account.missing_below((0, 14))
    (False, True)
    """

    def __init__(self, voids: Mapping[int, Voids], ended: Iterable[int], *, begin: Key | None = None) -> None:
        self._voids = voids
        self._ended = sorted(ended)
        self._begin = begin

    @classmethod
    def of(cls, sequences: Iterable[SequenceRow], voids: Mapping[int, Iterable[Range]]) -> Self:
        """Make an account from the ledger's rows."""
        begins = sorted((row.epoch, row.from_id) for row in sequences)
        ended = [epoch for epoch, _ in begins[:-1]]
        begin = begins[0] if begins else None
        return cls({epoch: Voids(ranges) for epoch, ranges in voids.items()}, ended, begin=begin)

    def missing(self, low: Key, high: Key) -> bool:
        """Tell whether a trade may be missing between two keys that have no stored trade in between."""
        return bool(self.missing_between(np.array([low[0], high[0]]), np.array([low[1], high[1]]))[0])

    def missing_below(self, first: Key) -> bool:
        """Tell whether a trade that is to be stored may be missing before the first stored key."""
        if self._begin is None or self._begin >= first:
            return False
        epoch, begin = self._begin
        return self.missing((epoch, begin - 1), first)

    def missing_between(self, epoch: Int64, ids: Int64) -> Bool:
        """Tell for each two neighbouring stored keys (ascending) whether a trade may be missing between them."""
        between = np.diff(ids) - 1
        for each in np.unique(epoch).tolist():
            at = np.flatnonzero((epoch[:-1] == each) & (epoch[1:] == each) & (between > 0))
            between[at] -= self._count(each, ids[at] + 1, ids[at + 1] - 1)
        result: Bool = (between > 0) | (np.diff(epoch) != 0)
        return result

    def _count(self, epoch: int, first: Int64, last: Int64) -> Int64:
        voids = self._voids.get(epoch)
        return np.zeros(len(first), np.int64) if voids is None else voids.count(first, last)

    def voids_within(self, first: Key, last: Key) -> Iterator[tuple[int, int, int]]:
        """Yield the void ranges between two keys as (epoch, first, last)."""
        for epoch in range(first[0], last[0] + 1):
            low = first[1] if epoch == first[0] else _LEAST
            high = last[1] if epoch == last[0] else _GREATEST
            for a, b in self._voids[epoch].within(low, high) if epoch in self._voids else ():
                yield epoch, a, b

    def resets_within(self, first: Key, last: Key) -> list[int]:
        """Return the epochs that end between two keys."""
        return [epoch for epoch in self._ended if first[0] <= epoch < last[0]]

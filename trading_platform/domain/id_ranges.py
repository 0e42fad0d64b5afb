"""Sets of ids as sorted, disjoint, closed ranges. Pure: no I/O, no clock.

What ids mean (stored, void, open) is completeness/gap_detector.py; keeping them is store/ledger.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

Range = tuple[int, int]


class IdRanges:
    """A set of integers, kept as maximal closed ranges.

    Examples
    --------
    >>> held = IdRanges([(1, 3), (7, 9)])
    >>> held.add(4, 5)
    >>> list(held), len(held), 6 in held
    ([(1, 5), (7, 9)], 8, False)
    >>> list(held.missing(0, 10))
    [(0, 0), (6, 6), (10, 10)]
    """

    __slots__ = ("_first", "_last")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def __iter__(self) -> Iterator[Range]:
        return iter(list(zip(self._first, self._last, strict=True)))

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self)

    def __bool__(self) -> bool:
        return bool(self._first)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._first, number) - 1
        return at >= 0 and number <= self._last[at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdRanges) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"IdRanges({list(self)})"

    def copy(self) -> IdRanges:
        """Return an independent copy."""
        clone = IdRanges()
        clone._first, clone._last = self._first[:], self._last[:]
        return clone

    @property
    def first(self) -> int | None:
        """The least id, None if empty."""
        return self._first[0] if self._first else None

    @property
    def last(self) -> int | None:
        """The greatest id, None if empty."""
        return self._last[-1] if self._last else None

    def add(self, first: int, last: int) -> None:
        """Add the closed range, joining what it touches."""
        if last < first:
            return
        low = bisect_left(self._last, first - 1)
        high = bisect_right(self._first, last + 1)
        if low < high:
            first = min(first, self._first[low])
            last = max(last, self._last[high - 1])
        self._first[low:high] = [first]
        self._last[low:high] = [last]

    def remove(self, first: int, last: int) -> None:
        """Take the closed range out."""
        low = bisect_left(self._last, first)
        high = bisect_right(self._first, last)
        if low >= high:
            return
        kept: list[Range] = []
        if self._first[low] < first:
            kept.append((self._first[low], first - 1))
        if self._last[high - 1] > last:
            kept.append((last + 1, self._last[high - 1]))
        self._first[low:high] = [a for a, _ in kept]
        self._last[low:high] = [b for _, b in kept]

    def update(self, other: Iterable[Range]) -> None:
        """Add every range of `other`."""
        for first, last in other:
            self.add(first, last)

    def within(self, first: int, last: int) -> Iterator[Range]:
        """Yield what lies in the closed range, clipped to it."""
        low = bisect_left(self._last, first)
        while low < len(self._first) and self._first[low] <= last:
            yield max(first, self._first[low]), min(last, self._last[low])
            low += 1

    def missing(self, first: int, last: int) -> Iterator[Range]:
        """Yield the maximal ranges of [first, last] that are not in the set."""
        at = first
        for low, high in self.within(first, last):
            if low > at:
                yield at, low - 1
            at = high + 1
        if at <= last:
            yield at, last

    def common(self, other: Iterable[Range]) -> IdRanges:
        """Return the ids that both hold.

        >>> list(IdRanges([(1, 9)]).common([(3, 4), (8, 12)]))
        [(3, 4), (8, 9)]
        """
        return IdRanges(part for first, last in other for part in self.within(first, last))

    def among(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Tell for each of many ids, in any order, whether it is in the set.

        >>> IdRanges([(1, 3), (7, 9)]).among(np.array([8, 0, 3, 4])).tolist()
        [True, False, True, False]
        """
        ranges = list(self.within(int(ids.min()), int(ids.max()))) if len(ids) and self else []
        if not ranges:
            return np.zeros(len(ids), np.bool_)
        first, last = np.array(ranges, np.int64).T
        at = np.searchsorted(first, ids, "right") - 1
        found: npt.NDArray[np.bool_] = (at >= 0) & (ids <= last[at])
        return found


def id_runs(ids: npt.NDArray[np.int64]) -> list[Range]:
    """Return the maximal closed ranges of ids in ascending order; repeats are allowed.

    >>> id_runs(np.array([1, 2, 2, 3, 5]))
    [(1, 3), (5, 5)]
    """
    if not len(ids):
        return []
    # Unsigned: between the least and the greatest int64 a signed difference overflows.
    breaks = np.flatnonzero(np.diff(ids).view(np.uint64) > 1)
    firsts, lasts = ids[np.concatenate(([0], breaks + 1))], ids[np.concatenate((breaks, [len(ids) - 1]))]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))

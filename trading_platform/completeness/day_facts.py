"""Compute the clock-independent facts of each day: counts of stored and missing ids, and whether its ends are proven.

The boundary between two days is witnessed (proven) when both days hold a trade and no missing id lies between them.
Only a stored trade proves it: not a clock, a connection or a statement of the venue. Pure: arrays of a ledger snapshot
in and out, all days of all sequences at once (a year of a thousand symbols is 365,000 days). A day's state follows in
day_status.py; store/ledger/kept_days.py stores the facts; the naive twin is
tests/support/judges/naive/completeness.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.completeness.id_spans import Days, IdSpans, Int64

Bool = npt.NDArray[np.bool_]

_PACKED = np.dtype(
    [("ordinal", "<i4"), ("flags", "<i4")]
    + [(name, "<i8") for name in ("first", "last", "stored", "void", "open", "unrecoverable")]
)


class DayFacts(NamedTuple):
    """One row for each day of a sequence that holds a trade or is touched by a gap, by sequence and day; as columns.

    Attributes
    ----------
    ordinal : the day's proleptic Gregorian ordinal (`date.toordinal`).
    held : whether the day holds a trade; if not, `first` and `last` are meaningless.
    left, right : whether the day's beginning and its end are witnessed.
    stored, void, open, unrecoverable : counts of ids; an id that may belong to several days counts on each.
    """

    sequence: Int64
    ordinal: Int64
    held: Bool
    left: Bool
    right: Bool
    first: Int64
    last: Int64
    stored: Int64
    void: Int64
    open: Int64
    unrecoverable: Int64

    def newest(self) -> Int64:
        """Return the rows of each sequence's newest day with a trade, ascending; a sequence without trades has none."""
        rows = np.flatnonzero(self.held)
        owner = self.sequence[rows]
        newest: Int64 = rows[np.concatenate((owner[1:] != owner[:-1], [True]))[: len(rows)]]
        return newest

    def pack(self, sequences: int) -> list[bytes]:
        """Return the rows of each sequence as bytes."""
        rows = np.empty(len(self.ordinal), _PACKED)
        for name in ("ordinal", "first", "last", "stored", "void", "open", "unrecoverable"):
            rows[name] = getattr(self, name)
        rows["flags"] = self.held + 2 * self.left + 4 * self.right
        at = np.searchsorted(self.sequence, np.arange(sequences + 1)).tolist()
        return [rows[at[number] : at[number + 1]].tobytes() for number in range(sequences)]

    @classmethod
    def unpack(cls, packed: Sequence[bytes]) -> DayFacts:
        """Return the rows that `pack` encoded; `last` and `stored` are writable.

        Raises
        ------
        ValueError : if the bytes are not whole rows.
        """
        rows = np.frombuffer(b"".join(packed), _PACKED)
        if any(len(each) % _PACKED.itemsize for each in packed):
            raise ValueError("packed days are not whole rows")
        sizes = np.array([len(each) // _PACKED.itemsize for each in packed], np.int64)
        flags = rows["flags"]
        held, left, right = (flags & bit != 0 for bit in (1, 2, 4))
        # Read-only columns are views: copying them would take most of the time.
        columns = (rows["first"], rows["last"].copy(), rows["stored"].copy())
        counts = (rows["void"], rows["open"], rows["unrecoverable"])
        sequence = np.repeat(np.arange(len(packed)), sizes)
        return cls(sequence, rows["ordinal"].astype(np.int64), held, left, right, *columns, *counts)


def day_facts(days: Days, ids: Mapping[str, IdSpans]) -> DayFacts:
    """Return the facts of every day of every sequence of a snapshot."""
    missing = {kind: _Touched.of(days, ids[kind]) for kind in ("open", "unrecoverable")}
    axis = _Axis.of(days, list(missing.values()))
    sequence, ordinal, held = axis.sequence, axis.ordinal, axis.held
    counts, left, right = _doubts(axis, missing)
    first_day, last_day = _bounds(days)
    left &= ordinal > first_day[sequence]
    right &= ordinal < last_day[sequence]
    first, last, stored = axis.fill(days.first), axis.fill(days.last), axis.fill(days.stored)
    void = _voids(axis, ids["void"], first, last)
    return DayFacts(
        sequence, ordinal, held, left, right, first, last, stored, void, counts["open"], counts["unrecoverable"]
    )


def _bounds(days: Days) -> tuple[Int64, Int64]:
    """Return the first and the last day of each sequence; both are meaningless for one without days."""
    if not len(days.ordinal):
        nothing = np.zeros(len(days.at) - 1, np.int64)
        return nothing, nothing
    most = len(days.ordinal) - 1
    return days.ordinal[np.minimum(days.at[:-1], most)], days.ordinal[np.maximum(days.at[1:] - 1, 0)]


class _Touched(NamedTuple):
    """Missing ranges and the days they may touch, as indices into `Days`: the days of the stored trades around them."""

    size: Int64
    first: Int64
    last: Int64

    @classmethod
    def of(cls, days: Days, spans: IdSpans) -> _Touched:
        before, after = _neighbours(days, spans)
        size = spans.last - spans.first + 1
        sequence = spans.sequence()
        begin, end = days.at[sequence], days.at[sequence + 1]
        none_before, none_after = before < begin, after >= end
        first = np.where(none_before, after, before)
        last = np.where(none_after, before, after)
        # Neither: a sequence without days has no day to touch.
        some = ~(none_before & none_after)
        first, last, size = first[some], last[some], size[some]
        # The ids of neighbouring days may overlap around midnight: then there is nothing between them.
        forward = first <= last
        return cls(size[forward], first[forward], last[forward])


def _neighbours(days: Days, spans: IdSpans) -> tuple[Int64, Int64]:
    """Return for each missing range the last day with a lower id and the first day with a greater one."""
    before, after = np.empty(len(spans.first), np.int64), np.empty(len(spans.first), np.int64)
    for number in np.flatnonzero(spans.counts()).tolist():
        mine = slice(int(spans.at[number]), int(spans.at[number + 1]))
        held = slice(int(days.at[number]), int(days.at[number + 1]))
        # Times need not rise with ids: take the running minimum from the end, the running maximum from the start.
        low = np.minimum.accumulate(days.first[held][::-1])[::-1]
        high = np.maximum.accumulate(days.last[held])
        before[mine] = held.start + np.searchsorted(low, spans.first[mine], side="left") - 1
        after[mine] = held.start + np.searchsorted(high, spans.last[mine], side="right")
    return before, after


class _Axis(NamedTuple):
    """All days that get a row: days with trades, and days within a gap.

    `place`: the row of each of `Days`.
    """

    sequence: Int64
    ordinal: Int64
    held: Bool
    place: Int64

    @classmethod
    def of(cls, days: Days, touched: Sequence[_Touched]) -> _Axis:
        owner, count = days.sequence(), len(days.ordinal)
        empty = sorted(set(_between(days, owner, touched)))
        if not empty:
            return cls(owner, days.ordinal, np.ones(count, bool), np.arange(count))
        further = np.array(empty, np.int64).T
        sequence = np.concatenate((owner, further[0]))
        ordinal = np.concatenate((days.ordinal, further[1]))
        order = np.lexsort((ordinal, sequence))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return cls(sequence[order], ordinal[order], order < count, place[:count])

    def fill(self, values: Int64) -> Int64:
        """Spread the values of days with trades over all rows, 0 for the others."""
        found = np.zeros(len(self.ordinal), np.int64)
        found[self.place] = values
        return found


def _between(days: Days, owner: Int64, touched: Sequence[_Touched]) -> Iterator[tuple[int, int]]:
    """Yield the (sequence, day) within gaps that hold no trade."""
    for each in touched:
        holes = days.ordinal[each.last] - days.ordinal[each.first] > each.last - each.first
        for first, last in sorted(set(zip(each.first[holes].tolist(), each.last[holes].tolist(), strict=True))):
            held = set(days.ordinal[first : last + 1].tolist())
            number, begin, end = int(owner[first]), int(days.ordinal[first]), int(days.ordinal[last])
            yield from ((number, day) for day in range(begin, end) if day not in held)


def _doubts(axis: _Axis, missing: Mapping[str, _Touched]) -> tuple[dict[str, Int64], Bool, Bool]:
    """Return how many ids each day may miss, by kind, and whether its beginning and its end are proven."""
    days = len(axis.ordinal)
    early, late = np.zeros(days + 1, np.int64), np.zeros(days + 1, np.int64)
    counts = {}
    for kind, each in missing.items():
        first, last = axis.place[each.first], axis.place[each.last]
        sizes = np.zeros(days + 1, np.int64)
        for changed, at, by in (
            (sizes, first, each.size),
            (sizes, last + 1, -each.size),
            (early, first + 1, 1),  # began on a day before
            (early, last + 1, -1),
            (late, first, 1),  # goes on to a day after
            (late, last, -1),
        ):
            np.add.at(changed, at, by)
        counts[kind] = np.cumsum(sizes[:-1])
    return counts, np.cumsum(early[:-1]) == 0, np.cumsum(late[:-1]) == 0


def _voids(axis: _Axis, void: IdSpans, first: Int64, last: Int64) -> Int64:
    """Count the void ids between each day's first and last id."""
    found = np.zeros(len(axis.ordinal), np.int64)
    borders = np.searchsorted(axis.sequence, np.arange(len(void.at)))
    for number in np.flatnonzero(void.counts()).tolist():
        mine = slice(int(void.at[number]), int(void.at[number + 1]))
        days = slice(int(borders[number]), int(borders[number + 1]))
        low, high = void.first[mine], void.last[mine]
        found[days] = _below(low, high, last[days] + 1) - _below(low, high, first[days])
    return np.where(axis.held, found, 0)


def _below(low: Int64, high: Int64, ids: Int64) -> Int64:
    """Count the ids of disjoint ranges that are less than each of `ids`."""
    before = np.concatenate(([0], np.cumsum(high - low + 1)))
    at = np.searchsorted(low, ids)
    beyond: Int64 = np.where(at > 0, np.maximum(high[np.maximum(at, 1) - 1] - ids + 1, 0), 0)
    return before[at] - beyond

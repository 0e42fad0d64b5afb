"""Derive each day's completeness from the account of ids. Pure: a snapshot's arrays in, one row a day out.

A boundary between two days is witnessed when both days hold a trade and no missing id lies between them.
Only a held trade is a witness: not a clock, not a connection, not the venue's word. All days of all sequences are done
at once: a year of a thousand symbols is 365,000 of them. The plain way is tests/support/judges/naive/completeness.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from trading_platform.completeness.id_spans import Days, Int64, Spans
from trading_platform.completeness.records import DayState, DayStatus, SequenceRow

Bool = npt.NDArray[np.bool_]

STATES: tuple[DayState, ...] = ("recording", "repairing", "incomplete", "unproven", "reconciled", "complete")
"""The worst first: of several numberings of one day the worst counts."""
_CODE = {state: code for code, state in enumerate(STATES)}
assert set(STATES) == set(get_args(DayState))


class DayTable(NamedTuple):
    """One row for each day that holds a trade or is touched by a gap, ordered by venue, symbol, day; as columns.

    Attributes
    ----------
    pairs : the (venue, symbol) that `pair` counts.
    ordinal : the day as Python counts them.
    begun, held : whether `first_id` and `last_id` are known; of a day without a trade neither is.
    known : whether `expected` is.
    state : index into `STATES`.
    """

    pairs: list[tuple[str, str]]
    pair: Int64
    ordinal: Int64
    begun: Bool
    held: Bool
    first_id: Int64
    last_id: Int64
    known: Bool
    expected: Int64
    stored: Int64
    void: Int64
    open: Int64
    unrecoverable: Int64
    state: Int64

    def rows(self) -> Iterator[DayStatus]:
        """Yield the rows as values."""
        names, days = _named(self.pairs, self.pair), day_names(self.ordinal)
        states = [STATES[code] for code in self.state.tolist()]
        first, last = optional(self.first_id, self.begun), optional(self.last_id, self.held)
        counts = (self.stored.tolist(), self.void.tolist(), self.open.tolist(), self.unrecoverable.tolist())
        columns = (*names, days, first, last, optional(self.expected, self.known), *counts, states)
        return map(DayStatus._make, zip(*columns, strict=True))

    def take(self, rows: Int64 | Bool) -> DayTable:
        """Return some of the rows."""
        return self._replace(**{name: getattr(self, name)[rows] for name in self._fields[1:]})


class Run(NamedTuple):
    """Neighbouring days of one symbol and state."""

    first: str
    last: str
    days: int
    state: DayState
    stored: int
    expected: int | None


def runs(table: DayTable) -> Mapping[tuple[str, str], Sequence[Run]]:
    """Join neighbouring days of equal state."""
    if not len(table.pair):
        return {}
    change = (np.diff(table.pair) != 0) | (np.diff(table.state) != 0)
    begin = np.concatenate(([0], np.flatnonzero(change) + 1))
    end = np.concatenate((begin[1:], [len(table.pair)]))
    known = np.logical_and.reduceat(table.known, begin)
    columns = (
        day_names(table.ordinal[begin]),
        day_names(table.ordinal[end - 1]),
        (end - begin).tolist(),
        [STATES[code] for code in table.state[begin].tolist()],
        np.add.reduceat(table.stored, begin).tolist(),
        optional(np.add.reduceat(np.where(table.known, table.expected, 0), begin), known),
    )
    every = list(map(Run._make, zip(*columns, strict=True)))
    owner = table.pair[begin]
    borders = np.concatenate(([0], np.flatnonzero(np.diff(owner)) + 1, [len(owner)])).tolist()
    return {table.pairs[int(owner[a])]: every[a:b] for a, b in pairwise(borders)}


def ordinal_of(day: str) -> int:
    """Return a day as Python counts them."""
    return dt.date.fromisoformat(day).toordinal()


def day_names(ordinal: Int64) -> list[str]:
    """Return days as text."""
    different, at = np.unique(ordinal, return_inverse=True)
    names = [dt.date.fromordinal(number).isoformat() for number in different.tolist()]
    return [names[one] for one in at.tolist()]


def optional(values: Int64, known: Bool) -> list[int | None]:
    """Return the values, None where they are not known."""
    found: list[int | None] = values.tolist()
    for at in np.flatnonzero(~known).tolist():
        found[at] = None
    return found


def _named(pairs: Sequence[tuple[str, str]], pair: Int64) -> tuple[list[str], list[str]]:
    numbers = pair.tolist()
    return [pairs[number][0] for number in numbers], [pairs[number][1] for number in numbers]


def day_table(sequences: Sequence[SequenceRow], days: Days, ids: Mapping[str, Spans], today: str) -> DayTable:
    """Return the completeness of every day of every sequence.

    Parameters
    ----------
    sequences, days, ids : of a snapshot.
    today : the UTC day that is not over yet.
    """
    missing = {kind: _Touched.of(days, ids[kind]) for kind in ("open", "unrecoverable")}
    axis = _Axis.of(days, list(missing.values()))
    sequence, ordinal, held = axis.sequence, axis.ordinal, axis.held
    counts, left, right = _doubts(axis, missing)
    first_day, last_day = _bounds(days)
    left &= ordinal > first_day[sequence]
    right &= ordinal < last_day[sequence]
    newest = held & (ordinal == last_day[sequence])
    tail = np.array([row.tail for row in sequences], dtype="U8")
    ends = np.where(newest, tail[sequence] if len(tail) else "", "")
    over = ordinal < ordinal_of(today)
    ended = newest & _ended(sequences)[sequence]
    state = np.select(
        [
            ~over | (ends == "live"),
            (counts["open"] > 0) | (ends == "open"),
            (counts["unrecoverable"] > 0) | ~left | ended,
            right,
        ],
        [_CODE["recording"], _CODE["repairing"], _CODE["incomplete"], _CODE["complete"]],
        _CODE["unproven"],
    ).astype(np.int64)
    names = sorted({(row.venue, row.symbol) for row in sequences})
    number = {name: at for at, name in enumerate(names)}
    pair = np.array([number[row.venue, row.symbol] for row in sequences], np.int64)
    first, last, stored = axis.fill(days.first), axis.fill(days.last), axis.fill(days.stored)
    table = DayTable(
        names,
        pair[sequence],
        ordinal,
        held,
        held,
        first,
        last,
        held & left & right,
        last - first + 1,
        stored,
        _voids(axis, ids["void"], first, last),
        counts["open"],
        counts["unrecoverable"],
        state,
    )
    if len(names) == len(sequences) and pair.tolist() == list(range(len(pair))):
        return table
    return _together(table.take(np.lexsort((sequence, table.ordinal, table.pair))))


def _ended(sequences: Sequence[SequenceRow]) -> Bool:
    """Tell of each sequence whether another numbering began after it."""
    newest = {(row.venue, row.symbol): row.epoch for row in sequences}
    return np.array([row.epoch < newest[row.venue, row.symbol] for row in sequences], bool)


def _bounds(days: Days) -> tuple[Int64, Int64]:
    """Return the first and the last day of each sequence; of one without days both mean nothing."""
    if not len(days.ordinal):
        nothing = np.zeros(len(days.at) - 1, np.int64)
        return nothing, nothing
    most = len(days.ordinal) - 1
    return days.ordinal[np.minimum(days.at[:-1], most)], days.ordinal[np.maximum(days.at[1:] - 1, 0)]


class _Touched(NamedTuple):
    """Missing ranges and the days they may touch, as places in `Days`: those of the held trades around them."""

    size: Int64
    first: Int64
    last: Int64

    @classmethod
    def of(cls, days: Days, spans: Spans) -> _Touched:
        before, after = _neighbours(days, spans)
        size = spans.last - spans.first + 1
        sequence = spans.sequence()
        begin, end = days.at[sequence], days.at[sequence + 1]
        none_before, none_after = before < begin, after >= end
        first = np.where(none_before, after, before)
        last = np.where(none_after, before, after)
        # Neither: of a sequence without days it touches none that is known.
        some = ~(none_before & none_after)
        first, last, size = first[some], last[some], size[some]
        # The ids of neighbouring days may overlap around midnight: then there is nothing between them.
        forward = first <= last
        return cls(size[forward], first[forward], last[forward])


def _neighbours(days: Days, spans: Spans) -> tuple[Int64, Int64]:
    """Return of each missing range the last day with a lesser id and the first day with a greater one."""
    before, after = np.empty(len(spans.first), np.int64), np.empty(len(spans.first), np.int64)
    for number in np.flatnonzero(spans.counts()).tolist():
        mine = slice(int(spans.at[number]), int(spans.at[number + 1]))
        held = slice(int(days.at[number]), int(days.at[number + 1]))
        # Times are not in order of ids: from the end the least, from the beginning the greatest so far.
        low = np.minimum.accumulate(days.first[held][::-1])[::-1]
        high = np.maximum.accumulate(days.last[held])
        before[mine] = held.start + np.searchsorted(low, spans.first[mine], side="left") - 1
        after[mine] = held.start + np.searchsorted(high, spans.last[mine], side="right")
    return before, after


class _Axis(NamedTuple):
    """All days that get a row: those that hold trades, and those that lie within a gap.

    `place`: where each of `Days` stands.
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
        """Return the values of days that hold trades, 0 for the others."""
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
    """Return how many ids each day may miss by kind, and whether its beginning and its end are free of doubt."""
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


def _voids(axis: _Axis, void: Spans, first: Int64, last: Int64) -> Int64:
    """Count the used-up ids between each day's first and last id."""
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


def _together(table: DayTable) -> DayTable:
    """Give a day of several numberings one row: what lies between them is not proved.

    Its first id is of the oldest and its last of the newest numbering; how many to expect, nobody knows.
    """
    again = np.concatenate(([False], (np.diff(table.pair) == 0) & (np.diff(table.ordinal) == 0)))
    if not again.any():
        return table
    begin = np.flatnonzero(~again)
    size = np.diff(np.concatenate((begin, [len(again)])))
    several = size > 1
    merged = table.take(begin)
    worst = np.minimum(np.minimum.reduceat(table.state, begin), _CODE["incomplete"])
    # The last of each day's rows that holds a trade; where none does, its id means nothing.
    place = np.maximum.reduceat(np.where(table.held, np.arange(len(again)), -1), begin)
    return merged._replace(
        stored=np.add.reduceat(table.stored, begin),
        void=np.add.reduceat(table.void, begin),
        open=np.add.reduceat(table.open, begin),
        unrecoverable=np.add.reduceat(table.unrecoverable, begin),
        last_id=np.where(place >= 0, table.last_id[place], 0),
        held=place >= 0,
        known=merged.known & ~several,
        state=np.where(several, worst, merged.state),
    )

"""Compute the completeness state of each symbol-day. Pure: arrays of a ledger snapshot in, one row a day out.

day_facts.py gives the facts that do not depend on the clock; this module adds today's date, the ends of sequences and
days with several epochs. The naive twin is tests/support/judges/naive/completeness.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, get_args

import numpy as np

from trading_platform.completeness.day_facts import Bool, DayFacts, day_facts
from trading_platform.completeness.id_spans import Days, IdSpans, Int64
from trading_platform.completeness.records import DayState, DayStatus, SequenceRow

STATES: tuple[DayState, ...] = ("recording", "repairing", "incomplete", "unproven", "reconciled", "complete")
"""Worst first: if a day has several epochs, the worst state counts."""
_CODE = {state: code for code, state in enumerate(STATES)}
assert set(STATES) == set(get_args(DayState))


class DayTable(NamedTuple):
    """One row for each day that holds a trade or is touched by a gap, ordered by venue, symbol, day; as columns.

    Attributes
    ----------
    pairs : the (venue, symbol) that `pair` indexes.
    ordinal : the day's `date.toordinal`.
    begun, held : whether `first_id` and `last_id` are known; for a day without trades neither is.
    known : whether `expected` is known.
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

    def columns(self) -> dict[str, list[Any]]:
        """Return the rows as lists of values, by the field names of `DayStatus`."""
        first, last = optional(self.first_id, self.begun), optional(self.last_id, self.held)
        counts = (column.tolist() for column in (self.stored, self.void, self.open, self.unrecoverable))
        states = list(map(STATES.__getitem__, self.state.tolist()))
        names, days = _named(self.pairs, self.pair), day_names(self.ordinal)
        columns = (*names, days, first, last, optional(self.expected, self.known), *counts, states)
        return dict(zip(DayStatus._fields, columns, strict=True))

    def rows(self) -> Iterator[DayStatus]:
        """Yield the rows as `DayStatus`."""
        return map(DayStatus._make, zip(*self.columns().values(), strict=True))

    def take(self, rows: Int64 | Bool) -> DayTable:
        """Return some of the rows."""
        return self._replace(**{name: getattr(self, name)[rows] for name in self._fields[1:]})


class DayRun(NamedTuple):
    """Consecutive days of one symbol in the same state."""

    first: str
    last: str
    days: int
    state: DayState
    stored: int
    expected: int | None


class RunTable(NamedTuple):
    """All runs of a table of days, in its order; as columns.

    Attributes
    ----------
    at : the runs of pair `n` are rows ``[at[n], at[n + 1])``.
    first, last : days as `date.toordinal`.
    state : index into `STATES`.
    known : whether `expected` is known for every day of the run.
    """

    at: Int64
    first: Int64
    last: Int64
    days: Int64
    state: Int64
    stored: Int64
    known: Bool
    expected: Int64

    def take(self, runs: list[int] | slice) -> list[DayRun]:
        """Return some of the runs as `DayRun`."""
        states = [STATES[code] for code in self.state[runs].tolist()]
        names = (day_names(self.first[runs]), day_names(self.last[runs]))
        sums = (self.stored[runs].tolist(), optional(self.expected[runs], self.known[runs]))
        return list(map(DayRun._make, zip(*names, self.days[runs].tolist(), states, *sums, strict=True)))

    def shown(self, most: int, few: int) -> list[Int64]:
        """Return the runs to show of each pair: all, or of more than `most` the newest `few` incomplete ones."""
        rest = self.state != _CODE["complete"]
        every = (np.arange(begin, end) for begin, end in pairwise(self.at.tolist()))
        return [runs if len(runs) <= most else runs[rest[runs]][-few:] for runs in every]

    def counts(self) -> list[dict[str, int]]:
        """Return the number of days in each state, by pair."""
        owner = np.repeat(np.arange(len(self.at) - 1), np.diff(self.at))
        sums = np.bincount(owner * len(STATES) + self.state, self.days, (len(self.at) - 1) * len(STATES)).astype(int)
        each = sums.reshape(-1, len(STATES)).tolist()
        return [{state: days for state, days in zip(STATES, counts, strict=True) if days} for counts in each]


def run_table(table: DayTable) -> RunTable:
    """Join consecutive days of equal state."""
    begin = np.flatnonzero(_differs(table.pair) | _differs(table.state))
    end = np.append(begin[1:], len(table.pair))
    sums = (_sums(table.stored, begin), _sums(np.where(table.known, table.expected, 0), begin))
    return RunTable(
        np.searchsorted(table.pair[begin], np.arange(len(table.pairs) + 1)),
        table.ordinal[begin],
        table.ordinal[end - 1] if len(begin) else table.ordinal[:0],
        (end - begin) if len(begin) else end[:0],
        table.state[begin],
        sums[0],
        _sums(~table.known, begin) == 0,
        sums[1],
    )


def runs(table: DayTable) -> Mapping[tuple[str, str], Sequence[DayRun]]:
    """Join consecutive days of equal state, by (venue, symbol)."""
    joined = run_table(table)
    every, borders = joined.take(slice(None)), pairwise(joined.at.tolist())
    return {pair: every[a:b] for pair, (a, b) in zip(table.pairs, borders, strict=True) if a < b}


def _differs(values: Int64) -> Bool:
    """Tell for each value whether it differs from the one before."""
    return np.concatenate(([True], values[1:] != values[:-1]))[: len(values)]


def _sums(values: Int64 | Bool, begin: Int64) -> Int64:
    """Return the sum of each stretch of values; `begin` holds the stretches' first indices."""
    return np.add.reduceat(values.astype(np.int64), begin) if len(begin) else np.empty(0, np.int64)


def ordinal_of(day: str) -> int:
    """Return a day's `date.toordinal`."""
    return dt.date.fromisoformat(day).toordinal()


def ordinals_of(days: str) -> Int64:
    """Return days, written one after the other with a space between, as Python counts them.

    >>> ordinals_of("2024-02-29 2024-03-01").tolist()
    [738945, 738946]
    """
    text = np.frombuffer(f"{days} ".encode() if days else b"", np.uint8).reshape(-1, len("2024-01-01 "))
    digits = text.astype(np.int64) - ord("0")
    year, month, day = (digits[:, first:end] @ 10 ** np.arange(end - first)[::-1] for first, end in _PARTS)
    months = (12 * (year - 1970) + month - 1).astype("M8[M]")
    return months.astype("M8[D]").astype(np.int64) + day - 1 + dt.date(1970, 1, 1).toordinal()


_PARTS = ((0, 4), (5, 7), (8, 10))
"""Where a day's year, month and day of the month stand."""


def day_names(ordinal: Int64) -> list[str]:
    """Return days as text."""
    different, at = np.unique(ordinal, return_inverse=True)
    names = [dt.date.fromordinal(number).isoformat() for number in different.tolist()]
    return list(map(names.__getitem__, at.tolist()))


def optional(values: Int64, known: Bool) -> list[int | None]:
    """Return the values, None where they are not known."""
    found: list[int | None] = values.tolist()
    for at in np.flatnonzero(~known).tolist():
        found[at] = None
    return found


def _named(pairs: Sequence[tuple[str, str]], pair: Int64) -> tuple[list[str], list[str]]:
    numbers = pair.tolist()
    return [pairs[number][0] for number in numbers], [pairs[number][1] for number in numbers]


def day_table(sequences: Sequence[SequenceRow], days: Days, ids: Mapping[str, IdSpans], today: str) -> DayTable:
    """Return the completeness of every day of every sequence.

    Parameters
    ----------
    sequences, days, ids : of a ledger snapshot.
    today : the current UTC day.
    """
    return judged(sequences, day_facts(days, ids), today)


def judged(sequences: Sequence[SequenceRow], facts: DayFacts, today: str) -> DayTable:
    """Return the completeness of every day from its facts, today's date and the sequences' ends."""
    names = sorted({(row.venue, row.symbol) for row in sequences})
    number = {name: at for at, name in enumerate(names)}
    pair = np.array([number[row.venue, row.symbol] for row in sequences], np.int64)
    table = DayTable(
        names,
        pair[facts.sequence],
        facts.ordinal,
        facts.held,
        facts.held,
        facts.first,
        facts.last,
        facts.held & facts.left & facts.right,
        facts.last - facts.first + 1,
        facts.stored,
        facts.void,
        facts.open,
        facts.unrecoverable,
        _states(sequences, facts, today),
    )
    if len(names) == len(sequences) and pair.tolist() == list(range(len(pair))):
        return table
    return _together(table.take(np.lexsort((facts.sequence, table.ordinal, table.pair))))


def _states(sequences: Sequence[SequenceRow], facts: DayFacts, today: str) -> Int64:
    """Return the state of each day; a sequence's end concerns its newest day with a trade."""
    newest = facts.newest()
    ends = [sequences[number].tail for number in facts.sequence[newest].tolist()]
    live, lost = (np.zeros(len(facts.ordinal), bool) for _ in range(2))
    live[newest] = [end == "live" for end in ends]
    lost[newest] = [end == "open" for end in ends]
    ended = np.zeros(len(facts.ordinal), bool)
    ended[newest] = _ended(sequences)[facts.sequence[newest]]
    return np.select(
        [
            (facts.ordinal >= ordinal_of(today)) | live,
            (facts.open > 0) | lost,
            (facts.unrecoverable > 0) | ~facts.left | ended,
            facts.right,
        ],
        [_CODE["recording"], _CODE["repairing"], _CODE["incomplete"], _CODE["complete"]],
        _CODE["unproven"],
    ).astype(np.int64)


def _ended(sequences: Sequence[SequenceRow]) -> Bool:
    """Tell for each sequence whether a later epoch follows it."""
    newest = {(row.venue, row.symbol): row.epoch for row in sequences}
    return np.array([row.epoch < newest[row.venue, row.symbol] for row in sequences], bool)


def _together(table: DayTable) -> DayTable:
    """Give a day with several epochs one row: between two epochs completeness cannot be proven.

    Its first id is the oldest epoch's and its last the newest epoch's; the expected count is unknown.
    """
    again = np.concatenate(([False], (np.diff(table.pair) == 0) & (np.diff(table.ordinal) == 0)))
    if not again.any():
        return table
    begin = np.flatnonzero(~again)
    size = np.diff(np.concatenate((begin, [len(again)])))
    several = size > 1
    merged = table.take(begin)
    worst = np.minimum(np.minimum.reduceat(table.state, begin), _CODE["incomplete"])
    # The last of each day's rows that holds a trade; if none does, the id is meaningless.
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

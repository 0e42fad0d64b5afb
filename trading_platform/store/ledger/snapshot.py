"""Read the whole account of ids at one instant: everything from one transaction, in a few statements, as arrays.

What is asked of one sequence at a time is projection.py; what follows for each day is day_status.py.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import sqlalchemy as sa

from trading_platform.completeness.id_spans import Days, IdSpans, Int64
from trading_platform.completeness.records import SequenceKey, SequenceRow
from trading_platform.domain.id_ranges import IdRanges
from trading_platform.domain.position import Position
from trading_platform.store.ledger import tables as t
from trading_platform.store.ledger.changes import of_keys
from trading_platform.store.ledger.database import as_text, damage_named, plain_rows
from trading_platform.store.ledger.sinks import positions

Raw = list[tuple[Any, ...]]

KINDS = ("stored", "void", "unrecoverable", "open")
"""Of ids; what is open is what the others leave of a sequence."""


class Snapshot:
    """The account of every sequence, of a venue's or symbol's, or of those named, as one transaction sees it.

    Everything is read when it is first asked for: do so before the transaction ends.
    """

    def __init__(
        self,
        db: sa.Connection,
        venue: str | None = None,
        symbol: str | None = None,
        *,
        keys: Sequence[SequenceKey] | None = None,
    ) -> None:
        self.db = db
        self._wanted = {"venue": venue, "symbol": symbol}
        self._keys = keys

    @cached_property
    def sequences(self) -> list[SequenceRow]:
        """Every known sequence, ordered by venue, symbol, epoch."""
        c = t.sequences.c
        columns = (c.venue, c.symbol, c.epoch, c.from_id, c.head, c.tail, c.tail_ts)
        query = sa.select(*columns).order_by(c.venue, c.symbol, c.epoch)
        return [SequenceRow(*row) for row in self.fetch(query, t.sequences)]

    @cached_property
    def number(self) -> dict[tuple[str, str, int], int]:
        """Where each (venue, symbol, epoch) stands in `sequences`."""
        return {(row.venue, row.symbol, row.epoch): at for at, row in enumerate(self.sequences)}

    @cached_property
    def ids(self) -> dict[str, IdSpans]:
        """Every sequence's ids by kind, see `KINDS`."""
        c = t.ranges.c
        rows = self._lists(sa.select(), t.ranges, (c.kind,), (c.first_id, c.last_id))
        with damage_named("the ranges of ids"):
            kinds = {kind: self._spans([row for row in rows if row[3] == kind]) for kind in KINDS[:-1]}
            return kinds | {"open": self._open(list(kinds.values()))}

    def _open(self, kinds: Sequence[IdSpans]) -> IdSpans:
        """Return the maximal ranges of [from_id, head] that are neither stored nor void nor unrecoverable."""
        sequence = np.concatenate([spans.sequence() for spans in kinds])
        first, last = (np.concatenate([getattr(spans, end) for spans in kinds]) for end in ("first", "last"))
        order = np.lexsort((first, sequence))
        sequence, first, last = sequence[order], first[order], last[order]
        begin = np.array([row.from_id for row in self.sequences], np.int64)
        head = np.array([row.head for row in self.sequences], np.int64)
        every = np.arange(len(begin))
        at = np.searchsorted(sequence, np.arange(len(begin) + 1))
        same = sequence[1:] == sequence[:-1]
        tangled = np.zeros(len(begin), bool)  # ranges that overlap, or lie beyond the sequence: an account in disorder
        tangled[sequence[1:][same & (first[1:] <= last[:-1])]] = True
        tangled[sequence[(first < begin[sequence]) | (last > head[sequence])]] = True
        # Between each range and the next of its sequence; before the first; after the last.
        some = every[np.diff(at) > 0]
        none = every[np.diff(at) == 0]
        low = np.concatenate((last[:-1][same] + 1, begin[some], last[at[some + 1] - 1] + 1, begin[none]))
        high = np.concatenate((first[1:][same] - 1, first[at[some]] - 1, head[some], head[none]))
        owner = np.concatenate((sequence[1:][same], some, some, none))
        good = (low <= high) & ~tangled[owner]
        found = [(owner[good], low[good], high[good])]
        for number in np.flatnonzero(tangled).tolist():
            mine = slice(int(at[number]), int(at[number + 1]))
            accounted = IdRanges(zip(first[mine].tolist(), last[mine].tolist(), strict=True))
            rest = np.array(list(accounted.missing(int(begin[number]), int(head[number]))), np.int64).reshape(-1, 2)
            found.append((np.full(len(rest), number), rest[:, 0], rest[:, 1]))
        columns = (np.concatenate(column) for column in zip(*found, strict=True))
        return IdSpans.of(len(begin), *_in_order(*columns))

    @cached_property
    def gaps(self) -> IdSpans:
        """The gap rows that are being worked on, or may be."""
        c = t.gaps.c
        working = sa.select().where(c.state.in_(("open", "leased")))
        rows = self._lists(working, t.gaps, (), (c.first_missing, c.last_missing))
        with damage_named("the gaps"):
            return self._spans(rows)

    @cached_property
    def days(self) -> Days:
        """The days that hold stored trades."""
        c = t.coverage.c
        rows = self._lists(sa.select().where(c.stored > 0), t.coverage, (), (c.day, c.first_id, c.last_id, c.stored))
        with damage_named("the days"):
            sequence, day, *columns = self._columns(rows, 4)
            ordinals = _Ordinals()
            ordinal = np.array([ordinals[one] for one in day.split(",")] if day else [], np.int64)
            sequence, ordinal, *columns = _in_order(sequence, ordinal, *map(_numbers, columns))
            at = np.searchsorted(sequence, np.arange(len(self.sequences) + 1)).astype(np.int64)
            return Days(at, ordinal, *columns)

    def _lists(
        self, query: sa.Select[Any], table: sa.Table, further: Sequence[Any], values: Sequence[sa.Column[Any]]
    ) -> Raw:
        """Return a row a sequence: its key, further columns, how many rows it has, and these as lists with commas.

        Half a million numbers come in a third of the time that half a million rows take.
        """
        c = table.c
        key = (c.venue, c.symbol, c.epoch, *further)
        texts = [sa.func.aggregate_strings(as_text(self.db, value), ",") for value in values]
        return self.fetch(query.add_columns(*key, sa.func.count(), *texts).group_by(*key), table)

    def _columns(self, rows: Raw, values: int) -> tuple[Any, ...]:
        """Return the sequence of each listed value, and the values, of the sequences that have begun."""
        owned = [(number, row) for row in rows if (number := self.number.get(row[:3])) is not None]
        owners = [number for number, _ in owned]
        sequence = np.repeat(np.array(owners, np.int64), [row[-values - 1] for _, row in owned])
        return sequence, *(",".join([row[at - values] for _, row in owned]) for at in range(values))

    def _spans(self, rows: Raw) -> IdSpans:
        sequence, first, last = self._columns(rows, 2)
        return IdSpans.of(len(self.sequences), *_in_order(sequence, _numbers(first), _numbers(last)))

    def stored_by_day(self) -> dict[tuple[str, str, int], int]:
        """Return how many trades the days of each sequence add up to."""
        c = t.coverage.c
        query = sa.select(c.venue, c.symbol, c.epoch, sa.func.sum(c.stored)).group_by(c.venue, c.symbol, c.epoch)
        return {(venue, symbol, epoch): int(total) for venue, symbol, epoch, total in self.fetch(query, t.coverage)}

    def conflicts(self) -> Counter[tuple[str, str]]:
        """Count the copies that differ by (venue, symbol)."""
        c = t.conflicts.c
        query = sa.select(c.venue, c.symbol, sa.func.count()).group_by(c.venue, c.symbol)
        return Counter({(venue, symbol): count for venue, symbol, count in self.fetch(query, t.conflicts)})

    def quarantined(self) -> dict[tuple[str, str], dict[str, int]]:
        """Count quarantined records of each (venue, symbol) by kind."""
        c = t.quarantine.c
        query = sa.select(c.venue, c.symbol, c.kind, sa.func.count()).where(c.symbol.is_not(None))
        query = query.group_by(c.venue, c.symbol, c.kind).order_by(c.venue, c.symbol, c.kind)
        found: dict[tuple[str, str], dict[str, int]] = {}
        for venue, symbol, kind, count in self.fetch(query, t.quarantine):
            found.setdefault((venue, symbol), {})[kind] = count
        return found

    def lane_positions(self) -> dict[str, tuple[Position, Position]]:
        """Return (decoded, staged) of every lane."""
        return {row[0]: (Position(*row[1:3]), Position(*row[3:5])) for row in self.db.execute(positions())}

    def fetch(self, query: sa.Select[Any], table: sa.Table) -> Raw:
        """Return the wanted rows of a query, of which `table` is a part."""
        if self._keys is not None:
            query = query.where(of_keys(table, self._keys))
        for name, value in self._wanted.items():
            if value is not None:
                query = query.where(table.c[name] == value)
        return plain_rows(self.db, query)


class _Ordinals(dict[str, int]):
    def __missing__(self, day: str) -> int:
        self[day] = number = dt.date.fromisoformat(day).toordinal()
        return number


def _numbers(text: str) -> Int64:
    return np.fromstring(text, np.int64, sep=",") if text else np.empty(0, np.int64)


def _in_order(sequence: Int64, second: Int64, *further: Int64) -> tuple[Int64, ...]:
    """Return rows by sequence, then by the second column."""
    same = sequence[1:] == sequence[:-1]
    if bool(((sequence[1:] > sequence[:-1]) | (same & (second[1:] >= second[:-1]))).all()):
        return sequence, second, *further
    order = np.lexsort((second, sequence))
    return tuple(column[order] for column in (sequence, second, *further))

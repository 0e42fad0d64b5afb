"""The published tick leaves of one symbol in a row: which days exist, and what lies between them.

Everything here comes from the ledger's records; tick files are opened only where the ids of several days are
interleaved (trades around midnight whose times fall with the id) or a record does not say them. Whether ids are
missing is missing_ids.py, what follows for an interval uncertain_spans.py.

A trade that is stored but not published yet is not held: a bar without it must not call itself complete.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from trading_platform.completeness.missing_ids import IdAccount, Key
from trading_platform.completeness.records import LeafRecord, SequenceRow, TextDay
from trading_platform.completeness.uncertain_spans import Int64, Spans, uncertain_spans
from trading_platform.domain.days import day_after, day_range, day_start
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.id_ranges import Range
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake


class TickLedger(Protocol):
    """What of the ledger says which trades exist."""

    def leaves(
        self,
        dataset: str,
        venue: str | None = None,
        symbol: str | None = None,
        day: str | None = None,
        timeframe: str | None = None,
    ) -> dict[Leaf, LeafRecord]:
        """Return the published leaves of a dataset."""

    def sequences(self, venue: str | None = None, symbol: str | None = None) -> list[SequenceRow]:
        """Return where each epoch begins and ends."""

    def text_days(self, venue: str | None = None, symbol: str | None = None) -> list[TextDay]:
        """Return the days of a symbol whose ids prove nothing, with the venue's listings of them."""

    def voids(self, venue: str, symbol: str, epoch: int = 0) -> list[Range]:
        """Return the ids that were used up without a trade."""


class TickFacts(NamedTuple):
    """All that decides a day's bars besides the trades it holds; part of their input hash.

    Attributes
    ----------
    ticks : content hash of the day's tick leaf, None for a day between two days without a trade of its own.
    proved : whether the trades have ids that prove which ones are missing.
    first, running : whether this is the day of the oldest, the newest held trade.
    missing_before, missing_after : whether one may be missing before the day's trades, and after them. On the first
        day: one that we undertook to hold.
    voids : used-up ids among the day's, as (epoch, first, last).
    interleaved : content hashes by day of the other days whose ids are interleaved with this day's.
    resets : the epochs that end within the day.
    listed : whether the trades, whose ids prove nothing, are those of the venue's own listing of the day.
    """

    ticks: str | None
    proved: bool = True
    first: bool = False
    running: bool = False
    missing_before: bool = False
    missing_after: bool = False
    voids: tuple[tuple[int, int, int], ...] = ()
    interleaved: tuple[tuple[str, str], ...] = ()
    resets: tuple[int, ...] = ()
    listed: bool = False

    @property
    def proof(self) -> str | None:
        """What shows that nothing is missing: ``ids``, ``listing``, or None."""
        return "ids" if self.proved else "listing" if self.listed else None


@dataclass
class TickDay:
    """One tick leaf: its record and the span of its keys (None: it has none, or they prove nothing)."""

    leaf: Leaf
    record: LeafRecord
    first: Key | None
    last: Key | None


@dataclass
class _Group:
    """Days in a row whose ids are interleaved, nearly always a single one. Groups ascend by day and by key."""

    days: list[TickDay]
    first: Key
    last: Key


@dataclass
class Chain:
    """A symbol's days; see `Chain.load`.

    Attributes
    ----------
    ticks : the tick leaves by day, ascending.
    days : the days that have bars: those with a tick leaf, and those between two of them across which a trade is
        missing.
    """

    data: DataDir
    venue: str
    symbol: str
    account: IdAccount
    ticks: dict[str, TickDay] = field(default_factory=dict)
    days: list[str] = field(default_factory=list)
    _listed: frozenset[str] = frozenset()
    _groups: list[_Group] = field(default_factory=list)
    _group_of: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, data: DataDir, book: TickLedger, venue: str, symbol: str) -> Chain:
        """Read what the ledger knows of a symbol's trades."""
        sequences = book.sequences(venue, symbol)
        epochs = sorted({row.epoch for row in sequences} or {0})
        account = IdAccount.of(sequences, {epoch: book.voids(venue, symbol, epoch) for epoch in epochs})
        chain = cls(data, venue, symbol, account)
        chain._listed = frozenset(day.day for day in book.text_days(venue, symbol) if day.equal)
        records = book.leaves("ticks", venue, symbol)
        for leaf in sorted(records, key=lambda each: each.day):
            chain.add(leaf, records[leaf], epochs[0] if len(epochs) == 1 else None)
        chain.link()
        return chain

    def add(self, leaf: Leaf, record: LeafRecord, only_epoch: int | None) -> None:
        """Append the leaf of a later day."""
        first = last = None
        if only_epoch is not None and record.first_id is not None and record.last_id is not None:
            first, last = (only_epoch, record.first_id), (only_epoch, record.last_id)
        elif len(ids := (keys := self._keys(leaf))[1]):
            first, last = (int(keys[0][0]), int(ids[0])), (int(keys[0][-1]), int(ids[-1]))
        self.ticks[leaf.day] = TickDay(leaf, record, first, last)

    def _keys(self, leaf: Leaf) -> tuple[Int64, Int64]:
        """Read a leaf's epochs and ids; none if the ids prove nothing."""
        table = lake.read_leaf(self.data, leaf, ["epoch", "trade_id"])
        if table is None:
            raise CorruptionError(f"{leaf.path} is missing although it was published; rebuild it with: replay")
        if table["trade_id"].null_count:
            table = table.slice(0, 0)
        return table["epoch"].to_numpy().astype(np.int64), table["trade_id"].to_numpy().astype(np.int64)

    def link(self) -> None:
        """Find the groups and the days, once all leaves are there."""
        for day in self.ticks.values():
            if day.first is not None and day.last is not None:
                group = _Group([day], day.first, day.last)
                while self._groups and self._groups[-1].last > group.first:
                    older = self._groups.pop()
                    first, last = min(older.first, group.first), max(older.last, group.last)
                    group = _Group([*older.days, *group.days], first, last)
                self._groups.append(group)
        self._group_of = {day.leaf.day: at for at, group in enumerate(self._groups) for day in group.days}
        for before, after in pairwise(self.ticks):
            self.days.append(before)
            if day_after(before) < after and self._gap_across(before, after):
                self.days.extend(day_range(day_after(before), day_after(after, -1)))
        self.days.extend(list(self.ticks)[-1:])

    def _gap_across(self, before: str, after: str) -> bool:
        """Tell whether a trade may be missing on the empty days between two held ones."""
        if before not in self._group_of or after not in self._group_of:
            return False
        low, high = self._groups[self._group_of[before]], self._groups[self._group_of[after]]
        if low is not high:
            return self.account.missing(low.last, high.first)
        empty = day_after(before)
        return bool(len(self._spans(empty, self._gap_day(empty, low), None).first))

    def previous(self, day: str) -> str | None:
        """Return the latest earlier day that has bars."""
        at = bisect_left(self.days, day)
        return self.days[at - 1] if at else None

    def next(self, day: str) -> str | None:
        """Return the earliest later day that has bars."""
        at = bisect_right(self.days, day)
        return self.days[at] if at < len(self.days) else None

    def has(self, day: str) -> bool:
        """Tell whether the day has bars."""
        at = bisect_left(self.days, day)
        return at < len(self.days) and self.days[at] == day

    def facts(self, day: str) -> TickFacts:
        """Return what decides the bars of a day that has some."""
        mine = self.ticks.get(day)
        if mine is None:
            held = list(self.ticks)
            before = self._group_of[held[bisect_left(held, day) - 1]]
            after = self._group_of[held[bisect_left(held, day)]]
            return self._gap_day(day, self._groups[before] if before == after else None)
        first, running = day == self.days[0], day == self.days[-1]
        at = self._group_of.get(day)
        if at is None:
            facts = TickFacts(mine.record.content_hash, proved=False, first=first, running=running)
            return facts._replace(listed=day in self._listed)
        group = self._groups[at]
        facts = TickFacts(
            mine.record.content_hash,
            first=first,
            running=running,
            missing_before=self._missing_before(at),
            missing_after=at + 1 < len(self._groups) and self.account.missing(group.last, self._groups[at + 1].first),
        )
        return self._among(group, day, facts)

    def _missing_before(self, at: int) -> bool:
        first = self._groups[at].first
        return self.account.missing(self._groups[at - 1].last, first) if at else self.account.missing_below(first)

    def _gap_day(self, day: str, group: _Group | None) -> TickFacts:
        if group is None:
            return TickFacts(None, missing_before=True, missing_after=True)
        return self._among(group, day, TickFacts(None))

    def _among(self, group: _Group, day: str, facts: TickFacts) -> TickFacts:
        return facts._replace(
            voids=tuple(self.account.voids_within(group.first, group.last)),
            resets=tuple(self.account.resets_within(group.first, group.last)),
            interleaved=tuple((d.leaf.day, d.record.content_hash) for d in group.days if d.leaf.day != day),
        )

    def uncertain(self, day: str, facts: TickFacts, ticks: pa.Table) -> Spans:
        """Return where in the day a trade may be missing, or may lie outside what is covered.

        What lies before the first trade that we undertook to hold is neither: nothing is known of it, or asked.

        Parameters
        ----------
        facts : those of the day.
        ticks : its held trades in the order of their ids.
        """
        start, end = day_start(day), day_start(day_after(day))
        times = _column(ticks, "ts_event")
        if facts.listed:
            return Spans.none()
        if not facts.proved:
            return Spans.whole(int(times.min()) if facts.first else start, end)
        spans = self._spans(day, facts, ticks)
        if facts.first:  # nothing is held before the day's earliest trade: its interval may have begun with another
            spans = spans.and_(int(times.min()), int(times.min()))
        return spans.and_(int(times.max()), end - 1) if facts.running else spans

    def _spans(self, day: str, facts: TickFacts, ticks: pa.Table | None) -> Spans:
        start, end = day_start(day), day_start(day_after(day))
        parts = list(self._interleaved(day, facts))
        if ticks is not None:
            parts.append((_column(ticks, "epoch"), _column(ticks, "trade_id"), _column(ticks, "ts_event")))
        if not parts:
            return Spans.whole(start, end)
        epoch, ids, times = (np.concatenate(column) for column in zip(*parts, strict=True))
        if facts.interleaved:
            order = np.lexsort((ids, epoch))
            epoch, ids, times = epoch[order], ids[order], times[order]
        between = self.account.missing_between(epoch, ids) if len(ids) else np.empty(0, np.bool_)
        missing = np.concatenate(([facts.missing_before], between, [facts.missing_after][: len(ids)]))
        return uncertain_spans(times, missing, start_ns=start, end_ns=end)

    def _interleaved(self, day: str, facts: TickFacts) -> Iterator[tuple[Int64, Int64, Int64]]:
        """Yield the keys of the other days of the group, their times cut off at this day's edges."""
        for other, _ in facts.interleaved:
            epoch, ids = self._keys(self.ticks[other].leaf)
            edge = day_start(day) - 1 if other < day else day_start(day_after(day))
            yield epoch, ids, np.full(len(ids), edge, np.int64)


def _column(ticks: pa.Table, name: str) -> Int64:
    column: Int64 = ticks[name].to_numpy().astype(np.int64)
    return column

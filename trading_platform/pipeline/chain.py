"""The published tick leaves of one symbol in a row: which days exist, and what lies between them.

Everything here comes from the ledger's records; tick files are opened only where the ids of two days overlap or a
record does not say them. What follows for a bar is pipeline/uncertain.py.

An id is missing if no published file holds it and the ledger does not say the venue used it up without a trade
(void). That is what the ledger calls open or unrecoverable, and also a trade that is stored but not published
yet: a bar that does not hold it must not call itself complete.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from trading_platform.domain.days import day_after, day_range, day_start
from trading_platform.domain.errors import WorkError
from trading_platform.domain.sequence import Range
from trading_platform.pipeline.uncertain import Bool, Int64, Spans, uncertain_spans
from trading_platform.store import lake
from trading_platform.store.layout import DataDir, Leaf
from trading_platform.store.ledger.rows import LeafRecord, SequenceRow

Key = tuple[int, int]
"""(epoch, trade id): the order of a symbol's trades."""


class Book(Protocol):
    """What of the ledger says which trades exist."""

    def leaves(
        self, dataset: str, venue: str | None = None, symbol: str | None = None, day: str | None = None
    ) -> dict[Leaf, LeafRecord]:
        """Return the published leaves of a dataset."""

    def sequences(self, venue: str | None = None, symbol: str | None = None) -> list[SequenceRow]:
        """Return where each epoch begins and ends."""

    def voids(self, venue: str, symbol: str, epoch: int = 0) -> list[Range]:
        """Return the ids that were used up without a trade."""


class Facts(NamedTuple):
    """All that decides a day's bars besides the trades it holds; part of their input hash.

    Attributes
    ----------
    ticks : content hash of the day's tick leaf, None for a day between two days without a trade of its own.
    proved : whether the trades have ids that prove which ones are missing.
    joined_before, joined_after : whether nothing is missing between the day and the nearest held trade outside it.
    running : whether this is the day of the newest held trade.
    voids : used-up ids between the day's first and last, as (epoch, first, last).
    overlaps : content hashes of the other days whose ids lie between this day's.
    turns : for each epoch that ends within the day: (epoch, its head or None if that is not proved, first id
        to hold of the next).
    """

    ticks: str | None
    proved: bool = True
    joined_before: bool = False
    joined_after: bool = False
    running: bool = False
    voids: tuple[tuple[int, int, int], ...] = ()
    overlaps: tuple[str, ...] = ()
    turns: tuple[tuple[int, int | None, int], ...] = ()

    @property
    def gap(self) -> bool:
        """Tell whether a trade is known to be missing beside or across the day."""
        return self.proved and not (self.joined_before and self.joined_after)


class _Voids:
    """Used-up ids of one epoch, countable within any range."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        pairs = np.array(sorted(ranges), np.int64).reshape(-1, 2)
        self.first, self.last = pairs[:, 0], pairs[:, 1]
        self._before = np.concatenate(([0], np.cumsum(self.last - self.first + 1)))

    def below(self, ids: Int64) -> Int64:
        """Count the used-up ids that are less than each of `ids`."""
        at = np.searchsorted(self.first, ids)
        inside = np.where(at > 0, self.last[np.maximum(at, 1) - 1] - ids + 1, 0) if len(self.first) else 0
        return np.asarray(self._before[at] - np.maximum(inside, 0))

    def within(self, first: int, last: int) -> list[Range]:
        """Return the ranges that lie in [first, last], clipped to it."""
        low, high = np.searchsorted(self.last, first), np.searchsorted(self.first, last, side="right")
        pairs = zip(self.first[low:high].tolist(), self.last[low:high].tolist(), strict=True)
        return [(max(a, first), min(b, last)) for a, b in pairs]


@dataclass
class _Day:
    """One tick leaf: its record and the span of its ids (None: they prove nothing)."""

    leaf: Leaf
    record: LeafRecord
    first: Key | None
    last: Key | None


@dataclass
class Chain:
    """A symbol's days; see `Chain.load`."""

    data: DataDir
    venue: str
    symbol: str
    ticks: dict[str, _Day] = field(default_factory=dict)
    days: list[str] = field(default_factory=list)
    _voids: dict[int, _Voids] = field(default_factory=dict)
    _turns: dict[int, tuple[int, int | None, int]] = field(default_factory=dict)
    _in_order: bool = True

    @classmethod
    def load(cls, data: DataDir, book: Book, venue: str, symbol: str) -> Chain:
        """Read what the ledger knows of a symbol's trades.

        `days` are the days that have bars: those with a tick leaf, and those between two of them with a trade
        missing in between.
        """
        chain = cls(data, venue, symbol)
        sequences = book.sequences(venue, symbol)
        epochs = sorted({row.epoch for row in sequences} | {0})
        chain._voids = {epoch: _Voids(book.voids(venue, symbol, epoch)) for epoch in epochs}
        ordered = sorted(sequences, key=lambda row: row.epoch)
        for ending, beginning in pairwise(ordered):
            head = ending.head if ending.tail == "closed" else None
            chain._turns[ending.epoch] = (ending.epoch, head, beginning.from_id)
        records = book.leaves("ticks", venue, symbol)
        for leaf in sorted(records, key=lambda each: each.day):
            chain.ticks[leaf.day] = chain._day(leaf, records[leaf], only_epoch=epochs[0] if len(epochs) == 1 else None)
        chain._link()
        return chain

    def _day(self, leaf: Leaf, record: LeafRecord, only_epoch: int | None) -> _Day:
        if only_epoch is not None and record.first_id is not None and record.last_id is not None:
            return _Day(leaf, record, (only_epoch, record.first_id), (only_epoch, record.last_id))
        epoch, ids = self._keys(leaf)
        if ids is None or not len(ids):
            return _Day(leaf, record, None, None)
        return _Day(leaf, record, (int(epoch[0]), int(ids[0])), (int(epoch[-1]), int(ids[-1])))

    def _keys(self, leaf: Leaf) -> tuple[Int64, Int64 | None]:
        table = lake.read_leaf(self.data, leaf, ["epoch", "trade_id"])
        if table is None:
            raise WorkError(f"{leaf.path} is recorded but missing; `trading-platform replay` rebuilds it")
        ids = table["trade_id"]
        epoch = table["epoch"].to_numpy().astype(np.int64)
        return epoch, None if ids.null_count else ids.to_numpy()

    def _link(self) -> None:
        held = list(self.ticks.values())
        self._in_order = all(a.last < b.first for a, b in pairwise(held) if a.last is not None and b.first is not None)
        days: list[str] = []
        for before, after in pairwise(held):
            days.append(before.leaf.day)
            first, last = day_after(before.leaf.day), day_after(after.leaf.day, -1)
            if first <= last and self._gap_day_facts(first).gap:
                days.extend(day_range(first, last))
        self.days = [*days, held[-1].leaf.day] if held else []

    @property
    def running_day(self) -> str | None:
        """The day of the newest held trade, None if nothing is held."""
        return self.days[-1] if self.days else None

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

    def facts(self, day: str) -> Facts:
        """Return what decides the bars of a day that has some."""
        mine = self.ticks.get(day)
        if mine is None:
            return self._gap_day_facts(day)
        running = day == self.running_day
        if mine.first is None or mine.last is None:
            return Facts(mine.record.content_hash, proved=False, running=running)
        overlapping = self._overlapping(mine)
        below, above = self._nearest(mine, overlapping)
        return Facts(
            mine.record.content_hash,
            joined_before=below is not None and not self.missing(below, mine.first),
            joined_after=above is not None and not self.missing(mine.last, above),
            running=running,
            voids=tuple(self._voids_within(mine.first, mine.last)),
            overlaps=tuple(other.record.content_hash for other in overlapping),
            turns=tuple(turn for epoch, turn in self._turns.items() if mine.first[0] <= epoch < mine.last[0]),
        )

    def _gap_day_facts(self, day: str) -> Facts:
        last = [each.last for name, each in self.ticks.items() if name < day]
        first = [each.first for name, each in self.ticks.items() if name > day]
        below, above = [k for k in last if k is not None], [k for k in first if k is not None]
        if not below or not above:
            return Facts(None, proved=False)
        low, high = max(below), min(above)
        joined = low >= high or not self.missing(low, high)
        return Facts(None, joined_before=joined, joined_after=joined)

    def uncertain(self, day: str, facts: Facts, ticks: pa.Table) -> Spans:
        """Return where in the day a trade may be missing.

        Parameters
        ----------
        facts : those of the day.
        ticks : its held trades in the order of their ids.
        """
        start, end = day_start(day), day_start(day_after(day))
        if not facts.proved or facts.ticks is None or not ticks.num_rows:
            return Spans.whole(start, end)
        epoch, ids, ts_event = (ticks[name].to_numpy().astype(np.int64) for name in ("epoch", "trade_id", "ts_event"))
        if facts.overlaps:
            epoch, ids, ts_event = self._merged(day, epoch, ids, ts_event)
        missing = np.empty(len(ids) + 1, np.bool_)
        missing[0], missing[-1] = not facts.joined_before, not facts.joined_after
        missing[1:-1] = self._missing_between(epoch, ids)
        return uncertain_spans(ts_event, missing, start_ns=start, end_ns=end)

    def missing(self, low: Key, high: Key) -> bool:
        """Tell whether a trade may be missing between two held ones that nothing held lies between."""
        epoch, ids = np.array([low[0], high[0]]), np.array([low[1], high[1]])
        return bool(self._missing_between(epoch, ids)[0])

    def _missing_between(self, epoch: Int64, ids: Int64) -> Bool:
        between = np.diff(ids) - 1
        for each in np.unique(epoch).tolist():
            at = np.flatnonzero((epoch[:-1] == each) & (epoch[1:] == each) & (between > 0))
            between[at] -= self._void_count(each, ids[at] + 1, ids[at + 1] - 1)
        result = between > 0
        for slot in np.flatnonzero(np.diff(epoch)).tolist():
            result[slot] = self._missing_at_turn((epoch[slot], ids[slot]), (epoch[slot + 1], ids[slot + 1]))
        return result

    def _missing_at_turn(self, low: tuple[np.int64, np.int64], high: tuple[np.int64, np.int64]) -> bool:
        """Tell whether the old epoch was left before its head, or the new one held only from after its first id."""
        _, head, start = self._turns.get(int(low[0]), (0, None, 0))
        if head is None or high[0] != low[0] + 1:
            return True
        first, last = np.array([low[1] + 1, start]), np.array([head, high[1] - 1])
        sizes = np.maximum(last - first + 1, 0)
        counts = [
            self._void_count(int(e), first[i : i + 1], last[i : i + 1])[0] for i, e in ((0, low[0]), (1, high[0]))
        ]
        return bool((sizes > np.array(counts)).any())

    def _void_count(self, epoch: int, first: Int64, last: Int64) -> Int64:
        voids = self._voids.get(epoch, _Voids())
        count: Int64 = np.maximum(voids.below(last + 1) - voids.below(first), 0)
        return count

    def _voids_within(self, first: Key, last: Key) -> Iterator[tuple[int, int, int]]:
        for epoch in range(first[0], last[0] + 1):
            low = first[1] if epoch == first[0] else np.iinfo(np.int64).min
            high = last[1] if epoch == last[0] else np.iinfo(np.int64).max
            for a, b in self._voids.get(epoch, _Voids()).within(low, high):
                yield epoch, a, b

    def _overlapping(self, mine: _Day) -> list[_Day]:
        if self._in_order:
            return []
        others = (other for other in self.ticks.values() if other is not mine and other.first is not None)
        return [other for other in others if other.first < mine.last and mine.first < other.last]  # type: ignore[operator]

    def _nearest(self, mine: _Day, overlapping: list[_Day]) -> tuple[Key | None, Key | None]:
        """Return the nearest held keys below and above a day's own."""
        if self._in_order:
            days = list(self.ticks)
            at = bisect_left(days, mine.leaf.day)
            below = self.ticks[days[at - 1]].last if at else None
            above = self.ticks[days[at + 1]].first if at + 1 < len(days) else None
            return below, above
        keys: list[Key] = []
        for each in self.ticks.values():
            if each in overlapping:
                epoch, ids = self._keys(each.leaf)
                keys += zip(epoch.tolist(), ids.tolist(), strict=True) if ids is not None else ()
            elif each is not mine:
                keys += (key for key in (each.first, each.last) if key is not None)
        first, last = mine.first, mine.last
        assert first is not None
        assert last is not None
        return max((key for key in keys if key < first), default=None), min((k for k in keys if k > last), default=None)

    def _merged(self, day: str, epoch: Int64, ids: Int64, ts: Int64) -> tuple[Int64, Int64, Int64]:
        """Add the trades of other days whose ids lie between this day's, their times cut off at the day's edges."""
        parts = [(epoch, ids, ts)]
        for other in self._overlapping(self.ticks[day]):
            other_epoch, other_ids = self._keys(other.leaf)
            if other_ids is not None:
                edge = day_start(day) - 1 if other.leaf.day < day else day_start(day_after(day))
                parts.append((other_epoch, other_ids, np.full(len(other_ids), edge, np.int64)))
        epoch, ids, ts = (np.concatenate(column) for column in zip(*parts, strict=True))
        low, high = self.ticks[day].first, self.ticks[day].last
        inside = _not_below(epoch, ids, low) & ~_not_below(epoch, ids, high, strictly=True)
        order = np.lexsort((ids[inside], epoch[inside]))
        return epoch[inside][order], ids[inside][order], ts[inside][order]


def _not_below(epoch: Int64, ids: Int64, key: Key | None, *, strictly: bool = False) -> Bool:
    assert key is not None
    answer: Bool = (epoch > key[0]) | ((epoch == key[0]) & ((ids > key[1]) if strictly else (ids >= key[1])))
    return answer

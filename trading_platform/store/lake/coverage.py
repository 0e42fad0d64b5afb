"""Say which stretches of time are proved, open or lost, from the ledger's ids and the times of held trades.

Coverage in event time runs from the first held trade to the head's. Between the latest trade before a missing id
and the earliest after it anything may have happened: that stretch is `open` while the id may still be fetched, and
`lost` once it is unrecoverable. What lies between two numberings of a venue is lost: nothing proves it. Which bars
this makes incomplete is completeness/uncertain_spans.py, by the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trading_platform.completeness.records import DayRow, SequenceRow, SequenceState, TextDay
from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.domain.id_ranges import Range
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake, schema as shapes

Span = tuple[int, int]
"""[from, to) in ns."""

_RANK = {"proved": 0, "open": 1, "lost": 2}


class CoverageLedger(Protocol):
    """What is asked of the ledger."""

    def sequences(self, venue: str | None = None, symbol: str | None = None) -> list[SequenceRow]:
        """Return the id sequences."""

    def state(self, venue: str, symbol: str, epoch: int = 0) -> SequenceState:
        """Return one sequence's ids by kind."""

    def days(self, venue: str, symbol: str) -> list[DayRow]:
        """Return the held ids of each day."""

    def text_days(self, venue: str | None = None, symbol: str | None = None) -> list[TextDay]:
        """Return the days of a symbol whose ids prove nothing, with the venue's listings of them."""


def coverage(
    data: DataDir,
    ledger: CoverageLedger,
    venue: str,
    symbol: str,
    start_ns: int | None = None,
    end_ns: int | None = None,
) -> pa.Table:
    """Return a symbol's stretches in [start, end), ascending, with the columns of `schema.COVERAGE`.

    An open tail reaches to `end_ns`; without one its `ts_to` is null.
    """
    rows: list[tuple[int, int | None, str]] = _listed_days(ledger.text_days(venue, symbol))
    for row in ledger.sequences(venue, symbol):
        found = _sequence(data, ledger, row)
        ended = rows[-1][1] if rows else None
        if found and ended is not None and ended < found[0][0]:
            rows.append((ended, found[0][0], "lost"))
        rows += found
    clipped = [
        (max(first, start_ns or first), _least(last, end_ns), state)
        for first, last, state in sorted(rows, key=lambda r: (r[0], r[1] is None, r[1] or 0))
        if (end_ns is None or first < end_ns) and (start_ns is None or last is None or last > start_ns)
    ]
    return pa.table(
        [pa.array(column, kind) for column, kind in zip(_columns(clipped), shapes.COVERAGE.types, strict=True)],
        schema=shapes.COVERAGE,
    )


def _listed_days(days: Sequence[TextDay]) -> list[tuple[int, int | None, str]]:
    """Return the days of a symbol whose ids prove nothing: a day that equals the venue's listing is proved.

    >>> from trading_platform.completeness.records import ListedDay
    >>> listed = ListedDay("1970-01-01", 3, 0, 9)
    >>> days = [TextDay("v", "BTC-USDT", "1970-01-01", 3, listed), TextDay("v", "BTC-USDT", "1970-01-02", 3, None)]
    >>> [state for _, _, state in _listed_days(days)]
    ['proved', 'open']
    """
    rows: list[tuple[int, int | None, str]] = []
    for day in days:
        start, state = day_start(day.day), "proved" if day.equal else "open"
        if rows and rows[-1][1:] == (start, state):
            rows[-1] = (rows[-1][0], start + DAY_NS, state)
        else:
            rows.append((start, start + DAY_NS, state))
    return rows


def _columns(rows: Sequence[tuple[int, int | None, str]]) -> tuple[list[int], list[int | None], list[str]]:
    return [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]


def _least(last: int | None, end_ns: int | None) -> int | None:
    return min(x for x in (last, end_ns) if x is not None) if (last, end_ns) != (None, None) else None


def _sequence(data: DataDir, ledger: CoverageLedger, row: SequenceRow) -> list[tuple[int, int | None, str]]:
    state = ledger.state(row.venue, row.symbol, row.epoch)
    held = _HeldTrades(data, row, [day for day in ledger.days(row.venue, row.symbol) if day.epoch == row.epoch])
    first, last = held.first(), held.last()
    if first is None or last is None:
        return []
    doubt = [(held.around(gap), "open") for gap in state.open()]
    doubt += [(held.around(gap), "lost") for gap in state.unrecoverable]
    rows: list[tuple[int, int | None, str]] = list(
        _paint((first, last + 1), [(s, w) for s, w in doubt if s is not None])
    )
    if row.tail == "open":
        rows.append((last + 1, None, "open"))
    return rows


def _paint(whole: Span, doubts: Iterable[tuple[Span, str]]) -> list[tuple[int, int, str]]:
    """Cut `whole` into stretches of one state each; where doubts overlap the worse holds.

    >>> _paint((0, 10), [((2, 5), "open"), ((4, 6), "lost")])
    [(0, 2, 'proved'), (2, 4, 'open'), (4, 6, 'lost'), (6, 10, 'proved')]
    """
    clipped = [(max(a, whole[0]), min(b, whole[1]), state) for (a, b), state in doubts]
    clipped = [(a, b, state) for a, b, state in clipped if a < b]
    borders = sorted({*whole, *(x for a, b, _ in clipped for x in (a, b))})
    changes = sorted([(a, 1, s) for a, _, s in clipped] + [(b, -1, s) for _, b, s in clipped])
    counts = {"open": 0, "lost": 0}
    painted: list[tuple[int, int, str]] = []
    at = 0
    for left, right in pairwise(borders):
        while at < len(changes) and changes[at][0] <= left:
            counts[changes[at][2]] += changes[at][1]
            at += 1
        state = max((s for s in counts if counts[s]), key=_RANK.__getitem__, default="proved")
        if painted and painted[-1][2] == state:
            painted[-1] = (painted[-1][0], right, state)
        else:
            painted.append((left, right, state))
    return painted


class _DayTimes(NamedTuple):
    ids: npt.NDArray[np.int64]
    ts: npt.NDArray[np.int64]


class _HeldTrades:
    """The held trades of one sequence; a day's file is read once and only if asked about."""

    def __init__(self, data: DataDir, row: SequenceRow, days: Sequence[DayRow]) -> None:
        self._data = data
        self._row = row
        self._days = days
        self._read: dict[str, _DayTimes] = {}

    def first(self) -> int | None:
        """Return the time of the earliest held trade."""
        return int(self._day(self._days[0]).ts.min()) if self._days else None

    def last(self) -> int | None:
        """Return the time of the latest held trade."""
        return int(self._day(self._days[-1]).ts.max()) if self._days else None

    def around(self, gap: Range) -> Span | None:
        """Return the stretch that a missing range may hide trades in, None if it lies outside coverage."""
        below = next((row for row in reversed(self._days) if row.first_id < gap[0]), None)
        above = next((row for row in self._days if row.last_id > gap[1]), None)
        if below is None or above is None:
            return None
        left, right = self._day(below), self._day(above)
        before = int(left.ts[left.ids < gap[0]].max())
        after = int(right.ts[right.ids > gap[1]].min())
        return min(before, after), max(before, after) + 1

    def _day(self, row: DayRow) -> _DayTimes:
        if row.day not in self._read:
            self._read[row.day] = self._load(row)
        return self._read[row.day]

    def _load(self, row: DayRow) -> _DayTimes:
        leaf = Leaf("ticks", self._row.venue, self._row.symbol, row.day)
        table = lake.read_leaf(self._data, leaf, ["trade_id", "epoch", "ts_event"])
        ids, ts = np.empty(0, np.int64), np.empty(0, np.int64)
        if table is not None:
            mine = table.column("epoch").to_numpy() == row.epoch
            ids = table.column("trade_id").to_numpy()[mine]
            ts = table.column("ts_event").cast(pa.int64()).to_numpy()[mine]
        # What is durable but not published yet: only the day of its first and last id is known.
        begin = day_start(row.day)
        known = [row.first_id, row.last_id]
        extra = [
            (i, t) for i, t in zip(known, (begin, begin + DAY_NS - 1), strict=True) if not len(ids) or i not in ids
        ]
        return _DayTimes(
            np.concatenate([ids, np.array([i for i, _ in extra], np.int64)]),
            np.concatenate([ts, np.array([t for _, t in extra], np.int64)]),
        )

"""Stand-ins for tests: a ledger of leaves in memory, and tables of trades from plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import pyarrow as pa

from trading_platform.completeness.records import Conflict, DayRow, LeafEntry, LeafRecord
from trading_platform.domain.days import day_start
from trading_platform.domain.id_ranges import IdRanges
from trading_platform.domain.verdict import Verdict
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake.schema import TICKS

DAY = "2024-08-08"
NOON = day_start(DAY) + 12 * 3600 * 10**9
"""An instant of `DAY` that is a whole second."""


class Copy(NamedTuple):
    """One copy of a trade, with values a test need not care about filled in."""

    trade_id: int | None
    ts_event: int = NOON
    ts_recv: int = NOON + 10**7
    source: str = "ws"
    price: float = 61000.5
    quantity: float = 0.001
    side: str | None = "buy"
    epoch: int = 0
    trade_uid: str | None = None


def ticks(copies: Iterable[Copy]) -> pa.Table:
    """Return the copies as a table of ticks, in the order given."""
    rows = list(copies)
    return pa.table({f.name: pa.array([getattr(c, f.name) for c in rows], f.type) for f in TICKS}, schema=TICKS)


def copies(table: pa.Table) -> list[Copy]:
    """Return a table's rows as values; the opposite of `ticks`."""
    times = [table.schema.get_field_index(name) for name in ("ts_event", "ts_recv")]
    for at in times:
        table = table.set_column(at, table.schema.field(at).name, table.column(at).cast(pa.int64()))
    return [Copy(**row) for row in table.to_pylist()]


class MemoryLedger:
    """What publishing and reading ask of the ledger, kept in dictionaries.

    Parameters
    ----------
    before : called with the method's name before anything is changed; may raise to play a crash.
    """

    def __init__(self, before: Callable[[str], None] = str) -> None:
        self.before = before
        self.records: dict[Leaf, LeafRecord] = {}
        self.intents: dict[Leaf, LeafRecord] = {}
        self.verdicts: dict[Leaf, Verdict] = {}
        self.disputes: set[Conflict] = set()
        self.used: dict[int, IdRanges] = {}
        self.gaps_of: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self.days_of: dict[tuple[str, str], list[DayRow]] = {}

    def leaf(self, leaf: Leaf) -> LeafRecord | None:
        return self.records.get(leaf)

    def leaves(self, dataset, venue=None, symbol=None, day=None, timeframe=None) -> dict[Leaf, LeafRecord]:
        wanted = {"dataset": dataset, "venue": venue, "symbol": symbol, "day": day, "timeframe": timeframe}
        return {
            leaf: record
            for leaf, record in sorted(self.records.items(), key=lambda item: item[0].path)
            if all(value in (None, getattr(leaf, name)) for name, value in wanted.items())
        }

    def intent(self, leaf: Leaf) -> LeafRecord | None:
        return self.intents.get(leaf)

    def intend(self, leaf: Leaf, new: LeafRecord) -> None:
        self.before("intend")
        self.intents[leaf] = new

    def confirm(self, leaf: Leaf) -> None:
        self.before("confirm")
        if leaf in self.intents:
            self.records[leaf] = self.intents.pop(leaf)

    def abandon(self, leaf: Leaf) -> None:
        self.before("abandon")
        self.intents.pop(leaf, None)

    def forget(self, leaf: Leaf) -> None:
        self.before("forget")
        for book in (self.records, self.intents, self.verdicts):
            book.pop(leaf, None)

    def verdict(self, leaf: Leaf) -> Verdict | None:
        return self.verdicts.get(leaf)

    def entries_of(self, leaves: Sequence[Leaf]) -> dict[Leaf, LeafEntry]:
        return {
            leaf: LeafEntry(self.records.get(leaf), self.intents.get(leaf), self.verdicts.get(leaf)) for leaf in leaves
        }

    def sharing(self, spans) -> dict[Leaf, list[Leaf]]:
        found = {}
        for leaf, mine in spans.items():
            others = [
                other
                for other, record in self.records.items()
                if other[:3] == leaf[:3] and other.day != leaf.day and record.first_id is not None
                if any(record.first_id <= last and first <= record.last_id for first, last in mine)
            ]
            if others:
                found[leaf] = sorted(others)
        return found

    def intend_all(self, records, verdicts) -> None:
        self.before("intend_all")
        self.verdicts |= verdicts
        self.intents |= records

    def confirm_all(self, leaves: Sequence[Leaf]) -> None:
        self.before("confirm_all")
        for leaf in leaves:
            self.records[leaf] = self.intents.pop(leaf)

    def add_conflicts(self, rows: Sequence[Conflict]) -> None:
        self.before("add_conflicts")
        self.disputes.update(rows)

    def used_up(self, venue: str, symbol: str) -> dict[int, IdRanges]:
        return self.used

    def used_up_of(self, pairs) -> dict[tuple[str, str], dict[int, IdRanges]]:
        return dict.fromkeys(pairs, self.used)

    def symbols(self) -> list[tuple[str, str]]:
        return sorted({(leaf.venue, leaf.symbol) for leaf in self.records if leaf.symbol})

    def missing(self, venue: str, symbol: str, epoch: int = 0) -> list[tuple[int, int]]:
        return self.gaps_of.get((venue, symbol), [])

    def days(self, venue: str, symbol: str) -> list[DayRow]:
        return self.days_of.get((venue, symbol), [])

    def close(self) -> None:
        """Nothing to let go of."""

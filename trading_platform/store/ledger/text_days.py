"""Symbols whose ids prove nothing: when their trades were heard, and of which days a listing was taken in.

How a day is judged by that is completeness/text_days.py. The account of ids is projection.py: theirs stays empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from trading_platform.completeness.records import ListedDay, Seen, SequenceKey, TextDay
from trading_platform.domain.days import day_of, day_range
from trading_platform.store.ledger import tables as t
from trading_platform.store.ledger.database import Database, own_insert
from trading_platform.store.ledger.leaves import record_of


class TextDays:
    """The part of the ledger that is about symbols whose ids prove nothing."""

    database: Database

    def text_symbols(self, venue: str | None = None, symbol: str | None = None) -> set[tuple[str, str]]:
        """Return the (venue, symbol) pairs whose ids prove nothing."""
        with self.database.reading() as db:
            return text_symbols(db, venue, symbol)

    def text_days(self, venue: str | None = None, symbol: str | None = None) -> list[TextDay]:
        """Return the days of such symbols from their first one to their last one, by venue, symbol, day."""
        with self.database.reading() as db:
            return text_days(db, venue, symbol)

    def heard(self, venue: str, symbol: str) -> list[tuple[int, int]]:
        """Return from when to when (receive time, ns) connections delivered trades of such a symbol, ascending."""
        c = t.heard.c
        query = sa.select(c.begun_ns, c.until_ns).where(c.venue == venue, c.symbol == symbol)
        with self.database.reading() as db:
            return [(begun, until) for begun, until in db.execute(query.order_by(c.begun_ns))]


def text_symbols(db: sa.Connection, venue: str | None = None, symbol: str | None = None) -> set[tuple[str, str]]:
    """Return the (venue, symbol) pairs whose ids prove nothing."""
    found: set[tuple[str, str]] = set()
    for table in (t.heard, t.listed_days):
        query = _narrow(sa.select(table.c.venue, table.c.symbol).distinct(), table, venue, symbol)
        found.update((row[0], row[1]) for row in db.execute(query))
    return found


def text_days(db: sa.Connection, venue: str | None = None, symbol: str | None = None) -> list[TextDay]:
    """Return the days of symbols whose ids prove nothing, by venue, symbol, day.

    They run from the first one of which there are published trades or a listing to the last one, without a hole: nobody
    can tell of a day between them that nothing was traded on it.

    Raises
    ------
    CorruptionError : if a leaf's record cannot be read.
    """
    pairs = text_symbols(db, venue, symbol)
    if not pairs:
        return []
    c = t.listed_days.c
    query = sa.select(c.venue, c.symbol, c.day, c.trades, c.refused, c.seen_ns)
    rows = db.execute(_narrow(query, t.listed_days, venue, symbol))
    listed = {(row[0], row[1], row[2]): ListedDay(*row[2:]) for row in rows}
    held = {}
    f = t.leaves.c
    leaves = sa.select(f.venue, f.symbol, f.day, f.record).where(f.dataset == "ticks", f.published)
    for name, of, day, record in db.execute(_narrow(leaves, t.leaves, venue, symbol)):
        if (name, of) in pairs:
            held[name, of, day] = record_of(record).rows
    disputed = _disputed(db, pairs, venue, symbol)
    ends: dict[tuple[str, str], tuple[str, str]] = {}
    for name, of, day in {*held, *listed}:
        first, last = ends.get((name, of), (day, day))
        ends[name, of] = min(first, day), max(last, day)
    every = [(*pair, day) for pair, (first, last) in sorted(ends.items()) for day in day_range(first, last)]
    return [TextDay(*key, held.get(key, 0), listed.get(key), disputed[key]) for key in every]


class _Copy(msgspec.Struct):
    """What is read of a conflict's text."""

    ts_event: int
    source: str = ""


def _disputed(
    db: sa.Connection, pairs: set[tuple[str, str]], venue: str | None, symbol: str | None
) -> Counter[tuple[str, str, str]]:
    """Return how many conflicts of such symbols a copy of a listing has part in, by venue, symbol and day."""
    c = t.conflicts.c
    found: Counter[tuple[str, str, str]] = Counter()
    for name, of, *texts in db.execute(
        _narrow(sa.select(c.venue, c.symbol, c.kept, c.other), t.conflicts, venue, symbol)
    ):
        if (name, of) not in pairs:
            continue
        copies = [msgspec.json.decode(text, type=_Copy) for text in texts]
        if any(copy.source == "archive" for copy in copies):
            found.update({(name, of, day_of(copy.ts_event)) for copy in copies})
    return found


def note_text_days(db: sa.Connection, told: Mapping[SequenceKey, Seen]) -> None:
    """Write what a batch tells of such symbols; written again, or in another order, it is the same."""
    heard: list[dict[str, Any]] = []
    listed: list[dict[str, Any]] = []
    for key, seen in told.items():
        named = {"venue": key.venue, "symbol": key.symbol}
        heard += [{**named, "begun_ns": begun, "until_ns": until} for begun, until in seen.heard.items()]
        listed += [{**named, **day._asdict()} for day in seen.listed]
    _keep_latest(db, t.heard, "until_ns", heard)
    _keep_latest(db, t.listed_days, "seen_ns", listed)


def _keep_latest(db: sa.Connection, table: sa.Table, time: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows; of those with one key the latest stays, of equally late ones the greatest."""
    if not rows:
        return
    insert = own_insert(db)(table)
    keys = [column.name for column in table.primary_key]
    values = [column.name for column in table.c if column.name not in keys]
    order = [time, *(name for name in values if name != time)]
    new, old = (sa.tuple_(*(source[name] for name in order)) for source in (insert.excluded, table.c))
    update = insert.on_conflict_do_update(
        index_elements=keys, set_={name: insert.excluded[name] for name in values}, where=new > old
    )
    db.execute(update, [dict(row) for row in rows])


def _narrow(query: sa.Select[Any], table: sa.Table, venue: str | None, symbol: str | None) -> sa.Select[Any]:
    if venue is not None:
        query = query.where(table.c.venue == venue)
    return query if symbol is None else query.where(table.c.symbol == symbol)

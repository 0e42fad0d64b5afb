"""The ids that a record's own type says the venue used up without a trade, and the stored ones that this took back.

REST may serve such an id as an ordinary trade, without the type. Then it counts as stored until the record is decoded;
from then on it is void for ever. What is published meanwhile is noted here in the same transaction, until the publisher
(ingest/processor/publisher.py) has left its row out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from trading_platform.completeness.records import SequenceKey
from trading_platform.domain.days import day_of
from trading_platform.domain.id_ranges import IdRanges
from trading_platform.store.ledger import tables as t
from trading_platform.store.ledger.database import Database, insert_missing

BY_TYPE = "void"
"""The evidence of an id whose own record says that it holds no trade; what listings skip is ``skip``."""
WITHDRAWN = "withdrawn"
"""A stored id that turned out to be void, while a published file may still hold its row; its reason is the day."""
LEFT_OUT = "left out"
"""Such an id once no published file of ticks holds it; what was computed from them may not know yet."""


class Withdrawn(NamedTuple):
    """An id that no longer counts as stored, and the day that it was counted on."""

    venue: str
    symbol: str
    epoch: int
    trade_id: int
    day: str


class VoidBook:
    """The part of the ledger that knows which ids hold no trade by their own records."""

    database: Database

    def used_up(self, venue: str, symbol: str) -> dict[int, IdRanges]:
        """Return by epoch the ids of which a record of their own says that they hold no trade."""
        return self.used_up_of([(venue, symbol)]).get((venue, symbol), {})

    def used_up_of(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], dict[int, IdRanges]]:
        """Return the same by (venue, symbol) of those that have any."""
        wanted = set(pairs)
        e = t.evidence.c
        query = sa.select(e.venue, e.symbol, e.epoch, e.first_id, e.last_id).where(e.kind == BY_TYPE)
        of_pairs = [e.venue.in_(sorted({v for v, _ in wanted})), e.symbol.in_(sorted({s for _, s in wanted}))]
        found: dict[tuple[str, str], dict[int, IdRanges]] = {}
        with self.database.reading() as db:
            for venue, symbol, epoch, first, last in db.execute(query.where(*of_pairs).order_by(e.epoch, e.first_id)):
                if (venue, symbol) in wanted:
                    found.setdefault((venue, symbol), {}).setdefault(epoch, IdRanges()).add(first, last)
        return found

    def withdrawn(self, venue: str | None = None, symbol: str | None = None) -> list[Withdrawn]:
        """Return the ids that published files may hold although they are void."""
        e = t.evidence.c
        query = sa.select(e.venue, e.symbol, e.epoch, e.first_id, e.reason).where(e.kind == WITHDRAWN)
        for column, value in ((e.venue, venue), (e.symbol, symbol)):
            if value is not None:
                query = query.where(column == value)
        with self.database.reading() as db:
            return sorted(Withdrawn(*row) for row in db.execute(query))

    def left_out(self, ids: Sequence[Withdrawn]) -> None:
        """Take note that no published file holds these any more."""
        e = t.evidence.c
        with self.database.writing() as db:
            for one in ids:
                of_id = (e.venue == one.venue, e.symbol == one.symbol, e.epoch == one.epoch, e.first_id == one.trade_id)
                db.execute(t.evidence.update().where(e.kind == WITHDRAWN, *of_id).values(kind=LEFT_OUT))

    def taken_back(self, venue: str, symbol: str, day: str) -> int:
        """Return how many ids no longer count that were once stored on a day."""
        e = t.evidence.c
        of_day = (e.venue == venue, e.symbol == symbol, e.kind.in_((WITHDRAWN, LEFT_OUT)), e.reason == day)
        with self.database.reading() as db:
            return db.execute(sa.select(sa.func.count()).where(*of_day)).scalar() or 0


def notes(db: sa.Connection) -> list[dict[str, Any]]:
    """Return what is noted of ids that once were stored."""
    found = db.execute(sa.select(t.evidence).where(t.evidence.c.kind.in_((WITHDRAWN, LEFT_OUT))))
    return [dict(row._mapping) for row in found]


def withdraw(
    db: sa.Connection, key: SequenceKey, ids: IdRanges, stored: IdRanges, time_of: Callable[[int], int | None]
) -> None:
    """Take ids out of the days that they were counted on, and note that files may hold them.

    Parameters
    ----------
    stored : what is left.
    time_of : when an id was used, if the batch tells; decides where the ids of two days overlap.
    """
    c = t.coverage.c
    of_key = (c.venue == key.venue, c.symbol == key.symbol, c.epoch == key.epoch)
    query = sa.select(c.day, c.first_id, c.last_id, c.stored).where(*of_key, c.stored > 0).order_by(c.day)
    days = {row[0]: list(row[1:]) for row in db.execute(query)}
    noted, changed = [], set()
    for number in (number for first, last in ids for number in range(first, last + 1)):
        at = time_of(number)
        told = None if at is None else day_of(at)
        about = [day for day, (first, last, count) in days.items() if count and first <= number <= last]
        day = told if told is not None and told in about else next(iter(about), "")
        noted.append({**key._asdict(), "kind": WITHDRAWN, "first_id": number, "last_id": number} | _note(day))
        if day:
            days[day][2] -= 1
            changed.add(day)
    for day in sorted(changed):
        first, last, count = days[day]
        rest = list(stored.within(first, last)) or [(first, last)]
        values = {"first_id": rest[0][0], "last_id": rest[-1][1], "stored": count}
        db.execute(t.coverage.update().where(*of_key, c.day == day).values(**values))
    insert_missing(db, t.evidence, noted)


def _note(day: str) -> dict[str, object]:
    return {"reason": day, "seen_ns": 0}

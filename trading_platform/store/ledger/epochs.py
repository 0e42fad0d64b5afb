"""The epoch resets of each symbol: where its ids started again. What proves one is completeness/sequence_reset.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from trading_platform.completeness.records import Batch, EpochReset, Reach, SequenceKey
from trading_platform.store.ledger import tables as t
from trading_platform.store.ledger.database import Database, insert_missing

_COLUMNS = [t.epoch_resets.c[name] for name in EpochReset._fields]


class EpochBook:
    """The part of the ledger that tells one numbering from another."""

    database: Database

    def resets(self, venue: str, symbol: str) -> list[EpochReset]:
        """Return where a symbol's ids started again, ascending: the first entry is where epoch 1 begins."""
        with self.database.reading() as db:
            return resets_of(db, venue, symbol)

    def all_resets(self) -> dict[tuple[str, str], list[EpochReset]]:
        """Return the same of every (venue, symbol) that has any."""
        c = t.epoch_resets.c
        found: dict[tuple[str, str], list[EpochReset]] = {}
        with self.database.reading() as db:
            for venue, symbol, *reset in db.execute(sa.select(c.venue, c.symbol, *_COLUMNS).order_by(c.epoch)):
                found.setdefault((venue, symbol), []).append(EpochReset(*reset))
        return found

    def reach(self, venue: str, symbol: str, epoch: int = 0) -> Reach | None:
        """Return how far what is held of a sequence reaches, None if nothing is.

        Not where its account begins and ends: ids used up, lost or only witnessed have no times to compare with.
        """
        c = t.coverage.c
        least, most = sa.func.min, sa.func.max
        query = sa.select(least(c.first_id), most(c.last_id), least(c.first_ts), most(c.last_ts)).where(
            c.venue == venue, c.symbol == symbol, c.epoch == epoch, c.stored > 0
        )
        with self.database.reading() as db:
            held = db.execute(query).one()
        return None if held[0] is None else Reach(*held)

    def times_around(self, key: SequenceKey, first: int, last: int) -> tuple[int | None, int | None]:
        """Return trade times (ns) before and after some ids, as the days that hold others tell; None: none does."""
        c = t.coverage.c
        held = (c.venue == key.venue, c.symbol == key.symbol, c.epoch == key.epoch, c.stored > 0)
        columns = (c.first_id, c.last_id, c.first_ts, c.last_ts)
        before = sa.select(*columns).where(*held, c.first_id < first).order_by(c.first_id.desc()).limit(1)
        after = sa.select(*columns).where(*held, c.last_id > last).order_by(c.last_id).limit(1)
        with self.database.reading() as db:
            low, high = db.execute(before).first(), db.execute(after).first()
        after_ns = None if low is None else low[3] if low[1] < first else low[2]
        before_ns = None if high is None else high[2] if high[0] > last else high[3]
        return after_ns, before_ns

    def holds(self, venue: str, symbol: str, epoch: int, trade_id: int) -> bool:
        """Tell whether a trade is stored."""
        r = t.ranges.c
        of_symbol = (r.venue == venue, r.symbol == symbol, r.epoch == epoch, r.kind == "stored")
        found = sa.select(r.first_id).where(*of_symbol, r.first_id <= trade_id, r.last_id >= trade_id)
        with self.database.reading() as db:
            return db.execute(found).first() is not None


def resets_of(db: sa.Connection, venue: str, symbol: str) -> list[EpochReset]:
    """Return a symbol's epoch resets, ascending."""
    c = t.epoch_resets.c
    query = sa.select(*_COLUMNS).where(c.venue == venue, c.symbol == symbol).order_by(c.epoch)
    return [EpochReset(*row) for row in db.execute(query)]


def note_resets(db: sa.Connection, resets: Mapping[SequenceKey, EpochReset]) -> None:
    """Keep epoch resets; one that is known stays as it is."""
    insert_missing(db, t.epoch_resets, [{**key._asdict(), **reset._asdict()} for key, reset in resets.items()])


def ended_at(db: sa.Connection, keys: Iterable[SequenceKey]) -> dict[SequenceKey, int]:
    """Return those of the sequences that have ended because another numbering began, and when that was known."""
    wanted = set(keys)
    c = t.epoch_resets.c
    query = sa.select(c.venue, c.symbol, c.epoch, c.known_ns).where(c.venue.in_({key.venue for key in wanted}))
    ended = {SequenceKey(venue, symbol, epoch - 1): known_ns for venue, symbol, epoch, known_ns in db.execute(query)}
    return {key: known_ns for key, known_ns in ended.items() if key in wanted}


def readmit(db: sa.Connection, batch: Batch) -> None:
    """Take records out of quarantine that count after all."""
    c = t.quarantine.c
    for position, item in batch.readmitted:
        at = sa.and_(c.lane == batch.lane, c.segment == position.segment, c.record_offset == position.offset)
        db.execute(t.quarantine.delete().where(at, c.item == item))

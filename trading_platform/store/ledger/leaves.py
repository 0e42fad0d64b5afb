"""What is published: a record, a verdict, an intent and a seal for every leaf of the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from trading_platform.completeness.records import Conflict, LeafEntry, LeafRecord
from trading_platform.domain.verdict import Failure, Verdict
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.ledger import tables as t
from trading_platform.store.ledger.database import Database, damage_named, insert_missing, own_insert, plain_rows

_C = t.leaves.c
_LEAF = (_C.dataset, _C.venue, _C.symbol, _C.day, _C.timeframe, _C.model)


class LeafBook:
    """The part of the ledger that describes published files."""

    database: Database

    def leaf(self, leaf: Leaf) -> LeafRecord | None:
        """Return what is published there, None if nothing is."""
        row = self._one(leaf, _C.record, _C.published)
        return None if row is None or not row[1] else _record(row[0])

    def intent(self, leaf: Leaf) -> LeafRecord | None:
        """Return what was about to be published when its writer stopped, None if nothing was."""
        row = self._one(leaf, _C.intent)
        return None if row is None or row[0] is None else _record(row[0])

    def leaves(
        self,
        dataset: str,
        venue: str | None = None,
        symbol: str | None = None,
        day: str | None = None,
        timeframe: str | None = None,
    ) -> dict[Leaf, LeafRecord]:
        """Return the published leaves of a dataset with their records, ordered by path."""
        query = sa.select(*_LEAF, _C.record).where(_C.dataset == dataset, _C.published)
        wanted = {"venue": venue, "symbol": symbol, "day": day, "timeframe": timeframe}
        for name, value in wanted.items():
            if value is not None:
                query = query.where(_C[name] == value)
        with self.database.reading() as db:
            rows = db.execute(query.order_by(_C.path)).all()
        return {Leaf(*leaf): _record(record) for *leaf, record in rows}

    def published(self, dataset: str) -> list[Leaf]:
        """Return the published leaves of a dataset, ordered by path, without what is known of them."""
        query = sa.select(*_LEAF).where(_C.dataset == dataset, _C.published).order_by(_C.path)
        with self.database.reading() as db:
            return [Leaf(*row) for row in db.execute(query)]

    def entries(self, dataset: str, venue: str, symbol: str, day: str) -> dict[Leaf, LeafEntry]:
        """Return everything known of a symbol-day's leaves, those that were never published included."""
        query = sa.select(*_LEAF, _C.record, _C.intent, _C.verdict, _C.published).where(
            _C.dataset == dataset, _C.venue == venue, _C.symbol == symbol, _C.day == day
        )
        with self.database.reading() as db:
            rows = db.execute(query.order_by(_C.path)).all()
        return {
            Leaf(*leaf): LeafEntry(
                _record(record) if published else None,
                None if intent is None else _record(intent),
                None if verdict is None else _verdict(verdict),
            )
            for *leaf, record, intent, verdict, published in rows
        }

    def intend_all(self, records: Mapping[Leaf, LeafRecord], verdicts: Mapping[Leaf, Verdict]) -> None:
        """Keep verdicts, and write down what is about to be renamed into place, in one transaction."""
        with self.database.writing() as db:
            _put_all(db, "verdict", {leaf: _failures(verdict) for leaf, verdict in verdicts.items()})
            _put_all(db, "intent", {leaf: _text(record) for leaf, record in records.items()})

    def confirm_all(self, leaves: Sequence[Leaf]) -> None:
        """Make the intents the published records, in one transaction."""
        paths = [str(leaf.path) for leaf in leaves]
        with self.database.writing() as db:
            values = {"record": _C.intent, "published": True, "intent": None}
            db.execute(t.leaves.update().where(_C.path.in_(paths), _C.intent.is_not(None)).values(**values))

    def intend(self, leaf: Leaf, new: LeafRecord) -> None:
        """Write down what is about to be renamed into place."""
        self._set(leaf, intent=_text(new))

    def confirm(self, leaf: Leaf) -> None:
        """Make the intent the published record."""
        with self.database.writing() as db:
            values = {"record": _C.intent, "published": True, "intent": None}
            db.execute(t.leaves.update().where(_C.path == str(leaf.path), _C.intent.is_not(None)).values(**values))

    def abandon(self, leaf: Leaf) -> None:
        """Drop the intent: the file it spoke of never came to be."""
        self._set(leaf, intent=None)

    def forget(self, leaf: Leaf) -> None:
        """Drop everything about a leaf that is no more."""
        with self.database.writing() as db:
            db.execute(t.leaves.delete().where(_C.path == str(leaf.path)))

    def save_verdict(self, leaf: Leaf, verdict: Verdict) -> None:
        """Keep a gate's last answer."""
        self._set(leaf, verdict=_failures(verdict))

    def verdict(self, leaf: Leaf) -> Verdict | None:
        """Return a gate's last answer, None if it was never asked."""
        row = self._one(leaf, _C.verdict)
        if row is None or row[0] is None:
            return None
        return _verdict(row[0])

    def seal(self, leaf: Leaf) -> None:
        """Say that the day is over and this content its last word; a later change of content breaks the seal."""
        record = self.leaf(leaf)
        if record is not None:
            self._set(leaf, sealed=record.content_hash)

    def sealed(self, leaf: Leaf) -> bool:
        """Tell whether the leaf was sealed and has not changed since."""
        row = self._one(leaf, _C.sealed, _C.record)
        return row is not None and row[0] is not None and row[1] is not None and _record(row[1]).content_hash == row[0]

    def sealed_days(self, dataset: str) -> set[tuple[str, str, str]]:
        """Return the (venue, symbol, day) of every leaf of a dataset that was sealed and has not changed since."""
        query = sa.select(_C.venue, _C.symbol, _C.day, _C.record, _C.sealed).where(
            _C.dataset == dataset, _C.published, _C.sealed.is_not(None)
        )
        with self.database.reading() as db:
            rows = plain_rows(db, query)
        # A record is read whole only where a quick look does not find the hash in it.
        return {
            (venue, symbol, day)
            for venue, symbol, day, record, sealed in rows
            if f'"content_hash":"{sealed}"' in record or _record(record).content_hash == sealed
        }

    def add_conflicts(self, rows: Sequence[Conflict]) -> None:
        """Keep copies that differ; the same conflict told twice is one."""
        names = [column.name for column in t.conflicts.primary_key]
        with self.database.writing() as db:
            insert_missing(db, t.conflicts, [{name: getattr(row, name) for name in names} for row in rows])

    def conflicts(self, venue: str | None = None, symbol: str | None = None) -> list[Conflict]:
        """Return the copies that differ, ordered by id."""
        c = t.conflicts.c
        query = sa.select(*(c[name] for name in Conflict._fields)).order_by(c.venue, c.symbol, c.epoch, c.trade_id)
        if venue is not None:
            query = query.where(c.venue == venue)
        if symbol is not None:
            query = query.where(c.symbol == symbol)
        with self.database.reading() as db:
            return [Conflict(*row) for row in db.execute(query)]

    def _one(self, leaf: Leaf, *columns: sa.Column[Any]) -> sa.Row[*tuple[Any, ...]] | None:
        with self.database.reading() as db:
            return db.execute(sa.select(*columns).where(_C.path == str(leaf.path))).one_or_none()

    def _set(self, leaf: Leaf, **values: object) -> None:
        with self.database.writing() as db:
            _put(db, leaf, values)


def _put(db: sa.Connection, leaf: Leaf, values: Mapping[str, object]) -> None:
    path = str(leaf.path)
    if not db.execute(t.leaves.update().where(_C.path == path).values(**values)).rowcount:
        db.execute(t.leaves.insert().values(path=path, published=False, **leaf._asdict(), **values))


def _put_all(db: sa.Connection, column: str, values: Mapping[Leaf, str]) -> None:
    """Write one column of many leaves with one statement."""
    insert = own_insert(db)
    query = insert(t.leaves)
    update = query.on_conflict_do_update(index_elements=[_C.path], set_={column: query.excluded[column]})
    rows = [
        {"path": str(leaf.path), "published": False, **leaf._asdict(), column: value} for leaf, value in values.items()
    ]
    if rows:
        db.execute(update, rows)


def _failures(verdict: Verdict) -> str:
    return msgspec.json.encode(verdict.failures).decode()


def _verdict(text: str) -> Verdict:
    with damage_named("a verdict"):
        return Verdict(msgspec.json.decode(text, type=tuple[Failure, ...]))


def _text(record: LeafRecord) -> str:
    return msgspec.json.encode(record._asdict()).decode()


def _record(text: str) -> LeafRecord:
    with damage_named("a leaf's record"):
        return LeafRecord(**msgspec.json.decode(text))

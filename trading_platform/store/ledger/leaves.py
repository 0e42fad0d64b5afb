"""What is published: a record, a verdict, an intent and a seal for every leaf of the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import sqlalchemy as sa

from trading_platform.completeness.day_status import ordinals_of
from trading_platform.completeness.id_spans import Int64
from trading_platform.completeness.records import Conflict, LeafEntry, LeafRecord
from trading_platform.domain.id_ranges import Range
from trading_platform.domain.verdict import Failure, Verdict
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.ledger import tables as t
from trading_platform.store.ledger.database import Database, damage_named, insert_missing, own_insert, plain_rows

_C = t.leaves.c
_LEAF = (_C.dataset, _C.venue, _C.symbol, _C.day, _C.timeframe, _C.model)


class SealedDays(NamedTuple):
    """Sealed days of many symbols, in no order, as columns.

    Attributes
    ----------
    pairs : the (venue, symbol) that `pair` counts.
    ordinal : the day as Python counts them.
    """

    pairs: list[tuple[str, str]]
    pair: Int64
    ordinal: Int64


class LeafBook:
    """The part of the ledger that describes published files."""

    database: Database

    def leaf(self, leaf: Leaf) -> LeafRecord | None:
        """Return what is published there, None if nothing is."""
        row = self._one(leaf, _C.record, _C.published)
        return None if row is None or not row[1] else record_of(row[0])

    def intent(self, leaf: Leaf) -> LeafRecord | None:
        """Return what was about to be published when its writer stopped, None if nothing was."""
        row = self._one(leaf, _C.intent)
        return None if row is None or row[0] is None else record_of(row[0])

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
        return {Leaf(*leaf): record_of(record) for *leaf, record in rows}

    def published(self, dataset: str) -> list[Leaf]:
        """Return the published leaves of a dataset, ordered by path, without what is known of them."""
        query = sa.select(*_LEAF).where(_C.dataset == dataset, _C.published).order_by(_C.path)
        with self.database.reading() as db:
            return [Leaf(*row) for row in db.execute(query)]

    def entries(self, dataset: str, venue: str, symbol: str, day: str) -> dict[Leaf, LeafEntry]:
        """Return everything known of a symbol-day's leaves, those that were never published included."""
        return self._entries(_C.dataset == dataset, _C.venue == venue, _C.symbol == symbol, _C.day == day)

    def entries_of(self, leaves: Sequence[Leaf]) -> dict[Leaf, LeafEntry]:
        """Return everything known of these leaves, nothing of those that the ledger has no row of."""
        return self._entries(_C.path.in_([str(leaf.path) for leaf in leaves]))

    def _entries(self, *wanted: sa.ColumnElement[bool]) -> dict[Leaf, LeafEntry]:
        query = sa.select(*_LEAF, _C.record, _C.intent, _C.verdict, _C.published).where(*wanted)
        with self.database.reading() as db:
            rows = db.execute(query.order_by(_C.path)).all()
        return {
            Leaf(*leaf): LeafEntry(
                record_of(record) if published else None,
                None if intent is None else record_of(intent),
                None if verdict is None else _verdict(verdict),
            )
            for *leaf, record, intent, verdict, published in rows
        }

    def sharing(self, spans: Mapping[Leaf, Sequence[Range]]) -> dict[Leaf, list[Leaf]]:
        """Return the other days whose published ids overlap a leaf's spans of ids, of the leaves that have such.

        Whether they hold one of these ids, only their files tell.
        """
        found: dict[Leaf, list[Leaf]] = {}
        of_leaf = [_C[name] == sa.bindparam(f"of_{name}") for name in ("dataset", "venue", "symbol")]
        overlaps = (_C.last_id >= sa.bindparam("first"), _C.first_id <= sa.bindparam("last"))
        query = sa.select(*_LEAF).where(*of_leaf, *overlaps, _C.published, _C.day != sa.bindparam("of_day"))
        with self.database.reading() as db:
            for leaf, mine in spans.items():
                of = {f"of_{name}": getattr(leaf, name) for name in ("dataset", "venue", "symbol", "day")}
                others = {
                    Leaf(*row)
                    for first, last in mine
                    for row in db.execute(query, {**of, "first": first, "last": last})
                }
                if others:
                    found[leaf] = sorted(others)
        return found

    def intend_all(self, records: Mapping[Leaf, LeafRecord], verdicts: Mapping[Leaf, Verdict]) -> None:
        """Keep verdicts, and write down what is about to be renamed into place, in one transaction."""
        with self.database.writing() as db:
            _put_all(db, "verdict", {leaf: _failures(verdict) for leaf, verdict in verdicts.items()})
            _put_all(db, "intent", {leaf: _text(record) for leaf, record in records.items()})

    def confirm_all(self, leaves: Sequence[Leaf]) -> None:
        """Make the intents the published records, in one transaction."""
        with self.database.writing() as db:
            _confirm(db, [str(leaf.path) for leaf in leaves])

    def intend(self, leaf: Leaf, new: LeafRecord) -> None:
        """Write down what is about to be renamed into place."""
        self._set(leaf, intent=_text(new))

    def confirm(self, leaf: Leaf) -> None:
        """Make the intent the published record."""
        self.confirm_all([leaf])

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

    def refused(self, days: Sequence[str]) -> list[Leaf]:
        """Return the leaves of these days whose gate last refused a file, ordered by path."""
        query = sa.select(*_LEAF, _C.verdict).where(_C.day.in_(days), _C.verdict.is_not(None)).order_by(_C.path)
        with self.database.reading() as db:
            rows = db.execute(query).all()
        return [Leaf(*leaf) for *leaf, verdict in rows if not _verdict(verdict).passed]

    def seal(self, leaf: Leaf) -> None:
        """Say that the day is over and this content its last word; a later change of content breaks the seal."""
        with self.database.writing() as db:
            of_leaf = _C.path == str(leaf.path)
            record = db.execute(sa.select(_C.record).where(of_leaf, _C.published)).scalar()
            if record is not None:
                values = {"sealed": record_of(record).content_hash, "seal_holds": True}
                db.execute(t.leaves.update().where(of_leaf).values(**values))

    def sealed(self, leaf: Leaf) -> bool:
        """Tell whether the leaf was sealed and has not changed since."""
        row = self._one(leaf, _C.seal_holds)
        return row is not None and bool(row[0])

    def sealed_days(self, dataset: str) -> SealedDays:
        """Return the days whose leaf was sealed and has not changed since.

        The database joins a symbol's days to one text: 365,000 rows, one by one, take four times as long.
        """
        query = sa.select(_C.venue, _C.symbol, sa.func.aggregate_strings(_C.day, " ")).where(
            _C.dataset == dataset, _C.seal_holds
        )
        with self.database.reading() as db:
            rows = plain_rows(db, query.group_by(_C.venue, _C.symbol))
        texts = [row[2] for row in rows]
        pair = np.repeat(np.arange(len(rows)), [(len(text) + 1) // len("2024-01-01 ") for text in texts])
        with damage_named("a leaf's day"):
            return SealedDays([(row[0], row[1]) for row in rows], pair, ordinals_of(" ".join(texts)))

    def leaves_amiss(self) -> list[tuple[str, str]]:
        """Return the path of each leaf whose row contradicts itself, and how."""
        query = sa.select(_C.path, *_LEAF, _C.record, _C.first_id, _C.last_id, _C.sealed, _C.seal_holds)
        with self.database.reading() as db:
            rows = plain_rows(db, query.where(_C.published))
        found = []
        for path, *leaf, text, first, last, sealed, holds in rows:
            record = record_of(text)
            if str(Leaf(*leaf).path) != path:
                found.append((path, "the ledger's row of this path names another leaf"))
            if (first, last) != _ends(record):
                found.append((path, "the ledger's row says of the ids what its record does not"))
            if bool(holds) != (sealed is not None and record.content_hash == sealed):
                found.append((path, "the ledger's row says of the seal what its hash does not"))
        return found

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
        db.execute(t.leaves.insert().values(**_new(leaf), **values))


def _put_all(db: sa.Connection, column: str, values: Mapping[Leaf, str]) -> None:
    """Write one column of many leaves with one statement."""
    insert = own_insert(db)
    query = insert(t.leaves)
    update = query.on_conflict_do_update(index_elements=[_C.path], set_={column: query.excluded[column]})
    rows = [{**_new(leaf), column: value} for leaf, value in values.items()]
    if rows:
        db.execute(update, rows)


def _new(leaf: Leaf) -> dict[str, object]:
    """Return the row of a leaf of which nothing is known yet."""
    return {"path": str(leaf.path), "published": False, "seal_holds": False, **leaf._asdict()}


def _confirm(db: sa.Connection, paths: Sequence[str]) -> None:
    intended = sa.and_(_C.path.in_(paths), _C.intent.is_not(None))
    now = []
    for path, intent, sealed in db.execute(sa.select(_C.path, _C.intent, _C.sealed).where(intended)).all():
        record = record_of(intent)
        first, last = _ends(record)
        values = {"record": intent, "first_id": first, "last_id": last}
        now.append({"of_path": path, **values, "seal_holds": sealed is not None and sealed == record.content_hash})
    if now:
        values = {"published": True, "intent": None}
        names = ("record", "first_id", "last_id", "seal_holds")
        query = t.leaves.update().where(_C.path == sa.bindparam("of_path"))
        db.execute(query.values(**values, **{name: sa.bindparam(name) for name in names}), now)


def _ends(record: LeafRecord) -> tuple[int | None, int | None]:
    """Return the least and the greatest id; older code told the first and the last, where ids may start again."""
    if record.first_id is None or record.last_id is None:
        return None, None
    return min(record.first_id, record.last_id), max(record.first_id, record.last_id)


def _failures(verdict: Verdict) -> str:
    return msgspec.json.encode(verdict.failures).decode()


def _verdict(text: str) -> Verdict:
    with damage_named("a verdict"):
        return Verdict(msgspec.json.decode(text, type=tuple[Failure, ...]))


def _text(record: LeafRecord) -> str:
    return msgspec.json.encode(record._asdict()).decode()


def record_of(text: str) -> LeafRecord:
    """Return what is known of a leaf, of its text in the table. Raises CorruptionError."""
    with damage_named("a leaf's record"):
        return LeafRecord(**msgspec.json.decode(text))

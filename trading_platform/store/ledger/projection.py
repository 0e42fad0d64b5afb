"""Write what a decoded batch tells, in one idempotent transaction, and read sequences back.

The rules of the account are handed in (ingest/gap_detector.py); here is only how it is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from trading_platform.domain.days import DAY_NS, day_of
from trading_platform.domain.instrument import Instrument
from trading_platform.domain.position import START, Position
from trading_platform.domain.sequence import IdRanges, Range
from trading_platform.store.ledger import tables as t
from trading_platform.store.ledger.database import Database, insert_missing
from trading_platform.store.ledger.gaps import reconcile
from trading_platform.store.ledger.rows import (
    Batch,
    Claim,
    DayRow,
    Quarantined,
    Seen,
    SequenceKey,
    SequenceRow,
    SequenceState,
)

Advance = Callable[[SequenceState, Seen], npt.NDArray[np.bool_]]

_KINDS = ("stored", "void", "unrecoverable")
_REBUILT = (t.sequences, t.ranges, t.evidence, t.coverage, t.quarantine, t.instruments, t.bans, t.lanes)
"""Tables that a replay of the log rebuilds row by row."""


class Projection:
    """The part of the ledger that is a projection of the log."""

    database: Database

    def apply(self, batch: Batch, advance: Advance) -> dict[SequenceKey, int]:
        """Write one decoded batch; return how many trades it added to each sequence.

        Writing a batch again, whole or cut differently, changes nothing.
        """
        added = {}
        with self.database.writing() as db:
            for key, seen in batch.seen.items():
                added[key] = _apply_sequence(db, key, seen, advance)
            insert_missing(db, t.quarantine, [_quarantine_row(batch.lane, item) for item in batch.quarantine])
            for key in {
                SequenceKey(q.venue, q.symbol) for q in batch.quarantine if q.symbol and q.trade_id is not None
            }:
                _refuse(db, key, advance)
            for instrument in batch.instruments:
                _upsert(
                    db, t.instruments, {"venue": instrument.venue, "symbol": instrument.symbol}, _payload(instrument)
                )
            for venue, until_ns in batch.bans.items():
                _upsert(db, t.bans, {"venue": venue}, {"until_ns": until_ns})
            _mark_decoded(db, batch)
        return added

    def state(self, venue: str, symbol: str, epoch: int = 0) -> SequenceState:
        """Return the whole account of one sequence (empty if unknown)."""
        with self.database.reading() as db:
            return _load(db, SequenceKey(venue, symbol, epoch))

    def sequences(self, venue: str | None = None, symbol: str | None = None) -> list[SequenceRow]:
        """Return every known sequence, ordered by venue, symbol, epoch."""
        c = t.sequences.c
        query = sa.select(c.venue, c.symbol, c.epoch, c.from_id, c.head, c.tail).order_by(c.venue, c.symbol, c.epoch)
        with self.database.reading() as db:
            return [SequenceRow(*row) for row in db.execute(_narrow(query, t.sequences, venue, symbol))]

    def symbols(self) -> list[tuple[str, str]]:
        """Return the (venue, symbol) pairs that hold anything."""
        return sorted({(row.venue, row.symbol) for row in self.sequences()})

    def missing(self, venue: str, symbol: str, epoch: int = 0) -> list[Range]:
        """Return the ids that are open or unrecoverable, as ascending maximal ranges."""
        state = self.state(venue, symbol, epoch)
        lost = state.unrecoverable.copy()
        for first, last in state.open():
            lost.add(first, last)
        return list(lost)

    def voids(self, venue: str, symbol: str, epoch: int = 0) -> list[Range]:
        """Return the ids used up without a trade, as ascending maximal ranges."""
        return list(self.state(venue, symbol, epoch).void)

    def days(self, venue: str, symbol: str) -> list[DayRow]:
        """Return the days that hold stored trades, ascending."""
        c = t.coverage.c
        query = sa.select(c.day, c.epoch, c.first_id, c.last_id, c.stored).order_by(c.day, c.epoch)
        with self.database.reading() as db:
            return [DayRow(*row) for row in db.execute(_narrow(query, t.coverage, venue, symbol))]

    def instruments(self, venue: str) -> list[Instrument]:
        """Return the venue's instruments as last listed."""
        query = sa.select(t.instruments.c.payload).where(t.instruments.c.venue == venue)
        with self.database.reading() as db:
            return sorted(msgspec.json.decode(payload, type=Instrument) for (payload,) in db.execute(query))

    def ban_until(self, venue: str) -> int:
        """Return until when (ns) the venue may not be asked, 0 if it may."""
        with self.database.reading() as db:
            return db.execute(sa.select(t.bans.c.until_ns).where(t.bans.c.venue == venue)).scalar() or 0

    def quarantined(
        self, venue: str | None = None, symbol: str | None = None
    ) -> dict[tuple[str, str | None, str], int]:
        """Count quarantined records by (venue, symbol, kind)."""
        c = t.quarantine.c
        query = sa.select(c.venue, c.symbol, c.kind, sa.func.count()).group_by(c.venue, c.symbol, c.kind)
        with self.database.reading() as db:
            found = db.execute(_narrow(query, t.quarantine, venue, symbol))
            return {(row[0], row[1], row[2]): row[3] for row in found}

    def lane(self, lane: str) -> tuple[Position, Position, str]:
        """Return (decoded, staged, context) of a lane: through where it is in the ledger, and in staging."""
        c = t.lanes.c
        query = sa.select(c.decoded_segment, c.decoded_offset, c.staged_segment, c.staged_offset, c.context)
        with self.database.reading() as db:
            row = db.execute(query.where(c.lane == lane)).one_or_none()
        return (START, START, "") if row is None else (Position(row[0], row[1]), Position(row[2], row[3]), row[4])

    def lane_positions(self) -> dict[str, tuple[Position, Position]]:
        """Return (decoded, staged) of every lane."""
        c = t.lanes.c
        columns = (c.lane, c.decoded_segment, c.decoded_offset, c.staged_segment, c.staged_offset)
        with self.database.reading() as db:
            return {
                row[0]: (Position(row[1], row[2]), Position(row[3], row[4])) for row in db.execute(sa.select(*columns))
            }

    def adopt(self, rebuilt: Projection) -> None:
        """Put the account of ids that `rebuilt` holds in the place of ours, in one transaction.

        Gaps keep their numbers as far as they are still missing.
        """
        copies = {}
        with rebuilt.database.reading() as source:
            for table in _REBUILT:
                copies[table] = [dict(row._mapping) for row in source.execute(sa.select(table))]
        keys = [SequenceKey(row["venue"], row["symbol"], row["epoch"]) for row in copies[t.sequences]]
        with self.database.writing() as db:
            for table, rows in copies.items():
                db.execute(table.delete())
                if rows:
                    db.execute(table.insert(), rows)
            for key in keys:
                reconcile(db, key, _load(db, key), lambda number: None)

    def mark_staged(self, lane: str, staged: Position, context: str) -> None:
        """Record that everything of the lane before `staged` lies in staging or the lake."""
        values = {"staged_segment": staged.segment, "staged_offset": staged.offset, "context": context}
        with self.database.writing() as db:
            db.execute(t.lanes.update().where(t.lanes.c.lane == lane).values(**values))


def _narrow(query: sa.Select[Any], table: sa.Table, venue: str | None, symbol: str | None) -> sa.Select[Any]:
    if venue is not None:
        query = query.where(table.c.venue == venue)
    if symbol is not None:
        query = query.where(table.c.symbol == symbol)
    return query


def _payload(instrument: Instrument) -> dict[str, str]:
    return {"payload": msgspec.json.encode(instrument).decode()}


def _where(table: sa.Table, key: SequenceKey) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.venue == key.venue, table.c.symbol == key.symbol, table.c.epoch == key.epoch)


def _load(db: sa.Connection, key: SequenceKey) -> SequenceState:
    state = SequenceState()
    c = t.sequences.c
    row = db.execute(sa.select(c.from_id, c.head, c.head_ts, c.tail, c.tail_ts).where(_where(t.sequences, key))).first()
    if row is not None:
        state.from_id, state.head, state.head_ts, state.tail, state.tail_ts = row
    r = t.ranges.c
    found = db.execute(sa.select(r.kind, r.first_id, r.last_id).where(_where(t.ranges, key)).order_by(r.first_id))
    for kind, first, last in found:
        getattr(state, kind).add(first, last)
    e = t.evidence.c
    skips = sa.select(e.first_id, e.last_id, e.reason, e.seen_ns).where(_where(t.evidence, key), e.kind == "skip")
    state.skips = [Claim(*skip) for skip in db.execute(skips)]
    return state


def _apply_sequence(db: sa.Connection, key: SequenceKey, seen: Seen, advance: Advance) -> int:
    state = _load(db, key)
    if state.from_id is None and not len(seen.ids) and not seen.voids and seen.undertaken is None:
        return 0  # nothing is known of this symbol yet, so nothing can be said of its tail
    before = {kind: getattr(state, kind).copy() for kind in _KINDS}
    skips, head, head_ts = list(state.skips), state.head, state.head_ts
    fresh = advance(state, seen)
    for kind in _KINDS:
        _save_ranges(db, key, kind, before[kind], getattr(state, kind))
    _upsert(
        db,
        t.sequences,
        key._asdict(),
        {
            "from_id": state.from_id,
            "head": state.head,
            "head_ts": state.head_ts,
            "tail": state.tail,
            "tail_ts": state.tail_ts,
        },
    )
    _save_evidence(db, key, seen, [skip for skip in state.skips if skip not in skips])
    _save_days(db, key, seen, fresh)
    reconcile(db, key, state, _neighbours(seen, head, head_ts))
    return int(fresh.sum())


def _save_ranges(db: sa.Connection, key: SequenceKey, kind: str, before: IdRanges, after: IdRanges) -> None:
    old, new = dict(before), dict(after)
    gone = [first for first in old if first not in new]
    if gone:
        where = sa.and_(_where(t.ranges, key), t.ranges.c.kind == kind, t.ranges.c.first_id == sa.bindparam("gone"))
        db.execute(t.ranges.delete().where(where), [{"gone": first} for first in gone])
    added = [{"first_id": first, "last_id": last} for first, last in new.items() if first not in old]
    if added:
        db.execute(t.ranges.insert(), [{**key._asdict(), "kind": kind, **row} for row in added])
    grown = [{"at": first, "to": last} for first, last in new.items() if first in old and old[first] != last]
    if grown:
        where = sa.and_(_where(t.ranges, key), t.ranges.c.kind == kind, t.ranges.c.first_id == sa.bindparam("at"))
        db.execute(t.ranges.update().where(where).values(last_id=sa.bindparam("to")), grown)


def _save_evidence(db: sa.Connection, key: SequenceKey, seen: Seen, skips: list[Claim]) -> None:
    claims = (
        [("void", c) for c in seen.voids] + [("unrecoverable", c) for c in seen.lost] + [("skip", c) for c in skips]
    )
    insert_missing(db, t.evidence, [{**key._asdict(), "kind": kind, **claim._asdict()} for kind, claim in claims])


def _save_days(db: sa.Connection, key: SequenceKey, seen: Seen, fresh: npt.NDArray[np.bool_]) -> None:
    ids, ts = seen.ids[fresh], seen.ts[fresh]
    days = ts // DAY_NS
    c = t.coverage.c
    for number in np.unique(days):
        mine = days == number
        day = day_of(int(number) * DAY_NS)
        first, last = int(ids[mine].min()), int(ids[mine].max())
        first_ts, last_ts, count = int(ts[mine].min()), int(ts[mine].max()), int(mine.sum())
        row = db.execute(
            sa.select(c.first_id, c.last_id, c.stored, c.first_ts, c.last_ts).where(
                _where(t.coverage, key), c.day == day
            )
        ).first()
        if row is not None:
            first, last, count = min(first, row[0]), max(last, row[1]), count + row[2]
            first_ts, last_ts = min(first_ts, row[3]), max(last_ts, row[4])
        values = {"first_id": first, "last_id": last, "stored": count, "first_ts": first_ts, "last_ts": last_ts}
        _upsert(db, t.coverage, {**key._asdict(), "day": day}, values)


def _neighbours(seen: Seen, head: int, head_ts: int) -> Callable[[int], int | None]:
    """Return a function from an id to its trade time, where the batch or the old head knows it."""

    def ts_of(number: int) -> int | None:
        at = int(np.searchsorted(seen.ids, number))
        if at < len(seen.ids) and seen.ids[at] == number:
            return int(seen.ts[at])
        return head_ts if number == head else None

    return ts_of


def _quarantine_row(lane: str, item: Quarantined) -> dict[str, object]:
    row: dict[str, object] = item._asdict()
    del row["position"]
    return {**row, "lane": lane, "segment": item.position.segment, "record_offset": item.position.offset}


def _refuse(db: sa.Connection, key: SequenceKey, advance: Advance) -> None:
    """Close ids whose copy over REST was refused too: nothing better will come (both raw copies are kept)."""
    c = t.quarantine.c
    query = sa.select(c.trade_id, sa.func.max(c.ts_recv)).where(
        c.venue == key.venue, c.symbol == key.symbol, c.source != "ws", c.trade_id.is_not(None)
    )
    state = _load(db, key)
    still_open = IdRanges(state.open())
    lost = [
        Claim(number, number, "refused", seen_ns)
        for number, seen_ns in db.execute(query.group_by(c.trade_id))
        if number in still_open
    ]
    if lost:
        _apply_sequence(db, key, Seen(lost=lost), advance)


def _mark_decoded(db: sa.Connection, batch: Batch) -> None:
    c = t.lanes.c
    row = db.execute(sa.select(c.decoded_segment, c.decoded_offset).where(c.lane == batch.lane)).first()
    if row is None:
        db.execute(
            t.lanes.insert().values(
                lane=batch.lane,
                decoded_segment=batch.end.segment,
                decoded_offset=batch.end.offset,
                staged_segment=batch.start.segment,
                staged_offset=batch.start.offset,
                context="",
            )
        )
    elif Position(*row) < batch.end:
        values = {"decoded_segment": batch.end.segment, "decoded_offset": batch.end.offset}
        db.execute(t.lanes.update().where(c.lane == batch.lane).values(**values))


def _upsert(db: sa.Connection, table: sa.Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    where = sa.and_(*(table.c[name] == value for name, value in key.items()))
    if not db.execute(table.update().where(where).values(**values)).rowcount:
        db.execute(table.insert().values(**key, **values))

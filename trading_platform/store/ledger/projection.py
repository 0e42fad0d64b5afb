"""Write what a decoded batch tells, in one idempotent transaction, and read sequences back.

The rules of the account are handed in (completeness/gap_detector.py); here is only how it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from trading_platform.completeness.records import (
    Batch,
    Claim,
    DayRow,
    Quarantined,
    Seen,
    SequenceKey,
    SequenceRow,
    SequenceState,
)
from trading_platform.domain.days import DAY_NS, day_of
from trading_platform.domain.id_ranges import IdRanges, Range
from trading_platform.domain.instrument import Instrument
from trading_platform.domain.position import START, Position
from trading_platform.store.ledger import tables as t
from trading_platform.store.ledger.changes import TAIL, Changes, bound, of_bound, of_keys
from trading_platform.store.ledger.database import Database, damage_named, insert_missing
from trading_platform.store.ledger.epochs import EpochBook, ended_at, note_resets, readmit, resets_of
from trading_platform.store.ledger.gaps import reconcile, workable
from trading_platform.store.ledger.kept_days import KeptDays, Outdated, goes_on
from trading_platform.store.ledger.sinks import STAGING, SinkBook, adopt_staging, begin_staging, lane_row, positions
from trading_platform.store.ledger.text_days import TextDays, note_text_days, text_days
from trading_platform.store.ledger.voids import BY_TYPE, VoidBook, notes, withdraw

Advance = Callable[[SequenceState, Seen], npt.NDArray[np.bool_]]

_KINDS = ("stored", "void", "unrecoverable")
_CLAIMS = ("skip", "skip last", "unserved", "unserved last")
"""Of each range the earliest claim and, if there is another, the latest."""
_REBUILT = (
    *(t.sequences, t.epoch_resets, t.ranges, t.evidence, t.coverage, t.quarantine, t.instruments, t.bans, t.lanes),
    *(t.heard, t.listed_days),
)
"""Tables that a replay of the log rebuilds row by row."""


class Projection(EpochBook, VoidBook, KeptDays, SinkBook, TextDays):
    """The part of the ledger that is a projection of the log."""

    database: Database

    def apply(self, batch: Batch, advance: Advance) -> dict[SequenceKey, int]:
        """Write one decoded batch; return how many trades it added to each sequence.

        Writing a batch again, whole or cut differently, changes nothing.
        """
        with self.database.writing() as db:
            note_resets(db, batch.resets)
            added = _apply(db, batch.seen, advance)
            note_text_days(db, batch.seen)
            insert_missing(db, t.quarantine, [_quarantine_row(batch.lane, item) for item in batch.quarantine])
            fetched = (q for q in batch.quarantine if q.symbol and q.trade_id is not None and q.source != "ws")
            for pair in {(q.venue, str(q.symbol)) for q in fetched}:
                _refuse(db, *pair, advance)
            readmit(db, batch)
            if batch.instruments:
                _list(db, batch)
            for venue, until_ns in batch.bans.items():
                _upsert(db, t.bans, {"venue": venue}, {"until_ns": until_ns})
            _mark_decoded(db, batch)
        return added

    def settle_refused(self, advance: Advance) -> None:
        """Close what was refused, for who applied batches in another order than they came: copies may follow ids."""
        c = t.quarantine.c
        query = sa.select(c.venue, c.symbol).where(c.source != "ws", c.trade_id.is_not(None), c.symbol.is_not(None))
        with self.database.writing() as db:
            for venue, symbol in db.execute(query.distinct()).all():
                _refuse(db, venue, symbol, advance)

    def state(self, venue: str, symbol: str, epoch: int = 0) -> SequenceState:
        """Return the whole account of one sequence (empty if unknown)."""
        key = SequenceKey(venue, symbol, epoch)
        with self.database.reading() as db:
            return _load(db, [key])[key]

    def sequences(self, venue: str | None = None, symbol: str | None = None) -> list[SequenceRow]:
        """Return every known sequence, ordered by venue, symbol, epoch."""
        c = t.sequences.c
        columns = (c.venue, c.symbol, c.epoch, c.from_id, c.head, c.tail, c.tail_ts)
        query = sa.select(*columns).order_by(c.venue, c.symbol, c.epoch)
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
        r = t.ranges.c
        of_symbol = (r.venue == venue, r.symbol == symbol, r.epoch == epoch, r.kind == "void")
        with self.database.reading() as db:
            found = db.execute(sa.select(r.first_id, r.last_id).where(*of_symbol))
            return list(IdRanges((first, last) for first, last in found))

    def days(self, venue: str, symbol: str) -> list[DayRow]:
        """Return the days that hold stored trades, ascending."""
        c = t.coverage.c
        query = sa.select(c.day, c.epoch, c.first_id, c.last_id, c.stored).order_by(c.day, c.epoch)
        with self.database.reading() as db:
            return [DayRow(*row) for row in db.execute(_narrow(query.where(c.stored > 0), t.coverage, venue, symbol))]

    def stored_by_symbol(self) -> dict[tuple[str, str], int]:
        """Return how many trades of each (venue, symbol) are stored, ordered by both."""
        c = t.coverage.c
        query = sa.select(c.venue, c.symbol, sa.func.sum(c.stored)).group_by(c.venue, c.symbol)
        with self.database.reading() as db:
            found = {(venue, symbol): int(count) for venue, symbol, count in db.execute(query)}
        return {pair: found.get(pair, 0) for pair in self.symbols()}

    def holds_day(self, day: str) -> bool:
        """Tell whether any trade of a day is stored, of a symbol that has begun."""
        c, s = t.coverage.c, t.sequences.c
        same = sa.and_(s.venue == c.venue, s.symbol == c.symbol)
        query = sa.select(c.day).where(c.day == day, c.stored > 0, sa.exists().where(same))
        with self.database.reading() as db:
            return db.execute(query.limit(1)).first() is not None

    def trades_on(self, day: str) -> int:
        """Return how many trades of a day are stored; of symbols whose ids prove nothing, how many are published."""
        c = t.coverage.c
        with self.database.reading() as db:
            counted = db.execute(sa.select(sa.func.sum(c.stored)).where(c.day == day)).scalar() or 0
            return int(counted) + sum(listed.held for listed in text_days(db) if listed.day == day)

    def instruments(self, venue: str) -> list[Instrument]:
        """Return the venue's instruments as last listed."""
        query = sa.select(t.instruments.c.payload).where(t.instruments.c.venue == venue)
        with self.database.reading() as db:
            rows = [payload for (payload,) in db.execute(query)]
        with damage_named("an instrument"):
            return sorted(_listed(payload).instrument for payload in rows)

    def ban_until(self, venue: str) -> int:
        """Return until when (ns) the venue may not be asked, 0 if it may."""
        with self.database.reading() as db:
            return db.execute(sa.select(t.bans.c.until_ns).where(t.bans.c.venue == venue)).scalar() or 0

    def quarantined(
        self, venue: str | None = None, symbol: str | None = None, *, received: tuple[int, int] | None = None
    ) -> dict[tuple[str, str | None, str], int]:
        """Count quarantined records by (venue, symbol, kind), those received in [from, to) ns only if that is given."""
        c = t.quarantine.c
        query = sa.select(c.venue, c.symbol, c.kind, sa.func.count()).group_by(c.venue, c.symbol, c.kind)
        if received is not None:
            query = query.where(c.ts_recv >= received[0], c.ts_recv < received[1])
        with self.database.reading() as db:
            found = db.execute(_narrow(query, t.quarantine, venue, symbol))
            return {(row[0], row[1], row[2]): row[3] for row in found}

    def lane(self, lane: str) -> tuple[Position, Position, str]:
        """Return (decoded, staged, context) of a lane: through where it is in the ledger, and in staging."""
        c = t.lanes.c
        query = sa.select(c.decoded_segment, c.decoded_offset)
        with self.database.reading() as db:
            row = db.execute(query.where(c.lane == lane)).one_or_none()
        return (START if row is None else Position(*row), *self.sink(lane, STAGING))

    def lane_positions(self) -> dict[str, tuple[Position, Position]]:
        """Return (decoded, staged) of every lane."""
        with self.database.reading() as db:
            return {row[0]: (Position(*row[1:3]), Position(*row[3:5])) for row in db.execute(positions())}

    def adopt(self, rebuilt: Projection) -> None:
        """Put the account of ids that `rebuilt` holds in the place of ours, in one transaction.

        Gaps keep their numbers as far as they are still missing.
        """
        copies = {}
        with rebuilt.database.reading() as source:
            for table in _REBUILT:
                copies[table] = [dict(row._mapping) for row in source.execute(sa.select(table))]
            staged = [dict(row._mapping) for row in source.execute(sa.select(t.sinks))]
        keys = [SequenceKey(row["venue"], row["symbol"], row["epoch"]) for row in copies[t.sequences]]
        with self.database.writing() as db:
            withdrawn = _withdrawn(db, keys, rebuilt)
            for table, rows in copies.items():
                db.execute(table.delete())
                if rows:
                    db.execute(table.insert(), rows)
            adopt_staging(db, staged)
            insert_missing(db, t.evidence, withdrawn)
            db.execute(t.kept_days.delete())
            for key, state in _load(db, keys).items():
                reconcile(db, key, state, lambda number: None)


def _withdrawn(db: sa.Connection, keys: Sequence[SequenceKey], rebuilt: Projection) -> list[dict[str, Any]]:
    """Return what files may hold that is void in the account to come: as known so far, and what is stored so far."""
    for key, state in _load(db, keys).items():
        void = state.stored.common(rebuilt.used_up(key.venue, key.symbol).get(key.epoch, IdRanges()))
        if void:
            withdraw(db, key, void, state.stored, lambda number: None)
    return notes(db)


def _narrow(query: sa.Select[Any], table: sa.Table, venue: str | None, symbol: str | None) -> sa.Select[Any]:
    if venue is not None:
        query = query.where(table.c.venue == venue)
    if symbol is not None:
        query = query.where(table.c.symbol == symbol)
    return query


class _Listed(msgspec.Struct, frozen=True, array_like=True, tag="listed"):
    """An instrument, and which answer of the venue told it: the newest counts, whatever order lanes are read in."""

    ts_recv: int
    lane: str
    instrument: Instrument


def _listed(payload: str) -> _Listed:
    try:
        return msgspec.json.decode(payload, type=_Listed)
    except msgspec.ValidationError:  # a row of older code: any answer is newer
        return _Listed(0, "", msgspec.json.decode(payload, type=Instrument))


def _list(db: sa.Connection, batch: Batch) -> None:
    c = t.instruments.c
    venues = {instrument.venue for instrument in batch.instruments}
    with damage_named("an instrument"):
        rows = db.execute(sa.select(c.venue, c.symbol, c.payload).where(c.venue.in_(venues)))
        held = {(venue, symbol): _listed(payload) for venue, symbol, payload in rows}
    times = batch.listed_ns or [0] * len(batch.instruments)
    for instrument, ts_recv in zip(batch.instruments, times, strict=True):
        told, key = _Listed(ts_recv, batch.lane, instrument), (instrument.venue, instrument.symbol)
        known = held.get(key)
        if known is None or (told.ts_recv, told.lane) >= (known.ts_recv, known.lane):
            held[key] = told
            named = {"venue": instrument.venue, "symbol": instrument.symbol}
            _upsert(db, t.instruments, named, {"payload": msgspec.json.encode(told).decode()})


def _load(db: sa.Connection, keys: Sequence[SequenceKey]) -> dict[SequenceKey, SequenceState]:
    """Return the account of each sequence, an empty one for what is not known.

    All at once: asking for one after the other costs a batch of fifty symbols half a second.

    Raises
    ------
    CorruptionError : if a row cannot be part of an account.
    """
    with damage_named("the account of ids"):
        return _loaded(db, keys)


def _loaded(db: sa.Connection, keys: Sequence[SequenceKey]) -> dict[SequenceKey, SequenceState]:
    states = {key: SequenceState() for key in keys}
    c = t.sequences.c
    query = sa.select(c.venue, c.symbol, c.epoch, c.from_id, c.head, c.head_ts, c.tail, c.tail_ts)
    for row in db.execute(query.where(of_keys(t.sequences, keys))):
        state = states[SequenceKey(*row[:3])]
        state.from_id, state.head, state.head_ts, state.tail, state.tail_ts = row[3:]
    r = t.ranges.c
    found = sa.select(r.venue, r.symbol, r.epoch, r.kind, r.first_id, r.last_id).where(of_keys(t.ranges, keys))
    for venue, symbol, epoch, kind, first, last in db.execute(found.order_by(r.first_id)):
        getattr(states[SequenceKey(venue, symbol, epoch)], kind).add(first, last)
    e = t.evidence.c
    claims = sa.select(e.venue, e.symbol, e.epoch, e.kind, e.first_id, e.last_id, e.reason, e.seen_ns)
    claims = claims.where(of_keys(t.evidence, keys), e.kind.in_((*_CLAIMS, TAIL, BY_TYPE)))
    for venue, symbol, epoch, kind, *claim in db.execute(claims.order_by(e.first_id, e.last_id, e.seen_ns)):
        state = states[SequenceKey(venue, symbol, epoch)]
        if kind == BY_TYPE:
            state.used_up.add(claim[0], claim[1])
            continue
        if kind == TAIL:
            state.head, _, state.tail, state.tail_ts = claim
            continue
        (state.skips if kind.startswith("skip") else state.unserved).append(Claim(*claim))
    return states


def _apply(db: sa.Connection, told: Mapping[SequenceKey, Seen], advance: Advance) -> dict[SequenceKey, int]:
    """Advance every sequence by what was told of it; return how many trades were new."""
    keys = list(told)
    states, gaps = _load(db, keys), workable(db, of_keys(t.gaps, keys))
    ended = ended_at(db, keys)
    added = dict.fromkeys(keys, 0)
    changes, outdated, fresh_of, changed, taken = Changes(), Outdated(), {}, [], {}
    for key, seen in told.items():
        state = states[key]
        begun = state.from_id
        known = begun is not None
        before = {kind: getattr(state, kind).copy() for kind in _KINDS}
        claims, head, head_ts = (list(state.skips), list(state.unserved)), state.head, state.head_ts
        fresh_of[key] = fresh = advance(state, seen)
        added[key] = int(fresh.sum())
        if key in ended:
            state.tail, state.tail_ts = "closed", ended[key]
        if not goes_on(begun, head, before, state, added[key]):
            outdated.keys.add(key)
        for kind in _KINDS:
            changes.add_ranges(key, kind, before[kind], getattr(state, kind))
        taken[key] = before["stored"].common(state.used_up), state
        if not known:
            changes.add_tail(key, state, head)
        changes.evidence += _evidence(key, seen)
        changes.promises += [{**key._asdict(), "kind": "promise", **claim._asdict()} for claim in seen.promises]
        changes.add_claims(key, "skip", claims[0], state.skips)
        changes.add_claims(key, "unserved", claims[1], state.unserved)
        if state.from_id is None:
            continue  # lanes have no order: what begins this sequence may be told later
        changes.add_sequence(key, state, known=known)
        changed.append((key, state, _neighbours(seen, head, head_ts), [*seen.lost, *state.unserved]))
    changes.write(db)
    for key, (ids, state) in taken.items():
        if ids:
            outdated.keys.add(key)
            withdraw(db, key, ids, state.stored, told[key].void_times.get)
    _save_days(db, told, fresh_of, states, outdated)
    outdated.write(db)
    for key, state, ts_of, why in changed:
        reconcile(db, key, state, ts_of, gaps.get(key, []), why)
    return added


def _evidence(key: SequenceKey, seen: Seen) -> list[dict[str, Any]]:
    claims = [(BY_TYPE, c) for c in seen.voids] + [("unrecoverable", c) for c in seen.lost]
    return [{**key._asdict(), "kind": kind, **claim._asdict()} for kind, claim in claims]


def _save_days(
    db: sa.Connection,
    told: Mapping[SequenceKey, Seen],
    fresh_of: Mapping[SequenceKey, npt.NDArray[np.bool_]],
    states: Mapping[SequenceKey, SequenceState],
    outdated: Outdated,
) -> None:
    """Add the new ids to the days they were traded on.

    What was served for an id without a trade is not counted. Its time is kept all the same, as that of one that was
    counted before the void was known: so times do not depend on what came first.
    """
    spans: dict[tuple[SequenceKey, str], dict[str, int]] = {}
    for key, fresh in fresh_of.items():
        seen = told[key]
        for day, mine in _by_day(seen, fresh | states[key].used_up.among(seen.ids)):
            own = seen.ids[mine & fresh] if bool((mine & fresh).any()) else seen.ids[mine]
            spans[key, day] = {
                "first_id": int(own.min()),
                "last_id": int(own.max()),
                "stored": int((mine & fresh).sum()),
                "first_ts": int(seen.ts[mine].min()),
                "last_ts": int(seen.ts[mine].max()),
            }
    c = t.coverage.c
    query = sa.select(c.venue, c.symbol, c.epoch, c.day, c.first_id, c.last_id, c.stored, c.first_ts, c.last_ts)
    wanted = of_keys(t.coverage, list({key for key, _ in spans}))
    grown = []
    for row in db.execute(query.where(wanted, c.day.in_({day for _, day in spans}))):
        key, day = SequenceKey(*row[:3]), row[3]
        new = spans.pop((key, day), None)
        if new is not None:
            # A day without a stored id has no first and no last one.
            counted = [ends for ends in ((row[4], row[5], row[6]), tuple(new.values())[:3]) if ends[2]] or [row[4:7]]
            values = {
                "first_id": min(ends[0] for ends in counted),
                "last_id": max(ends[1] for ends in counted),
                "stored": new["stored"] + row[6],
                "first_ts": min(new["first_ts"], row[7]),
                "last_ts": max(new["last_ts"], row[8]),
            }
            grown.append({**bound(key), "of_day": day, **values})
            outdated.day_grew(key, day, row[4:7], tuple(values.values())[:3], states[key].void)
    if grown:
        db.execute(t.coverage.update().where(of_bound(t.coverage), c.day == sa.bindparam("of_day")), grown)
    outdated.keys.update(key for key, _ in spans)
    if spans:
        db.execute(t.coverage.insert(), [{**key._asdict(), "day": day, **new} for (key, day), new in spans.items()])


def _by_day(seen: Seen, wanted: npt.NDArray[np.bool_]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Yield each day that wanted ids were traded on, and which of the ids these are."""
    days = seen.ts // DAY_NS
    for number in np.unique(days[wanted]):
        yield day_of(int(number) * DAY_NS), wanted & (days == number)


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


def _refuse(db: sa.Connection, venue: str, symbol: str, advance: Advance) -> None:
    """Close ids of which two copies were refused, one of them over REST: nothing better will come; both are kept."""
    resets = [None, *resets_of(db, venue, symbol)]
    for epoch, reset in enumerate(resets):
        # Nothing that came before a numbering was known can be about one of its ids.
        _refuse_of(db, SequenceKey(venue, symbol, epoch), 0 if reset is None else reset.known_ns, advance)


def _refuse_of(db: sa.Connection, key: SequenceKey, since_ns: int, advance: Advance) -> None:
    c = t.quarantine.c
    of_symbol = (
        c.venue == key.venue,
        c.symbol == key.symbol,
        c.trade_id.is_not(None),
        c.kind.not_in(("precision", "numbering")),  # the one is stored, the other may be an id of any numbering
        c.ts_recv >= since_ns,
    )
    query = sa.select(c.trade_id, sa.func.max(c.ts_recv)).where(*of_symbol, c.source != "ws").group_by(c.trade_id)
    still_open = IdRanges(_load(db, [key])[key].open())
    fetched = {number: seen_ns for number, seen_ns in db.execute(query) if number in still_open}
    copies: dict[int, set[tuple[str, int, int]]] = {}
    ids = sorted(fetched)
    for some in (ids[at : at + 500] for at in range(0, len(ids), 500)):
        found = sa.select(c.trade_id, c.lane, c.segment, c.record_offset).where(*of_symbol, c.trade_id.in_(some))
        for number, lane, segment, offset in db.execute(found):
            copies.setdefault(number, set()).add((lane, segment, offset))
    lost = [Claim(number, number, "refused", fetched[number]) for number in sorted(copies) if len(copies[number]) > 1]
    if lost:
        _apply(db, {key: Seen(lost=lost)}, advance)


def _mark_decoded(db: sa.Connection, batch: Batch) -> None:
    c = t.lanes.c
    row = db.execute(sa.select(c.decoded_segment, c.decoded_offset).where(c.lane == batch.lane)).first()
    if row is None:
        db.execute(t.lanes.insert().values(**lane_row(batch.lane, batch.end)))
        begin_staging(db, batch.lane, batch.start)
    elif Position(*row) < batch.end:
        db.execute(t.lanes.update().where(c.lane == batch.lane).values(**lane_row(batch.lane, batch.end)))


def _upsert(db: sa.Connection, table: sa.Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    where = sa.and_(*(table.c[name] == value for name, value in key.items()))
    if not db.execute(table.update().where(where).values(**values)).rowcount:
        db.execute(table.insert().values(**key, **values))

"""Keep ready what follows for each day from the account of ids, so that a year of a thousand symbols is told at once.

A sequence has a row here only while it is true. Whatever changes its account takes the row out in the same transaction
(`Outdated`); who next reads a long account puts it back (`KeptDays.keep`), for deriving a year costs more than a batch
of trades may take. Trades that go on at the head of the newest day leave the row: that day's last id and count are read
from its coverage. What is kept is completeness/day_facts.py: nothing in it depends on a clock or on the tail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa

from trading_platform.completeness.day_facts import DayFacts, day_facts
from trading_platform.completeness.day_status import day_names
from trading_platform.completeness.records import SequenceKey, SequenceRow, SequenceState
from trading_platform.domain.errors import LedgerUnavailable, StorageError
from trading_platform.domain.id_ranges import IdRanges
from trading_platform.store.ledger import tables as t
from trading_platform.store.ledger.changes import bound, of_bound
from trading_platform.store.ledger.database import Database, damage_named, plain_rows
from trading_platform.store.ledger.snapshot import Snapshot

LEAST = 5_000
"""Days and ranges without a row here that make it worth writing: a reader derives fewer by the way."""
_AT_ONCE = 20_000
"""The same in one transaction, which nobody should wait for."""
_PATIENCE_MS = 100
_NAMED = 500
"""Sequences that one statement names."""
_OF_SEQUENCE = sa.and_(*(t.kept_days.c[name] == t.sequences.c[name] for name in SequenceKey._fields))


class Accounts(NamedTuple):
    """What `status` tells: totals by sequence, and the facts of their days."""

    stored: list[int]
    void: list[int]
    open: list[int]
    open_gaps: list[int]
    unrecoverable: list[int]
    facts: DayFacts


class Outdated:
    """Sequences whose rows are not true any more, collected over a batch."""

    def __init__(self) -> None:
        self.keys: set[SequenceKey] = set()
        self._grown: list[dict[str, Any]] = []

    def day_grew(self, key: SequenceKey, day: str, old: Sequence[int], new: Sequence[int], void: IdRanges) -> None:
        """Take note of a day's (first id, last id, stored); a row bears that its newest day grows at the end."""
        if tuple(old) == tuple(new):
            return
        if not old[2] or old[0] != new[0] or any(void.within(old[1] + 1, new[1])):
            self.keys.add(key)
        else:
            self._grown.append({**bound(key), "of_day": day})

    def write(self, db: sa.Connection) -> None:
        """Take the rows out."""
        k = t.kept_days
        if self.keys:
            db.execute(k.delete().where(of_bound(k)), [bound(key) for key in sorted(self.keys)])
        if self._grown:
            db.execute(k.delete().where(of_bound(k), k.c.newest != sa.bindparam("of_day")), self._grown)


def goes_on(begun: int | None, head: int, before: Mapping[str, IdRanges], now: SequenceState, added: int) -> bool:
    """Tell whether all that happened to a sequence are `added` trades that follow its head without a gap.

    Parameters
    ----------
    begun, head, before : its first id, its head, and its ids by kind, before that.
    """
    if begun is None or begun != now.from_id or added != now.head - head:
        return False
    if before["void"] != now.void or before["unrecoverable"] != now.unrecoverable:
        return False
    return not added or list(now.stored.within(head + 1, now.head)) == [(head + 1, now.head)]


class KeptDays:
    """The part of the ledger that keeps days ready."""

    database: Database

    def keep_days(self, least: int = LEAST) -> int:
        """Put back the rows of sequences that lack one, if it is worth it; return of how many.

        A database that is busy, full or not to be written is left alone: readers derive what is not kept.
        """
        with self.database.reading() as db:
            sizes = _lacking(db)
        if sum(sizes.values()) < least:
            return 0
        kept = 0
        with suppress(LedgerUnavailable, StorageError):  # a full disk is one, too
            for keys in _portions(sizes):
                with self.database.writing(patience_ms=_PATIENCE_MS) as db:
                    rows = list(_derived(db, keys))
                    k = t.kept_days
                    db.execute(k.delete().where(of_bound(k)), [bound(key) for key in keys])
                    db.execute(k.insert(), [{**key._asdict(), **row._asdict()} for key, row in rows])
                kept += len(keys)
        return kept


class _KeptRow(NamedTuple):
    """What is kept of one sequence; `newest` is empty while no day holds a trade."""

    newest: str
    void: int
    open: int
    open_gaps: int
    unrecoverable: int
    days: bytes


def accounts(now: Snapshot) -> Accounts:
    """Return the totals and days of a snapshot's sequences: those that are kept, and the others derived.

    Raises
    ------
    CorruptionError : if what is kept cannot be days.
    """
    kept, ends = _kept(now)
    absent = [SequenceKey(*row[:3]) for row, mine in zip(now.sequences, kept, strict=True) if mine is None]
    if 2 * len(absent) > len(kept):
        kept = [mine or row for mine, row in zip(kept, _rows(now), strict=True)]
    else:
        found = {key: row for some in _named_at_once(absent) for key, row in _derived(now.db, some)}
        kept = [mine or found[SequenceKey(*row[:3])] for mine, row in zip(kept, now.sequences, strict=True)]
    rows = [row for row in kept if row is not None]
    void, missing, lost = ([getattr(row, name) for row in rows] for name in ("void", "open", "unrecoverable"))
    sums = zip(now.sequences, void, missing, lost, strict=True)
    stored = [row.head - row.from_id + 1 - sum(rest) for row, *rest in sums]
    return Accounts(stored, void, missing, [row.open_gaps for row in rows], lost, _facts(rows, ends))


def differing(now: Snapshot) -> list[SequenceRow]:
    """Return the sequences of which something is kept that is not what follows from the account."""
    kept, ends = _kept(now)
    if not any(kept):
        return []
    derived = _rows(now)
    rows = [row if mine is None else mine for mine, row in zip(kept, derived, strict=True)]
    days = _facts(rows, ends).pack(len(rows))
    told = [row._replace(days=mine) for row, mine in zip(rows, days, strict=True)]
    return [row for row, mine, other in zip(now.sequences, told, derived, strict=True) if mine != other]


def _kept(now: Snapshot) -> tuple[list[_KeptRow | None], dict[int, tuple[int, int]]]:
    """Return what is kept of each sequence, and the last id and the count of its newest day as they are by now."""
    s, k, c = t.sequences.c, t.kept_days.c, t.coverage.c
    of_day = sa.and_(c.venue == s.venue, c.symbol == s.symbol, c.epoch == s.epoch, c.day == k.newest)
    joined = t.sequences.outerjoin(t.kept_days, _OF_SEQUENCE).outerjoin(t.coverage, of_day)
    query = sa.select(*(k[name] for name in _KeptRow._fields), c.last_id, c.stored).select_from(joined)
    rows: list[_KeptRow | None] = []
    ends = {}
    found = now.fetch(query.order_by(s.venue, s.symbol, s.epoch), t.sequences)
    for number, (newest, *further, last, stored) in enumerate(found):
        true = newest is not None and (not newest or last is not None)
        rows.append(_KeptRow(newest, *further) if true else None)
        if true and newest:
            ends[number] = (last, stored)
    return rows, ends


def _facts(rows: Sequence[_KeptRow], ends: Mapping[int, tuple[int, int]]) -> DayFacts:
    """Return the days of rows, the newest ones as they are by now."""
    with damage_named("the days that are kept"):
        facts = DayFacts.unpack([row.days for row in rows])
    newest = facts.newest()
    told = [
        (at, *ends[number])
        for at, number in zip(newest, facts.sequence[newest].tolist(), strict=True)
        if number in ends
    ]
    if told:
        at, last, stored = np.array(told, np.int64).T
        facts.last[at], facts.stored[at] = last, stored
    return facts


def _derived(db: sa.Connection, keys: Sequence[SequenceKey]) -> Iterator[tuple[SequenceKey, _KeptRow]]:
    """Derive what is to be kept of some sequences."""
    some = Snapshot(db, keys=keys)
    for row, mine in zip(some.sequences, _rows(some), strict=True):
        yield SequenceKey(*row[:3]), mine


def _rows(now: Snapshot) -> list[_KeptRow]:
    """Derive what is to be kept of every sequence of a snapshot."""
    facts = day_facts(now.days, now.ids)
    newest = [""] * len(now.sequences)
    at = facts.newest()
    for number, day in zip(facts.sequence[at].tolist(), day_names(facts.ordinal[at]), strict=True):
        newest[number] = day
    void, missing, lost = (now.ids[kind].total().tolist() for kind in ("void", "open", "unrecoverable"))
    gaps = now.ids["open"].counts().tolist()
    return list(map(_KeptRow, newest, void, missing, gaps, lost, facts.pack(len(newest))))


def _lacking(db: sa.Connection) -> dict[SequenceKey, int]:
    """Return the sequences of which nothing is kept, and how many days and ranges each has."""
    s, k = t.sequences.c, t.kept_days.c
    sizes = [
        sa.select(sa.func.count()).where(*(table.c[name] == s[name] for name in SequenceKey._fields)).scalar_subquery()
        for table in (t.coverage, t.ranges)
    ]
    query = sa.select(s.venue, s.symbol, s.epoch, sizes[0] + sizes[1])
    query = query.select_from(t.sequences.outerjoin(t.kept_days, _OF_SEQUENCE)).where(k.newest.is_(None))
    return {SequenceKey(*row[:3]): row[3] for row in plain_rows(db, query)}


def _portions(sizes: Mapping[SequenceKey, int]) -> Iterator[list[SequenceKey]]:
    """Yield the sequences by so many that one transaction is short."""
    some: list[SequenceKey] = []
    for key, size in sizes.items():
        if some and sum(sizes[one] for one in some) + size > _AT_ONCE:
            yield some
            some = []
        some.append(key)
    if some:
        yield some


def _named_at_once(keys: Sequence[SequenceKey]) -> Iterator[Sequence[SequenceKey]]:
    return (keys[at : at + _NAMED] for at in range(0, len(keys), _NAMED))

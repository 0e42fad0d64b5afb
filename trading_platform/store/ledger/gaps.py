"""The gaps and the work on them: which are open, who fetches them, when they are due again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import sqlalchemy as sa

from trading_platform.completeness.records import Claim, Gap, GapState, Lease, SequenceKey, SequenceState
from trading_platform.domain.backoff import doubled
from trading_platform.domain.errors import UsageError
from trading_platform.domain.id_ranges import IdRanges, Range
from trading_platform.store.ledger import tables as t
from trading_platform.store.ledger.database import Database, as_text, plain_rows

_WORKABLE: tuple[GapState, ...] = ("open", "leased")
_SEPARATOR = "\x1f"  # in no reason
_COLUMNS = [t.gaps.c[name] for name in Gap._fields]
FIRST_WAIT_NS = 5 * 1_000_000_000
LONGEST_WAIT_NS = 3600 * 1_000_000_000


class GapBook:
    """The part of the ledger that says what is being done about missing ids."""

    database: Database

    def gaps(self, states: Sequence[GapState] = _WORKABLE, *, venue: str | None = None) -> list[Gap]:
        """Return the gaps in these states, ordered by venue, symbol, first missing id."""
        c = t.gaps.c
        query = sa.select(*_COLUMNS).where(c.state.in_(states))
        if venue is not None:
            query = query.where(c.venue == venue)
        with self.database.reading() as db:
            return [Gap(*row) for row in db.execute(query.order_by(c.venue, c.symbol, c.epoch, c.first_missing))]

    def gaps_touching(self, start_ns: int, end_ns: int) -> list[Gap]:
        """Return the gaps, closed ones too, whose neighbouring trades say that they touch a span of time.

        A neighbour that is unknown bounds nothing on its side; a gap without any known neighbour is left out.
        """
        c = t.gaps.c
        begun = sa.or_(c.prev_ts < end_ns, sa.and_(c.prev_ts.is_(None), c.next_ts < end_ns))
        ended = sa.or_(c.next_ts >= start_ns, sa.and_(c.next_ts.is_(None), c.prev_ts >= start_ns))
        query = sa.select(*_COLUMNS).where(begun, ended)
        with self.database.reading() as db:
            return [Gap(*row) for row in db.execute(query.order_by(c.venue, c.symbol, c.epoch, c.first_missing))]

    def gap_columns(self) -> dict[str, list[Any]]:
        """Return what a person is shown of the same gaps, as columns.

        A sequence's gaps come as texts with commas: 100,000 rows would take twice as long to read.
        """
        c = t.gaps.c
        listed = (c.id, c.first_missing, c.last_missing, c.attempts, c.reason)
        with self.database.reading() as db:
            texts = (sa.func.aggregate_strings(as_text(db, column), _SEPARATOR) for column in listed)
            query = sa.select(c.venue, c.symbol, c.epoch, c.state, sa.func.count(), *texts).where(
                c.state.in_(_WORKABLE)
            )
            groups = plain_rows(db, query.group_by(c.state, c.venue, c.symbol, c.epoch))
        columns: dict[str, list[Any]] = {
            name: [value for group in groups for value in repeat(group[at], group[4])]
            for at, name in enumerate(("venue", "symbol", "epoch", "state"))
        }
        for at, column in enumerate(listed, 5):
            values = _SEPARATOR.join([group[at] for group in groups]).split(_SEPARATOR) if groups else []
            columns[column.name] = values if column is c.reason else list(map(int, values))
        rank = {key: at for at, key in enumerate(sorted({group[:3] for group in groups}))}
        sequence = np.repeat([rank[group[:3]] for group in groups], [group[4] for group in groups])
        order = np.lexsort((columns["first_missing"], sequence)).tolist() if groups else []
        if order == list(range(len(order))):
            return columns
        return {name: list(map(values.__getitem__, order)) for name, values in columns.items()}

    def missing_by_symbol(self) -> dict[tuple[str, str], int]:
        """Return how many ids are missing and may still be fetched, of each (venue, symbol) that misses any."""
        c = t.gaps.c
        missing = sa.func.sum(c.last_missing - c.first_missing + 1)
        query = sa.select(c.venue, c.symbol, missing).where(c.state.in_(_WORKABLE)).group_by(c.venue, c.symbol)
        with self.database.reading() as db:
            return {(venue, symbol): int(count) for venue, symbol, count in db.execute(query)}

    def gap(self, gap_id: int) -> Gap:
        """Return one gap.

        Raises
        ------
        UsageError : if there is none of this number.
        """
        with self.database.reading() as db:
            row = db.execute(sa.select(*_COLUMNS).where(t.gaps.c.id == gap_id)).one_or_none()
        if row is None:
            raise UsageError(f"there is no gap {gap_id}; `gaps list` shows them")
        return Gap(*row)

    def lease(
        self, limit: int, now_ns: int, holder: str, *, ttl_ns: int = 600 * 10**9, venue: str | None = None
    ) -> Lease | None:
        """Give `holder` up to `limit` gaps that are due; nobody else gets them before the lease ends.

        Returns None if nothing is due. `holder` is unique for each attempt.
        """
        c = t.gaps.c
        freed = sa.and_(c.state == "leased", c.lease_until_ns <= now_ns)
        # Later than any wait lasts, it was put off by a clock that has been set back since.
        dues = (c.due_ns <= now_ns, c.due_ns > now_ns + LONGEST_WAIT_NS)
        # Not one query with OR: each of these reads along an index, and only as far as the limit.
        queries = [sa.select(*_COLUMNS).where(free, due) for free in (c.state == "open", freed) for due in dues]
        if venue is not None:
            queries = [query.where(c.venue == venue) for query in queries]
        until_ns = now_ns + ttl_ns
        with self.database.writing() as db:
            rows = [row for query in queries for row in db.execute(query.order_by(c.due_ns, c.id).limit(limit))]
            found = sorted((Gap(*row) for row in rows), key=lambda gap: (gap.due_ns, gap.id))[:limit]
            if not found:
                return None
            db.execute(
                t.gaps.update()
                .where(c.id.in_([gap.id for gap in found]))
                .values(state="leased", lease=holder, lease_until_ns=until_ns, attempts=c.attempts + 1)
            )
        return Lease(holder, tuple(found), until_ns)

    def leased(self, lease_id: str) -> list[Gap]:
        """Return what is still missing of a lease."""
        c = t.gaps.c
        query = sa.select(*_COLUMNS).where(c.lease == lease_id, c.state == "leased")
        with self.database.reading() as db:
            return [Gap(*row) for row in db.execute(query.order_by(c.venue, c.symbol, c.epoch, c.first_missing))]

    def leases(self) -> list[str]:
        """Return the leases under way."""
        with self.database.reading() as db:
            query = sa.select(t.gaps.c.lease).where(t.gaps.c.state == "leased", t.gaps.c.lease.is_not(None))
            return sorted(set(db.execute(query).scalars()))

    def abandon_lease(self, lease_id: str) -> None:
        """End the lease of a holder that died: its gaps are open and due as before."""
        c = t.gaps.c
        values = {"state": "open", "lease": None, "lease_until_ns": None}
        with self.database.writing() as db:
            db.execute(t.gaps.update().where(c.lease == lease_id, c.state == "leased").values(**values))

    def release(self, lease_id: str, now_ns: int) -> int:
        """End a lease: what it did not fill is open again and due after a wait that doubles; return how many."""
        c = t.gaps.c
        with self.database.writing() as db:
            rows = db.execute(sa.select(c.id, c.attempts).where(c.lease == lease_id, c.state == "leased")).all()
            for gap_id, attempts in rows:
                wait = doubled(FIRST_WAIT_NS, attempts, LONGEST_WAIT_NS)
                values = {"state": "open", "lease": None, "lease_until_ns": None, "due_ns": now_ns + wait}
                db.execute(t.gaps.update().where(c.id == gap_id).values(**values))
        return len(rows)

    def retry(self, gap_id: int) -> Gap:
        """Make one gap due now.

        Raises
        ------
        UsageError : if it is not open.
        """
        gap = self.gap(gap_id)
        if gap.state not in _WORKABLE:
            raise UsageError(f"gap {gap_id} is {gap.state}, nothing is missing that could be fetched")
        with self.database.writing() as db:
            values = {"state": "open", "due_ns": 0, "lease": None, "lease_until_ns": None}
            db.execute(t.gaps.update().where(t.gaps.c.id == gap_id).values(**values))
        return self.gap(gap_id)

    def audit(self, at_ns: int, actor: str, action: str, subject: str, detail: str) -> None:
        """Write down who did what by hand."""
        with self.database.writing() as db:
            db.execute(
                t.audit_log.insert().values(at_ns=at_ns, actor=actor, action=action, subject=subject, detail=detail)
            )


def workable(db: sa.Connection, wanted: sa.ColumnElement[bool]) -> dict[SequenceKey, list[Gap]]:
    """Return the gaps of the wanted sequences that are being worked on, or may be."""
    found: dict[SequenceKey, list[Gap]] = {}
    for row in db.execute(sa.select(*_COLUMNS).where(wanted, t.gaps.c.state.in_(_WORKABLE)).order_by(t.gaps.c.id)):
        gap = Gap(*row)
        found.setdefault(SequenceKey(gap.venue, gap.symbol, gap.epoch), []).append(gap)
    return found


def reconcile(
    db: sa.Connection,
    key: SequenceKey,
    state: SequenceState,
    ts_of: Callable[[int], int | None],
    rows: Sequence[Gap] | None = None,
    claims: Sequence[Claim] = (),
) -> None:
    """Make the gap rows of a sequence equal what its account leaves open.

    A gap that is partly filled keeps its number for the first rest; further rests get numbers of their own.

    Parameters
    ----------
    rows : the sequence's `workable` gaps, if the caller has them.
    claims : why ids were given up; a gap that ends so tells the reason.
    """
    if rows is None:
        c = t.gaps.c
        mine = sa.and_(c.venue == key.venue, c.symbol == key.symbol, c.epoch == key.epoch)
        rows = workable(db, mine).get(key, [])
    missing = state.open()
    if [(row.first_missing, row.last_missing) for row in sorted(rows, key=lambda gap: gap.first_missing)] == missing:
        return
    left = IdRanges(missing)
    for row in rows:
        rests = list(left.within(row.first_missing, row.last_missing))
        left.remove(row.first_missing, row.last_missing)
        _update(db, row, rests, state, claims)
        for rest in rests[1:]:
            _insert(db, key, rest, row.reason, row.attempts, row.due_ns, ts_of)
    for new in left:
        _insert(db, key, new, "ids skipped", 0, 0, ts_of)


def _update(db: sa.Connection, row: Gap, rests: list[Range], state: SequenceState, claims: Sequence[Claim]) -> None:
    values: dict[str, object]
    if rests:
        values = {"first_missing": rests[0][0], "last_missing": rests[0][1]}
    elif row.first_missing in state.unrecoverable:
        about = (claim.reason for claim in claims if claim.first_id <= row.first_missing <= claim.last_id)
        values = {"state": "unrecoverable", "reason": next(about, row.reason)}
    elif row.first_missing in state.void:
        values = {"state": "void"}
    else:
        values = {"state": "filled"}
    db.execute(t.gaps.update().where(t.gaps.c.id == row.id).values(**values))


def _insert(
    db: sa.Connection,
    key: SequenceKey,
    missing: Range,
    reason: str,
    attempts: int,
    due_ns: int,
    ts_of: Callable[[int], int | None],
) -> None:
    first, last = missing
    db.execute(
        t.gaps.insert().values(
            **key._asdict(),
            first_missing=first,
            last_missing=last,
            state="open",
            reason=reason,
            attempts=attempts,
            due_ns=due_ns,
            prev_ts=ts_of(first - 1),
            next_ts=ts_of(last + 1),
        )
    )

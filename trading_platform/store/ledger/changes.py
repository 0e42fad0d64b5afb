"""What a decoded batch changes in the account of ids, as rows: collected over its sequences, written table by table.

What changes, and why, is projection.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from trading_platform.completeness.records import Claim, SequenceKey, SequenceState
from trading_platform.domain.id_ranges import IdRanges, Range
from trading_platform.store.ledger import tables as t
from trading_platform.store.ledger.database import insert_earliest, insert_missing

TAIL = "tail"
"""Where the tail and the head of a sequence are kept, as evidence, until anything shows where it begins."""


class Changes:
    """Rows to write, collected over the sequences of a batch and written table by table."""

    def __init__(self) -> None:
        self.gone: list[dict[str, Any]] = []
        self.grown: list[dict[str, Any]] = []
        self.ranges: list[dict[str, Any]] = []
        self.evidence: list[dict[str, Any]] = []
        self.promises: list[dict[str, Any]] = []
        self.outdated: list[dict[str, Any]] = []
        self.sequences: dict[bool, list[dict[str, Any]]] = {True: [], False: []}  # by: known before

    def add_ranges(self, key: SequenceKey, kind: str, before: IdRanges, after: IdRanges) -> None:
        """Note how one kind of ids has changed."""
        old, new = dict(before), dict(after)
        where = {**bound(key), "of_kind": kind}
        self.gone += [{**where, "at": first} for first in old if first not in new]
        self.ranges += [
            {**key._asdict(), "kind": kind, "first_id": first, "last_id": last}
            for first, last in new.items()
            if first not in old
        ]
        self.grown += [
            {**where, "at": first, "to": last} for first, last in new.items() if first in old and old[first] != last
        ]

    def add_claims(self, key: SequenceKey, kind: str, before: Sequence[Claim], after: Sequence[Claim]) -> None:
        """Note what is claimed of ranges now, where that has changed."""
        now: dict[Range, list[Claim]] = {}
        for claim in after:
            now.setdefault((claim.first_id, claim.last_id), []).append(claim)
        for (first, last), claims in now.items():
            if all(claim in before for claim in claims):
                continue
            self.outdated += [
                {**bound(key), "of_kind": name, "at": first, "to": last} for name in (kind, f"{kind} last")
            ]
            for name, claim in zip((kind, f"{kind} last"), sorted(claims, key=lambda c: c.seen_ns), strict=False):
                self.evidence.append({**key._asdict(), "kind": name, **claim._asdict()})

    def add_tail(self, key: SequenceKey, state: SequenceState, head_before: int) -> None:
        """Keep the end of a sequence that had not begun, apart for as long as it has not."""
        self.outdated.append({**bound(key), "of_kind": TAIL, "at": head_before, "to": head_before})
        if state.from_id is None:
            claim = Claim(state.head, state.head, state.tail, state.tail_ts)
            self.evidence.append({**key._asdict(), "kind": TAIL, **claim._asdict()})

    def add_sequence(self, key: SequenceKey, state: SequenceState, *, known: bool) -> None:
        """Note where a sequence begins and ends now."""
        now = {name: getattr(state, name) for name in ("from_id", "head", "head_ts", "tail", "tail_ts")}
        self.sequences[known].append({**bound(key), **now} if known else {**key._asdict(), **now})

    def write(self, db: sa.Connection) -> None:
        """Write everything."""
        of_range = sa.and_(of_bound(t.ranges), t.ranges.c.kind == sa.bindparam("of_kind"))
        of_range = sa.and_(of_range, t.ranges.c.first_id == sa.bindparam("at"))
        e = t.evidence.c
        of_claim = sa.and_(of_bound(t.evidence), e.kind == sa.bindparam("of_kind"))
        of_claim = sa.and_(of_claim, e.first_id == sa.bindparam("at"), e.last_id == sa.bindparam("to"))
        statements = (
            (t.evidence.delete().where(of_claim), self.outdated),
            (t.ranges.delete().where(of_range), self.gone),
            (t.ranges.insert(), self.ranges),
            (t.ranges.update().where(of_range).values(last_id=sa.bindparam("to")), self.grown),
            (t.sequences.update().where(of_bound(t.sequences)), self.sequences[True]),
            (t.sequences.insert(), self.sequences[False]),
        )
        for statement, rows in statements:
            if rows:
                db.execute(statement, rows)
        insert_missing(db, t.evidence, self.evidence)
        insert_earliest(db, t.evidence, "seen_ns", self.promises)


def bound(key: SequenceKey) -> dict[str, Any]:
    """Return what `of_bound` compares with, for one row of a statement."""
    return {"of_venue": key.venue, "of_symbol": key.symbol, "of_epoch": key.epoch}


def of_bound(table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition that a row belongs to the sequence that `bound` names."""
    c = table.c
    return sa.and_(
        c.venue == sa.bindparam("of_venue"),
        c.symbol == sa.bindparam("of_symbol"),
        c.epoch == sa.bindparam("of_epoch"),
    )


def of_keys(table: sa.Table, keys: Sequence[SequenceKey]) -> sa.ColumnElement[bool]:
    """Return the condition that a row belongs to one of the sequences; they may be of a few venues."""
    symbols: dict[tuple[str, int], list[str]] = {}
    for key in keys:
        symbols.setdefault((key.venue, key.epoch), []).append(key.symbol)
    c = table.c
    return sa.or_(
        sa.false(),
        *(
            sa.and_(c.venue == venue, c.epoch == epoch, c.symbol.in_(names))
            for (venue, epoch), names in symbols.items()
        ),
    )

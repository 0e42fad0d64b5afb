"""The completeness ledger: which ids are stored, void, open, lost; what is published; what work is under way.

tables        the schema                 database      open, migrate, transactions
projection    the account of ids         gaps          work on what is missing
leaves        published files            completeness  a row a day, derived
snapshot      everything at one instant
sinks         how far each sink holds each lane
marks         what the directory is, kept beside the ledger
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from trading_platform.completeness.day_status import DayTable, day_table, judged
from trading_platform.completeness.records import (
    Batch,
    Claim,
    Conflict,
    DayRow,
    DayStatus,
    EpochReset,
    Gap,
    LeafRecord,
    Lease,
    Quarantined,
    Seen,
    SequenceKey,
    SequenceRow,
    SequenceState,
    TailEvent,
)
from trading_platform.completeness.text_days import with_text_days
from trading_platform.domain.days import day_of
from trading_platform.domain.errors import UsageError
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import tables as t
from trading_platform.store.ledger.database import Database
from trading_platform.store.ledger.gaps import GapBook
from trading_platform.store.ledger.kept_days import accounts
from trading_platform.store.ledger.leaves import LeafBook
from trading_platform.store.ledger.marks import Marks, is_mark
from trading_platform.store.ledger.projection import Projection
from trading_platform.store.ledger.snapshot import Snapshot
from trading_platform.store.ledger.text_days import text_days

__all__ = [
    "Batch",
    "Claim",
    "Conflict",
    "DayRow",
    "DayStatus",
    "EpochReset",
    "Gap",
    "LeafRecord",
    "Lease",
    "Ledger",
    "Quarantined",
    "Seen",
    "SequenceKey",
    "SequenceRow",
    "SequenceState",
    "TailEvent",
]


class Ledger(Projection, GapBook, LeafBook):
    """One ledger, opened and migrated."""

    def __init__(self, database: Database, marks: Marks | None = None) -> None:
        self.database = database
        self._marks = marks

    @classmethod
    def open(cls, data: DataDir, database_url: str = "") -> Ledger:
        """Open the data directory's ledger, or the one at `database_url` if that is not empty."""
        marks = Marks(data)
        ledger = cls(Database.open(Path(data.ledger_path), database_url), marks)
        c = t.facts.c
        with ledger.database.reading() as db:
            facts = db.execute(
                sa.select(c.name, c.value).where((c.name == "kind") | c.name.startswith("market:"))
            ).all()
        marks.complete({name: value for name, value in facts if is_mark(name)})
        return ledger

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def kind(self) -> str | None:
        """Return ``live`` or ``simulated``, None before the first use."""
        return self.fact("kind")

    def tail_ns(self, venue: str, symbols: Iterable[str]) -> int:
        """Return when the latest that is known of the symbols' ends was told, 0 if nothing is."""
        c = t.sequences.c
        query = sa.select(c.symbol, c.tail_ts).where(c.venue == venue)
        wanted = set(symbols)
        if len(wanted) == 1:
            query = query.where(c.symbol.in_(wanted))
        with self.database.reading() as db:
            return max((told_ns for symbol, told_ns in db.execute(query) if symbol in wanted), default=0)

    def heard_ns(self, venue: str) -> int:
        """Return when the newest trade of the venue's streams came in, 0 if none did or all are known to have ended."""
        c = t.sequences.c
        query = sa.select(sa.func.max(c.tail_ts)).where(c.venue == venue, c.tail == "live")
        with self.database.reading() as db:
            return db.execute(query).scalar() or 0

    def fact(self, name: str) -> str | None:
        """Return a remembered text, None if there is none; a rebuilt ledger has what marks.py keeps."""
        with self.database.reading() as db:
            found = db.execute(sa.select(t.facts.c.value).where(t.facts.c.name == name)).scalar()
        return self._marks.get(name) if found is None and self._marks is not None and is_mark(name) else found

    def remember(self, name: str, value: str) -> None:
        """Keep a text under a name, replacing what was there."""
        with self.database.writing() as db:
            if not db.execute(t.facts.update().where(t.facts.c.name == name).values(value=value)).rowcount:
                db.execute(t.facts.insert().values(name=name, value=value))
        if self._marks is not None and is_mark(name):
            self._marks.put(name, value)

    def mark_kind(self, kind: str) -> None:
        """Mark the data directory ``live`` or ``simulated`` at first use.

        Raises
        ------
        UsageError : if it is marked as the other: simulated is not live.
        """
        self.check_kind(kind)
        with self.database.writing() as db:
            marked = db.execute(sa.select(t.facts.c.value).where(t.facts.c.name == "kind")).scalar()
            if marked is None:
                db.execute(t.facts.insert().values(name="kind", value=kind))
        self.check_kind(kind)
        if self._marks is not None:
            self._marks.put("kind", kind)

    def check_kind(self, kind: str) -> None:
        """Refuse ``live`` for simulated data, and ``simulated`` for live data.

        Raises
        ------
        UsageError : if the data directory is marked as the other.
        """
        marked = self.kind()
        if marked not in (None, kind):
            raise UsageError(
                f"this data directory holds {marked} data and cannot take {kind} data; use another --data-dir"
            )

    @contextmanager
    def snapshot(self, venue: str | None = None, symbol: str | None = None) -> Iterator[Snapshot]:
        """Give the whole account, or that of a venue or symbol, as it is at one instant."""
        with self.database.reading() as db:
            yield Snapshot(db, venue, symbol)

    def day_report(self, now_ns: int, venue: str | None = None, symbol: str | None = None) -> list[DayStatus]:
        """Return the completeness of every day of every sequence, ordered by venue, symbol, day."""
        with self.snapshot(venue, symbol) as now:
            found = day_table(now.sequences, now.days, now.ids, day_of(now_ns))
            return list(with_text_days(found, text_days(now.db, venue, symbol), now.sequences, day_of(now_ns)).rows())

    def day_table(self, now_ns: int) -> DayTable:
        """Return the same of every sequence as columns, from the days that are kept ready."""
        self.keep_days()
        with self.snapshot() as now:
            found = judged(now.sequences, accounts(now).facts, day_of(now_ns))
            return with_text_days(found, text_days(now.db), now.sequences, day_of(now_ns))

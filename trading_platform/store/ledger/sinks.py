"""How far each sink holds each lane of the log, durably, and what the decoder knew there.

The log is kept until every sink holds it: one that is gone for good must be forgotten by name.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import google_crc32c
import sqlalchemy as sa

from trading_platform.domain.errors import CorruptionError, UsageError
from trading_platform.domain.position import START, Position
from trading_platform.store.fs.checked_file import sealed, unsealed
from trading_platform.store.ledger import tables as t
from trading_platform.store.ledger.database import Database, insert_missing

STAGING = "staging"
"""The sink that every ledger has."""

_ALL_LANES = ""
"""The lane of the row that says that a sink exists, whether it holds anything yet or not."""


class SinkBook:
    """Positions of sinks; a part of `Ledger`."""

    database: Database

    def sinks(self) -> list[str]:
        """Return the names of the sinks that the log is kept for."""
        query = sa.select(t.sinks.c.sink).where(t.sinks.c.lane == _ALL_LANES)
        with self.database.reading() as db:
            return sorted({STAGING, *db.execute(query).scalars()})

    def add_sink(self, name: str) -> None:
        """Keep the log for a sink from now on, from the oldest segment that is there."""
        if name in self.sinks():
            return
        with self.database.writing() as db:
            insert_missing(db, t.sinks, [_row(_ALL_LANES, name, START, "")])

    def forget_sink(self, name: str, *, at_ns: int, actor: str) -> None:
        """Keep the log for a sink no longer; on record in the audit log.

        Raises
        ------
        UsageError : if there is no such sink, or it is staging.
        """
        known = self.sinks()
        if name not in known or name == STAGING:
            others = " ".join(each for each in known if each != STAGING) or "none"
            raise UsageError(f"{name[:40]!r} is no sink that can be forgotten; sinks besides staging: {others}")
        with self.database.writing() as db:
            db.execute(t.sinks.delete().where(t.sinks.c.sink == name))
            entry = {"at_ns": at_ns, "actor": actor, "action": "forget sink", "subject": name, "detail": ""}
            db.execute(t.audit_log.insert().values(**entry))

    def sink(self, lane: str, name: str) -> tuple[Position, str]:
        """Return up to where a sink holds a lane, and the decoder's context there."""
        c = t.sinks.c
        query = sa.select(c.segment, c.byte_offset, c.context).where(c.lane == lane, c.sink == name)
        with self.database.reading() as db:
            row = db.execute(query).one_or_none()
        return (START, "") if row is None else (Position(row[0], row[1]), _opened(lane, name, *row))

    def damaged_sinks(self) -> list[tuple[str, str]]:
        """Return the lane of each position that fails its checksum, and what is wrong."""
        with self.database.reading() as db:
            rows = db.execute(sa.select(*t.sinks.c)).all()
            lanes = db.execute(sa.select(*t.lanes.c)).all()
        found = [
            (str(lane), "the ledger's row of how far this lane is decoded fails its checksum")
            for lane, segment, offset, checksum in lanes
            if _lane_checksum(lane, segment, offset) != checksum
        ]
        for lane, *row in rows:
            try:
                _opened(lane, *row)
            except CorruptionError as error:
                found.append((lane, str(error)))
        return found

    def least_flushed(self, lane: str) -> tuple[Position, str]:
        """Return up to where every sink holds a lane, and the name of the one that holds the least."""
        return min((self.sink(lane, name)[0], name) for name in self.sinks())

    def mark_flushed(self, lane: str, name: str, position: Position, context: str) -> None:
        """Record that a sink durably holds everything of the lane before `position`."""
        row = _row(lane, name, position, context)
        c = t.sinks.c
        with self.database.writing() as db:
            insert_missing(db, t.sinks, [row])
            db.execute(t.sinks.update().where(c.lane == lane, c.sink == name).values(**row))

    def mark_staged(self, lane: str, staged: Position, context: str) -> None:
        """Record that everything of the lane before `staged` lies in staging or the lake."""
        self.mark_flushed(lane, STAGING, staged, context)


def lane_row(lane: str, decoded: Position) -> dict[str, object]:
    """Return the row that tells how far a lane is decoded."""
    checksum = _lane_checksum(lane, *decoded)
    return {"lane": lane, "decoded_segment": decoded.segment, "decoded_offset": decoded.offset, "checksum": checksum}


def _lane_checksum(lane: object, segment: object, offset: object) -> int:
    return int(google_crc32c.value(f"{lane} {segment} {offset}".encode(errors="backslashreplace")))


def positions() -> sa.Select[Any]:
    """Return the query for lane, decoded and staged position of every lane."""
    c, s = t.lanes.c, t.sinks.c
    joined = t.lanes.join(t.sinks, sa.and_(s.lane == c.lane, s.sink == STAGING))
    return sa.select(c.lane, c.decoded_segment, c.decoded_offset, s.segment, s.byte_offset).select_from(joined)


def begin_staging(db: sa.Connection, lane: str, start: Position) -> None:
    """Say from where staging holds a lane that is new."""
    insert_missing(db, t.sinks, [_row(lane, STAGING, start, "")])


def adopt_staging(db: sa.Connection, rebuilt: list[dict[str, object]]) -> None:
    """Put staging's rebuilt positions in the place of its own; other sinks hold what they hold."""
    db.execute(t.sinks.delete().where(t.sinks.c.sink == STAGING))
    rows = [row for row in rebuilt if row["sink"] == STAGING]
    if rows:
        db.execute(t.sinks.insert(), rows)


def _row(lane: str, name: str, position: Position, context: str) -> dict[str, object]:
    kept = context
    if "\n" not in context:
        head = _head(lane, name, *position)
        kept = sealed((head + context).encode()).decode().removeprefix(head)
    return {"lane": lane, "sink": name, "segment": position.segment, "byte_offset": position.offset, "context": kept}


def _head(lane: str, name: str, segment: int, offset: int) -> str:
    """Return what the checksum covers besides the context."""
    return f"{lane} {name} {segment} {offset}\n"


def _opened(lane: str, name: str, segment: int, offset: int, kept: str) -> str:
    """Return a decoder's context as it was kept.

    Raises
    ------
    CorruptionError : if it is damaged, or the position beside it.
    """
    if "\n" not in kept:  # rows of older code, and those that were never flushed, bear no checksum
        return kept
    head = _head(lane, name, segment, offset)
    with suppress(CorruptionError):
        return unsealed((head + kept).encode(), lane).decode().removeprefix(head)
    # For a day the checksum was of the context alone.
    return unsealed(kept.encode(), f"the decoder's context of {lane} in the ledger").decode()

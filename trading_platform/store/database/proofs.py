"""What a migration must prove: verification queries that are asked before and after it, in its transaction.

A proof is data of a revision (`PROOFS` in its module). One that comes out false undoes the revision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import psycopg
from psycopg import sql

from trading_platform.domain.errors import WorkError


class ProofFailed(WorkError):
    """A verification query of a migration came out false; the migration is undone."""


class Proof(Protocol):
    """One verification."""

    @property
    def name(self) -> str:
        """What is proved, in words."""
        ...

    def before(self, db: psycopg.Connection) -> object:
        """Return what is to be compared."""
        ...

    def after(self, db: psycopg.Connection, before: object) -> object:
        """Return what was compared.

        Raises
        ------
        ProofFailed : if it is false.
        """
        ...


class Holds(NamedTuple):
    """A query whose one value must be true after the migration.

    Attributes
    ----------
    name : what is proved, in words.
    query : SQL that gives one boolean.
    """

    name: str
    query: str

    def before(self, db: psycopg.Connection) -> object:  # noqa: ARG002  as the protocol says
        """Return nothing: only the end counts."""
        return None

    def after(self, db: psycopg.Connection, before: object) -> object:  # noqa: ARG002  as the protocol says
        """Ask the query."""
        row = db.execute(self.query.encode()).fetchone()
        if row is None or row[0] is not True:
            raise ProofFailed(f"{self.name}: the verification query gave {None if row is None else row[0]}, not true")
        return True


class Unchanged(NamedTuple):
    """A table whose rows must be the same after the migration: their count, checksum, and a sample value by value.

    Attributes
    ----------
    table : schema and name. One that does not exist before has no rows.
    columns : those compared; the first `key` of them identify a row.
    key : how many of the columns do.
    renamed : schema and name after the migration, where it moves.
    sample : how many rows are compared value by value, chosen by the hash of their key.
    """

    table: tuple[str, str]
    columns: tuple[str, ...]
    key: int = 1
    renamed: tuple[str, str] | None = None
    sample: int = 1000

    @property
    def name(self) -> str:
        """What is proved, in words."""
        return f"the rows of {'.'.join(self.table)} are unchanged"

    def before(self, db: psycopg.Connection) -> object:
        """Return count, checksum and sample; None where there is no such table."""
        known = db.execute("SELECT to_regclass(%s) IS NOT NULL", [".".join(self.table)]).fetchone()
        return self._look(db, self.table) if known == (True,) else None

    def after(self, db: psycopg.Connection, before: object) -> object:
        """Compare."""
        if before is None:
            return None
        found = self._look(db, self.renamed or self.table)
        for what, old, new in zip(("count", "checksum", "sampled rows"), before, found, strict=True):  # type: ignore[call-overload]
            if old != new:
                raise ProofFailed(f"{self.name}: the {what} differs, {str(old)[:80]} before and {str(new)[:80]} after")
        return found[:2]

    def _look(self, db: psycopg.Connection, table: tuple[str, str]) -> tuple[int, str, Sequence[object]]:
        # The migration runs in the session's time zone; what is compared must not depend on it.
        zone = db.execute("SELECT current_setting('timezone')").fetchone()
        db.execute("SET LOCAL timezone = 'UTC'")
        try:
            return self._read(db, table)
        finally:
            db.execute("SELECT set_config('timezone', %s, true)", zone)

    def _read(self, db: psycopg.Connection, table: tuple[str, str]) -> tuple[int, str, Sequence[object]]:
        row = row_text(self.columns)
        place = sql.Identifier(*table)
        totals = db.execute(
            sql.SQL("SELECT count(*), coalesce(sum({}), 0)::text FROM {}").format(checksum(row), place)
        ).fetchone()
        assert totals is not None
        sampled = sql.SQL("SELECT {} FROM {} ORDER BY md5({}), 1 LIMIT {}").format(
            row, place, row_text(self.columns[: self.key]), sql.Literal(self.sample)
        )
        return int(totals[0]), str(totals[1]), db.execute(sampled).fetchall()


def row_text(columns: Sequence[str]) -> sql.Composed:
    r"""Return SQL for a row as one text: the columns' texts, ``\N`` for null, a tab between."""
    parts = [sql.SQL(r"coalesce(replace({}::text, E'\t', ' '), '\N')").format(sql.Identifier(name)) for name in columns]
    return sql.SQL(" || E'\\t' || ").join(parts)


def checksum(row: sql.Composable) -> sql.Composed:
    """Return SQL for a number of a row's text whose sum over rows is the same in any order."""
    return sql.SQL("('x' || substr(md5({}), 1, 15))::bit(60)::bigint::numeric").format(row)

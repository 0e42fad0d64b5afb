"""Open the ledger's database: embedded SQLite or PostgreSQL, migrated to the revision this code speaks.

Transactions are short and of two kinds: `reading` sees one snapshot, `writing` excludes other writers.
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from trading_platform.domain.errors import CorruptionError, DiskFull, LedgerUnavailable, StorageError

HEAD = "0009"
"""The revision of store/migrations that this code reads and writes (a test holds the two together)."""

_BUSY_MS = 30_000
_MEND = "move ledger.sqlite and the files beside it that bear its name away, and rebuild it with: replay --ledger"
_OF_THE_FILE = ("unable to open database file", "attempt to write a readonly database", "disk I/O error")
_WRITER_LOCK = 7_261_943_001
"""Any number, the same in every process: PostgreSQL's stand-in for BEGIN IMMEDIATE."""


class Database:
    """A pool of connections to one ledger."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        # One that is dropped unclosed, as in a notebook, leaves no open file to the garbage collector.
        weakref.finalize(self, engine.dispose)

    @classmethod
    def open(cls, sqlite_path: Path, url: str = "") -> Database:
        """Open `url`, or the embedded file if it is empty, and migrate it where needed."""
        engine = _postgres(url) if url else _sqlite(sqlite_path)
        database = cls(engine)
        database._migrate()
        return database

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection that sees one snapshot and writes nothing.

        Raises
        ------
        LedgerUnavailable : if the database does not answer.
        """
        with _trouble_named(), self.engine.connect() as connection:
            if connection.dialect.name == "postgresql":  # by default each statement sees a snapshot of its own
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self, *, patience_ms: int = _BUSY_MS) -> Iterator[sa.Connection]:
        """Give a connection that is the only writer until the block ends; an error rolls back.

        Parameters
        ----------
        patience_ms : how long to wait for another writer.

        Raises
        ------
        DiskFull : if there is no space for the transaction.
        LedgerUnavailable : if the database does not answer.
        """
        with _trouble_named(), self.engine.connect() as connection:
            connection = connection.execution_options(writing=True, patience_ms=patience_ms)
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    if patience_ms != _BUSY_MS:
                        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {patience_ms}")
                    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})
                yield connection

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    def _migrate(self) -> None:
        if self._revision() == HEAD:
            return
        # Imported only here: every later start finds the revision in place.
        from alembic import command
        from alembic.config import Config
        from alembic.util.exc import CommandError

        config = Config()
        scripts = str(Path(__file__).parent / "migrations")
        config.set_main_option("script_location", scripts.replace("%", "%%"))
        with self.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("CREATE SCHEMA IF NOT EXISTS platform"))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:  # a revision that no version of ours has
                raise _damaged(str(error)) from error
        if self._revision() != HEAD:
            raise StorageError(f"ledger: revision {self._revision()} is not {HEAD}; it was written by a newer version")

    def _revision(self) -> str | None:
        with self.reading() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            revision: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
            return revision


class damage_named:  # noqa: N801  reads as a phrase where it is used
    """Say in one line that a row holds nothing of ours. A class, for it is asked of every row."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        if isinstance(error, msgspec.MsgspecError | TypeError | ValueError | LookupError | AttributeError):
            raise _damaged(f"{self._what}: {error}") from error


def _damaged(reason: str) -> CorruptionError:
    return CorruptionError(f"the ledger is damaged ({' '.join(reason.split())[:160]}); {_MEND}")


def insert_missing(db: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows whose key is not there yet; what is there stays as it is."""
    if rows:
        db.execute(own_insert(db)(table).on_conflict_do_nothing(), [dict(row) for row in rows])


def insert_earliest(db: sa.Connection, table: sa.Table, time: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows; of those with one key the least `time` stays, whatever order they come in."""
    if rows:
        insert = own_insert(db)(table)
        new, old = insert.excluded[time], table.c[time]
        keys = [column.name for column in table.primary_key]
        update = insert.on_conflict_do_update(index_elements=keys, set_={time: sa.case((new < old, new), else_=old)})
        db.execute(update, [dict(row) for row in rows])


def own_insert(db: sa.Connection) -> Any:
    """Return the dialect's own insert. Imported here: a reader needs none, and PostgreSQL's takes 50 ms to import."""
    if db.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as of_postgres

        return of_postgres
    from sqlalchemy.dialects.sqlite import insert as of_sqlite

    return of_sqlite


def as_text(db: sa.Connection, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Return a column as text. SQLite takes numbers for text by itself, and a cast would cost as much as reading."""
    return sa.type_coerce(column, sa.Text) if db.dialect.name == "sqlite" else sa.cast(column, sa.Text)


def plain_rows(db: sa.Connection, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
    """Return many rows as plain tuples: what SQLAlchemy wraps around each costs more than reading it."""
    result = db.execute(query)
    assert result.cursor is not None
    rows: list[tuple[Any, ...]] = list(result.cursor.fetchall())
    result.close()
    return rows


_OF_DAMAGE = ("decode", "no such column", "no such table", "already exists", "unsupported file format")
"""What SQLite says of a file whose schema is not ours any more."""


@contextmanager
def _trouble_named() -> Iterator[None]:
    """Tell a full disk and a dead database from a bug: one line says so, and whoever can waits."""
    try:
        yield
    except sa.exc.TimeoutError as error:
        raise LedgerUnavailable("the ledger's database does not answer: no connection came free") from error
    except sa.exc.OperationalError as error:
        reason = str(error.orig)
        if "disk is full" in reason:
            raise DiskFull("the ledger's disk is full; free space on it") from error
        if any(words in reason for words in _OF_DAMAGE):
            raise _damaged(reason) from error
        if isinstance(error.orig, sqlite3.Error) and any(text in reason for text in _OF_THE_FILE):
            raise StorageError(f"the ledger's file cannot be used: {reason}") from error
        # SQLite calls many bugs operational too, a server's driver only what has to do with reaching it.
        if isinstance(error.orig, sqlite3.Error) and "locked" not in reason:
            raise
        raise LedgerUnavailable(f"the ledger's database does not answer: {reason.splitlines()[0]}") from error
    except (sa.exc.DatabaseError, sqlite3.DatabaseError, UnicodeDecodeError) as error:
        reason = str(getattr(error, "orig", error))
        if any(words in reason for words in ("malformed", "not a database", "decode")):
            raise _damaged(reason) from error
        raise


def _sqlite(path: Path) -> sa.Engine:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not as text: a path may hold what has a meaning in an address.
    url = sa.URL.create("sqlite", database=str(path))
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_MS / 1000})

    @sa.event.listens_for(engine, "connect")
    def _prepare(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # we say BEGIN ourselves, see below
        cursor = raw.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_MS}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # A deferred transaction that turns into a writer fails at once when another has written meanwhile.
        options = connection.get_execution_options()
        patience_ms = options.get("patience_ms", _BUSY_MS)
        if patience_ms == _BUSY_MS:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writing", False) else "BEGIN")
            return
        connection.exec_driver_sql(f"PRAGMA busy_timeout={patience_ms}")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={_BUSY_MS}")

    return engine


def _postgres(url: str) -> sa.Engine:
    # SQLAlchemy 2.1 reads a bare postgresql:// as psycopg 3 already; say so, other versions do not.
    parsed = sa.make_url(url)
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return sa.create_engine(
        parsed,
        pool_size=5,
        pool_timeout=5,
        pool_pre_ping=True,
        connect_args={"options": "-c search_path=platform,public"},
    )

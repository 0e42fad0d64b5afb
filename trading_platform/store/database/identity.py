"""One database belongs to one data directory: the same id lies in both, or nothing is written."""

from __future__ import annotations

import uuid

import psycopg

from trading_platform.domain.errors import UsageError
from trading_platform.store.fs.checked_file import read_checked, write_checked
from trading_platform.store.fs.disk import make_directory
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import FileLock

_WAIT_S = 30.0


def on_disk(data: DataDir) -> str | None:
    """Return the id of the data directory's database, None if it never had one.

    Raises
    ------
    CorruptionError : if the file is damaged.
    """
    try:
        return read_checked(data.state / "database-id").decode()
    except FileNotFoundError:
        return None


def bind(data: DataDir, db: psycopg.Connection) -> str:
    """Return the id of a migrated database that belongs to the data directory; a fresh one is taken.

    Raises
    ------
    UsageError : if it belongs to another data directory, or the data directory to another database.
    """
    with FileLock.acquire(data.run / "database-id.lock", "the id of a database", wait_s=_WAIT_S):
        here = on_disk(data)
        there = _in_database(db)
        if there is None:
            here = here or str(uuid.uuid4())
            _keep(data, here)
            # Of two directories that take a fresh database in the same moment, one gets it.
            db.execute("INSERT INTO platform.identity (id) VALUES (%s) ON CONFLICT DO NOTHING", [here])
            there = _in_database(db)
        _check(data, here, there)
        return str(there)


def check(data: DataDir, db: psycopg.Connection) -> None:
    """Refuse a database that is not the data directory's own.

    Raises
    ------
    UsageError : if it belongs to another data directory or to none.
    """
    _check(data, on_disk(data), _in_database(db))


def forget(data: DataDir) -> None:
    """Let a data directory have another database than the one that it had, which is gone."""
    (data.state / "database-id").unlink(missing_ok=True)


def refuse_other(data: DataDir, db: psycopg.Connection) -> None:
    """Refuse a database that belongs to another data directory; one that belongs to none is let pass.

    Raises
    ------
    UsageError : if it does.
    """
    there = _in_database(db)
    if there is not None:
        _check(data, on_disk(data), there)


def _keep(data: DataDir, name: str) -> None:
    make_directory(data.state)
    write_checked(data.state / "database-id", name.encode())


def _check(data: DataDir, here: str | None, there: str | None) -> None:
    if here == there:
        return
    if here is None:
        raise UsageError(f"the database belongs to another data directory than {data.root}; give it one of its own")
    raise UsageError(f"{data.root} belongs to another database than the one of TRADING_PLATFORM_DATABASE_URL")


def _in_database(db: psycopg.Connection) -> str | None:
    row = db.execute("SELECT id::text FROM platform.identity").fetchone()
    return None if row is None else str(row[0])

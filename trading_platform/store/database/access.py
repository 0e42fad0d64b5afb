"""How the platform's processes come to the database of a data directory: migrated, theirs, in the right role."""

from __future__ import annotations

import psycopg

from trading_platform.domain.errors import UsageError
from trading_platform.store.database import identity, migrate, roles, urls
from trading_platform.store.database.pool import DatabasePool, options, trouble_named
from trading_platform.store.fs.layout import DataDir


def prepare(data: DataDir, url: str) -> list[migrate.Step]:
    """Migrate the data directory's database where needed; one of another data directory stays untouched.

    Raises
    ------
    DatabaseUnavailable, UsageError, ProofFailed : as `writer`.
    """
    return [] if _version(data, url) == migrate.HEAD else migrate.upgrade(url)


def writer(data: DataDir, url: str, **limits: float) -> DatabasePool:
    """Return connections as `tp_writer` to the data directory's database, which is migrated first where needed.

    Parameters
    ----------
    data : the data directory; a fresh database becomes its own.
    url : libpq's URL.
    limits : of `DatabasePool`.

    Raises
    ------
    DatabaseUnavailable : if it does not answer.
    UsageError : if it belongs to another data directory, or the server lacks something.
    ProofFailed : if a migration did not prove itself.
    """
    prepare(data, url)
    pool = DatabasePool(url, roles.WRITER, **limits)  # type: ignore[arg-type]
    try:
        with pool.transaction() as db:
            identity.bind(data, db)
    except BaseException:
        pool.close()
        raise
    return pool


def reader(data: DataDir, url: str, **limits: float) -> DatabasePool:
    """Return connections as `tp_reader` to the data directory's database, which is neither migrated nor taken.

    Raises
    ------
    DatabaseUnavailable : if it does not answer.
    UsageError : if it is not this data directory's, or nothing was written to it yet.
    """
    if _version(data, url) != migrate.HEAD:
        raise UsageError(f"the database {urls.shown(url)} is not prepared; run: database migrate")
    pool = DatabasePool(url, roles.READER, **limits)  # type: ignore[arg-type]
    try:
        with pool.transaction() as db:
            identity.check(data, db)
    except BaseException:
        pool.close()
        raise
    return pool


def _version(data: DataDir, url: str) -> str | None:
    """Return the revision of the database, unless it is another data directory's.

    It is asked with the login's own rights, for the roles may not be there yet.
    """
    with (
        trouble_named(urls.shown(url)),
        psycopg.connect(urls.libpq(url), connect_timeout=5, options=options(None)) as db,
    ):
        known = migrate.version(db)
        if known is not None:
            identity.refuse_other(data, db)
        return known

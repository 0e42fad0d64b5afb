"""A database that is there for a while: made on the server of another one, dropped at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from trading_platform.domain.errors import UsageError
from trading_platform.store.database import urls
from trading_platform.store.database.pool import options, trouble_named


@contextmanager
def scratch_database(url: str, name: str) -> Iterator[str]:
    """Make an empty database beside the one of `url`, give its address, and drop it whoever is still connected.

    Raises
    ------
    DatabaseUnavailable : if the server does not answer.
    UsageError : if this user may not make databases.
    """
    with trouble_named(urls.shown(url)), _session(url) as db:
        try:
            db.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            raise UsageError(f"the user of {urls.shown(url)} may not make databases; allow CREATEDB") from None
    try:
        yield urls.with_database(url, name)
    finally:
        with trouble_named(urls.shown(url)), _session(url) as db:
            db.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _session(url: str) -> psycopg.Connection:
    given = options(None, query_ms=60_000)
    return psycopg.connect(urls.libpq(url), autocommit=True, connect_timeout=5, options=given)

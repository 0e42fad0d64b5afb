"""Connections to the database: few, bounded in every wait, each in the role that its process needs.

A query has 5 s, a lock 2 s, a free connection 5 s; a server whose machine is gone is given up within 10 s. One that
takes everything and answers nothing is given up with the transaction, which has 10 s more than one query.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import sqlalchemy as sa

from trading_platform.domain.errors import DatabaseUnavailable, UsageError
from trading_platform.store.database import urls

QUERY_MS, LOCK_MS, FREE_S, SIZE, SILENT_S = 5_000, 2_000, 5.0, 20, 10.0
_SILENT = {"connect_timeout": 5, "keepalives_idle": 3, "keepalives_interval": 2, "keepalives_count": 2}
_SILENT |= {"tcp_user_timeout": 8_000}
_LATER = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DiskFull,
    psycopg.errors.AdminShutdown,
    psycopg.errors.CannotConnectNow,
    psycopg.errors.TooManyConnections,
)


def options(role: str | None, *, query_ms: int = QUERY_MS, lock_ms: int = LOCK_MS, timezone: str = "UTC") -> str:
    """Return libpq's ``options`` of a session.

    >>> options("tp_reader")
    '-c role=tp_reader -c statement_timeout=5000 -c lock_timeout=2000 -c timezone=UTC'
    """
    taken = [] if role is None else [f"role={role}"]
    limits = [f"statement_timeout={query_ms}", f"lock_timeout={lock_ms}", f"timezone={timezone}"]
    return " ".join(f"-c {word}" for word in (*taken, *limits))


class DatabasePool:
    """At most 20 connections of one process to the database, opened when they are needed.

    Parameters
    ----------
    url : libpq's URL.
    role : the role that each connection takes (`roles.WRITER`, `roles.READER`); None: the login's own rights.
    query_ms, lock_ms : longest wait of a statement, and for a lock.
    size, free_s : most connections, and how long `transaction` waits for a free one.
    silent_s : how much longer than one query a transaction may take; then the connection is cut.

    Examples
    --------
    >>> pool = DatabasePool("postgresql://me@127.0.0.1:1/none", "tp_reader")
    >>> with pool.transaction() as db:
    ...     pass
    Traceback (most recent call last):
    trading_platform.domain.errors.DatabaseUnavailable: 127.0.0.1:1/none does not answer: ...
    """

    def __init__(
        self,
        url: str,
        role: str | None,
        *,
        query_ms: int = QUERY_MS,
        lock_ms: int = LOCK_MS,
        size: int = SIZE,
        free_s: float = FREE_S,
        silent_s: float = SILENT_S,
    ) -> None:
        self._place = urls.shown(url)
        self._within_s = query_ms / 1000 + silent_s if query_ms else None
        given = {**_SILENT, "options": options(role, query_ms=query_ms, lock_ms=lock_ms)}
        self.engine = sa.create_engine(
            urls.for_sqlalchemy(url), pool_size=size, max_overflow=0, pool_timeout=free_s, connect_args=given
        )

    @contextmanager
    def transaction(self, *, more_s: float = 0.0) -> Iterator[psycopg.Connection]:
        """Give a connection with a transaction: committed at the end of the block, rolled back on an error.

        Parameters
        ----------
        more_s : how much longer than others this one may take.

        Raises
        ------
        DatabaseUnavailable : if the server does not answer in time, no connection comes free, or a lock is held.
        """
        with trouble_named(self._place):
            pooled = self.engine.raw_connection()
            db = pooled.driver_connection
            assert isinstance(db, psycopg.Connection)
            try:
                with _cut_off(db, None if self._within_s is None else self._within_s + more_s):
                    yield db
                    db.commit()
            except BaseException as error:
                # A connection that broke, or whose state is unknown, is never used again.
                if db.closed or not isinstance(error, psycopg.Error):
                    pooled.invalidate()
                else:
                    _roll_back(db, pooled)
                raise
            finally:
                pooled.close()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextmanager
def _cut_off(db: psycopg.Connection, within_s: float | None) -> Iterator[None]:
    """Cut the connection if the block takes too long.

    The server's own limits do nothing while it is silent, and to TCP all is well: a black hole acknowledges packets.
    """
    if within_s is None:
        yield
        return
    link = socket.socket(fileno=os.dup(db.fileno()))

    def cut() -> None:
        with suppress(OSError):  # the block has just ended
            link.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(within_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        link.close()


def _roll_back(db: psycopg.Connection, pooled: sa.PoolProxiedConnection) -> None:
    try:
        db.rollback()
    except psycopg.Error:
        pooled.invalidate()


@contextmanager
def trouble_named(place: str) -> Iterator[None]:
    """Tell a server that is away, slow or busy from a bug: one line says so, and the caller can try again later."""
    try:
        yield
    except sa.exc.TimeoutError:
        raise DatabaseUnavailable(f"{place} has no free connection within {FREE_S:g} s") from None
    except _LATER as error:
        raise DatabaseUnavailable(f"{place} did not do it in time: {_line(error)}") from error
    except (sa.exc.OperationalError, psycopg.OperationalError) as error:
        cause = error.orig if isinstance(error, sa.exc.OperationalError) else error
        if isinstance(cause, psycopg.errors.InvalidPassword | psycopg.errors.InvalidAuthorizationSpecification):
            raise UsageError(f"{place} refuses the user or password of TRADING_PLATFORM_DATABASE_URL") from None
        raise DatabaseUnavailable(f"{place} does not answer: {_line(cause)}") from error


def _line(error: BaseException | None) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:200]

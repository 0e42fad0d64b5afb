"""Compress old chunks and refresh the hourly aggregate, where the server's licence has that; else do nothing.

A job of the server's own would need a role that can log in, and `tp_owner` can't. The aggregate's view adds the newest
hours up itself. Of an hour that was refreshed and repaired since it shows the repair after the next refresh: the server
notes what changed, and a refresh visits only that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import psycopg

from trading_platform.domain.errors import PlatformError
from trading_platform.store.database import roles, urls
from trading_platform.store.database.features import features
from trading_platform.store.database.pool import options, trouble_named
from trading_platform.telemetry.logs import get_logger

log = get_logger(__name__)

COMPRESS_AFTER_DAYS = 14
"""Repairs come within days; a compressed chunk takes them too, at a price."""
REFRESH_UNTIL_HOURS = 2
"""The newest hours still change with every trade."""
TABLES = ("ticks", "bars", "indicators", "regimes")
EVERY_S = 3600.0
_STATEMENT_MS = 600_000
_LOCK = 7_261_943_004
"""Any number, the same in every process: one of them at a time."""


class Maintained(NamedTuple):
    """What was done: chunks that are compressed now and were not, and whether the aggregate was refreshed."""

    compressed: int
    refreshed: bool


def keep(url: str) -> Maintained:
    """Do what is due.

    Raises
    ------
    DatabaseUnavailable : if the database is away, busy or slow; what was done until then stays.
    """
    given = options(roles.OWNER, query_ms=_STATEMENT_MS)
    with (
        trouble_named(urls.shown(url)),
        psycopg.connect(urls.libpq(url), connect_timeout=5, autocommit=True, options=given) as db,
    ):
        if not features(db).community or db.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() != (True,):
            return Maintained(0, refreshed=False)
        compressed = sum(_compress(db, table) for table in TABLES)
        db.execute(
            "CALL refresh_continuous_aggregate('market.ticks_by_hour', NULL,"
            f" time_bucket(interval '1 hour', now() - interval '{REFRESH_UNTIL_HOURS} hours'))"
        )
        return Maintained(compressed, refreshed=True)


def keep_on(url: str, wait: Callable[[float], bool]) -> None:
    """Do what is due once an hour until `wait` says stop; whatever fails is due again in the next one."""
    while not wait(EVERY_S):
        try:
            done = keep(url)
        except (PlatformError, psycopg.Error) as error:
            log.warning("database not maintained", reason=str(error))
        else:
            if done.compressed:
                log.info("chunks compressed", chunks=done.compressed)


def _compress(db: psycopg.Connection, table: str) -> int:
    """Compress the old chunks of a table, each in a transaction of its own; return how many."""
    chunks = db.execute(
        "SELECT format('%%I.%%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks"
        " WHERE hypertable_schema = 'market' AND hypertable_name = %s AND NOT is_compressed"
        " AND range_end < now() - make_interval(days => %s) ORDER BY range_start",
        [table, COMPRESS_AFTER_DAYS],
    ).fetchall()
    for (chunk,) in chunks:
        db.execute("SELECT compress_chunk(%s::regclass, if_not_compressed => true)", [chunk])
    return len(chunks)

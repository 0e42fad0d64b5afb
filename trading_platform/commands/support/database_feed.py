"""What commands do with the database, if the settings name one: bring over what they published; a demo's own database.

None of it keeps a command from doing its work: a database that is away is one warning, the next round brings the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trading_platform.ingest.processor.database_follower import Fed
    from trading_platform.settings import Settings
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger
    from trading_platform.store.verify_database import Compared

VARIABLE = "TRADING_PLATFORM_DATABASE_URL"


def feed(settings: Settings, data: DataDir, ledger: Ledger) -> Fed | None:
    """Bring what is published into the database; None if there is no database, or it is away.

    Raises
    ------
    UsageError : if it belongs to another data directory.
    """
    if not settings.database_url.get_secret_value():
        return None
    from trading_platform.domain.errors import DatabaseUnavailable
    from trading_platform.telemetry.logs import get_logger

    try:
        return feed_now(settings, data, ledger)
    except DatabaseUnavailable as error:
        get_logger(__name__).warning("database not written; the next ingest or backfill does", reason=str(error))
        return None


def feed_now(settings: Settings, data: DataDir, ledger: Ledger) -> Fed:
    """Do the same; a database that is away is an error.

    Raises
    ------
    DatabaseUnavailable, UsageError : as `access.writer`.
    """
    from trading_platform.ingest.decoder.bounds import Bounds
    from trading_platform.ingest.processor.database_follower import sync
    from trading_platform.store.database import access
    from trading_platform.venues import VENUES

    pool = access.writer(data, settings.database_url.get_secret_value())
    try:
        bounds = Bounds.of(settings.history_start)
        return sync(data, ledger, VENUES, bounds, pool, wall_ns=time.time_ns, monotonic=time.monotonic)
    finally:
        pool.close()


def compare(settings: Settings, data: DataDir, ledger: Ledger) -> Compared | None:
    """Compare lake and database; None without a database. One that is away is a violation: nothing was compared."""
    url = settings.database_url.get_secret_value()
    if not url:
        return None
    from trading_platform.domain.errors import DatabaseUnavailable
    from trading_platform.store.database import access, urls
    from trading_platform.store.verify import Violation
    from trading_platform.store.verify_database import Compared, compare as compared

    try:
        pool = access.reader(data, url)
        try:
            return compared(data, ledger, pool)
        finally:
            pool.close()
    except DatabaseUnavailable as error:
        return Compared(0, 0, (Violation("database", urls.shown(url), f"not compared: {error}"),))


@contextmanager
def own_database(settings: Settings, data: DataDir) -> Iterator[Settings]:
    """Within the block the setting names a new database on the same server, dropped afterwards, if it names any.

    Raises
    ------
    DatabaseUnavailable : if the server is away.
    UsageError : if the user of the setting may not make databases.
    """
    given, before = settings.database_url.get_secret_value(), os.environ.get(VARIABLE)
    if not given:
        yield settings
        return
    from pydantic import SecretStr

    from trading_platform.store.database import identity
    from trading_platform.store.database.scratch import scratch_database

    with scratch_database(given, f"tp_demo_{os.getpid()}") as url:
        os.environ[VARIABLE] = url  # for the ingest that it starts
        try:
            yield settings.model_copy(update={"database_url": SecretStr(url)})
        finally:
            identity.forget(data)
            os.environ.pop(VARIABLE)
            if before is not None:
                os.environ[VARIABLE] = before

"""What the server's TimescaleDB can do: its licence decides, so it is asked."""

from __future__ import annotations

from typing import NamedTuple

import psycopg

from trading_platform.domain.errors import UsageError


class Features(NamedTuple):
    """A server's TimescaleDB.

    Attributes
    ----------
    version : of the extension.
    licence : ``apache`` or ``timescale``.
    """

    version: str
    licence: str

    @property
    def community(self) -> bool:
        """Whether it has compression, policies and continuous aggregates."""
        return self.licence == "timescale"


def features(db: psycopg.Connection) -> Features:
    """Return what the database's TimescaleDB can do.

    Raises
    ------
    UsageError : if the database has none.
    """
    row = db.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    if row is None:
        raise UsageError("the database has no TimescaleDB; as an administrator: CREATE EXTENSION timescaledb")
    licence = db.execute("SELECT current_setting('timescaledb.license')").fetchone()
    assert licence is not None
    return Features(str(row[0]), str(licence[0]))

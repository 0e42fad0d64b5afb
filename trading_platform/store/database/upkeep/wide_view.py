"""The view `market.indicators_wide`: a row a bar and a column an output of the settings, for SQL by hand.

The table is long, so that settings may change without a migration; the view is made anew by ``database migrate``.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from trading_platform.domain.errors import UsageError
from trading_platform.store.database import roles, urls
from trading_platform.store.database.pool import options, trouble_named

NAME = sql.Identifier("market", "indicators_wide")
_VIEW = sql.SQL(
    "CREATE VIEW {name} AS SELECT i.venue, i.symbol, v.timeframe, v.ts_open, min(v.ts_close) AS ts_close,"
    " bool_and(v.complete) AS complete{outputs} FROM market.indicators v"
    " JOIN market.instruments i ON i.id = v.instrument_id GROUP BY i.venue, i.symbol, v.timeframe, v.ts_open"
)
_OUTPUT = sql.SQL(", max(v.value) FILTER (WHERE v.name = {text}) AS {name}")


def make(url: str, outputs: Sequence[str]) -> bool:
    """Let the view have these outputs, in this order; return False if it has them already.

    Raises
    ------
    UsageError : if a view of the user's own depends on it.
    DatabaseUnavailable : if the database is away.
    """
    given = options(roles.OWNER, lock_ms=10_000)
    with (
        trouble_named(urls.shown(url)),
        psycopg.connect(urls.libpq(url), connect_timeout=5, options=given) as db,
    ):
        if _columns(db)[6:] == list(outputs):
            return False
        parts = [_OUTPUT.format(text=sql.Literal(name), name=sql.Identifier(name)) for name in outputs]
        try:
            db.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(NAME))
        except psycopg.errors.DependentObjectsStillExist as error:
            raise UsageError(f"market.indicators_wide cannot be made anew: {error.diag.message_detail}") from None
        db.execute(_VIEW.format(name=NAME, outputs=sql.SQL("").join(parts)))
        readers = sql.SQL(", ").join(map(sql.Identifier, (roles.READER, roles.WRITER)))
        db.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(NAME, readers))
    return True


def _columns(db: psycopg.Connection) -> list[str]:
    query = (
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'market'"
        " AND table_name = 'indicators_wide' ORDER BY ordinal_position"
    )
    return [name for (name,) in db.execute(query)]

"""The numbers that instruments have in the database; the columns and rows of ticks as they lie there."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
import pyarrow as pa
from psycopg import sql

from trading_platform.store.database.rows.binary_copy import HEADER, TRAILER, encode

_TIMES = ("ts_event", "ts_event_ns", "ts_recv", "ts_recv_ns")
TICKS = ("instrument_id", "epoch", "trade_id", "trade_uid", *_TIMES, "price", "quantity", "side", "source")
"""The columns of `market.ticks`, in the order of `tick_rows`."""


class InstrumentNumbers:
    """Remembers the number of each (venue, symbol); a new one gets one."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}

    def of(self, db: psycopg.Connection, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Return the number of each pair, within the caller's transaction."""
        wanted = list(pairs)
        if any(pair not in self._known for pair in wanted):
            for pair in sorted(set(wanted) - self._known.keys()):
                # A statement that finds the row takes no lock and uses up no number.
                db.execute(
                    "INSERT INTO market.instruments (venue, symbol) SELECT %s, %s WHERE NOT EXISTS"
                    " (SELECT FROM market.instruments WHERE venue = %s AND symbol = %s) ON CONFLICT DO NOTHING",
                    [*pair, *pair],
                )
            rows = db.execute("SELECT venue, symbol, id FROM market.instruments").fetchall()
            known = {(venue, symbol): number for venue, symbol, number in rows}
            return {pair: known[pair] for pair in wanted}
        return {pair: self._known[pair] for pair in wanted}

    def keep(self, numbers: dict[tuple[str, str], int]) -> None:
        """Remember numbers whose transaction was committed."""
        self._known |= numbers


def tick_rows(table: pa.Table, number: int) -> pa.Table:
    """Return ticks of one instrument as rows of `market.ticks`."""
    columns = {
        "instrument_id": pa.repeat(pa.scalar(number, pa.int32()), table.num_rows),
        "ts_event_ns": table.column("ts_event").cast(pa.int64()),
        "ts_recv_ns": table.column("ts_recv").cast(pa.int64()),
    }
    return pa.table({name: columns[name] if name in columns else table.column(name) for name in TICKS})


def copy_in(db: psycopg.Connection, place: sql.Identifier, table: pa.Table) -> None:
    """Copy an Arrow table into a table with columns of these names."""
    names = sql.SQL(", ").join(map(sql.Identifier, table.column_names))
    with db.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(place, names)) as copy:
        copy.write(HEADER)
        for rows in encode(table):
            copy.write(rows)
        copy.write(TRAILER)

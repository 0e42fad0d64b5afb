"""Write live trades into `market.ticks`: each once, with the position in the log, in one transaction.

Only ids that hold a trade and that `platform.coverage` does not have are copied: no unique violation is met on the way,
and if the outcome of a commit is unknown, writing again changes nothing. Trades without integer ids go through a
temporary table and the index of their text ids. What the lake makes of copies that differ is brought over by
lake_copy.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from trading_platform.completeness.records import SequenceKey
from trading_platform.domain.id_ranges import IdRanges, id_runs
from trading_platform.domain.position import Position
from trading_platform.domain.trades.trade import SOURCES
from trading_platform.store.database.pool import DatabasePool
from trading_platform.store.database.rows import coverage
from trading_platform.store.database.rows.instruments import InstrumentNumbers, copy_in, tick_rows
from trading_platform.store.lake import schema

_TICKS = sql.Identifier("market", "ticks")
_FRESH = sql.Identifier("fresh_ticks")


UsedUp = Callable[[Iterable[tuple[str, str]]], Mapping[tuple[str, str], Mapping[int, IdRanges]]]


class TradeWriter:
    """Writes trades of one sink.

    Parameters
    ----------
    pool : connections as `tp_writer`.
    sink : the name under which positions are kept.
    used_up : gives the ids that hold no trade, whatever a channel delivers for them (`Ledger.used_up_of`).
    """

    def __init__(self, pool: DatabasePool, sink: str, used_up: UsedUp = lambda pairs: {}) -> None:
        self._pool, self._sink, self._used_up = pool, sink, used_up
        self._numbers = InstrumentNumbers()

    def position(self, lane: str) -> Position | None:
        """Return up to where the database holds a lane, by its own account; None if it knows none."""
        with self._pool.transaction() as db:
            row = db.execute(
                "SELECT segment, byte_offset FROM platform.watermarks WHERE sink = %s AND lane = %s", [self._sink, lane]
            ).fetchone()
        return None if row is None else Position(*row)

    def write(self, lane: str, trades: Mapping[SequenceKey, pa.Table], position: Position) -> int:
        """Write what is new of these trades, and that the lane is held up to `position`; return how many were new.

        Parameters
        ----------
        trades : ticks by sequence, in any order, with any repetition.

        Raises
        ------
        DatabaseUnavailable : if the server is away, slow or busy. Whether it was written is unknown then, and writing
            again is right in either case.
        """
        with self._pool.transaction() as db:
            numbers = self._numbers.of(db, ((key.venue, key.symbol) for key in trades))
            written = 0
            # In one order for every writer: two that lock the same instruments never wait for each other in a ring.
            ordered = sorted(trades, key=lambda key: (numbers[key.venue, key.symbol], key.epoch))
            covered = {key: coverage.lock(db, numbers[key.venue, key.symbol], key.epoch) for key in ordered}
            # Asked once the rows are locked: what is found to hold no trade later is deleted with the leaf, later.
            void = self._used_up({(key.venue, key.symbol) for key in trades})
            for key in ordered:
                known = covered[key].copy()
                known.update(void.get((key.venue, key.symbol), {}).get(key.epoch, IdRanges()))
                written += _write_one(db, numbers[key.venue, key.symbol], key.epoch, trades[key], known)
            db.execute(
                "INSERT INTO platform.watermarks AS w (sink, lane, segment, byte_offset, context)"
                " VALUES (%s, %s, %s, %s, '') ON CONFLICT (sink, lane) DO UPDATE SET segment = excluded.segment,"
                " byte_offset = excluded.byte_offset, updated_at = now()",
                [self._sink, lane, *position],
            )
        self._numbers.keep(numbers)
        return written


def _write_one(db: psycopg.Connection, number: int, epoch: int, ticks: pa.Table, covered: IdRanges) -> int:
    if ticks.column("trade_id").null_count:
        return _write_texts(db, number, ticks)
    ids = ticks.column("trade_id").to_numpy()
    keep = first_copies(ticks, covered)
    if not len(keep):
        return 0
    whole = len(keep) == len(ids)
    copy_in(db, _TICKS, tick_rows(ticks if whole else ticks.take(pa.array(keep)), number))
    coverage.add(db, number, epoch, id_runs(np.sort(ids[keep])))
    return len(keep)


def first_copies(ticks: pa.Table, covered: IdRanges) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return which rows are to be written: of each id that is not covered the copy that came first.

    Examples
    --------
    >>> table = pa.table({"trade_id": [1, 2, 2, 3], "ts_recv": [5, 9, 7, 8], "source": ["ws"] * 4})
    >>> first_copies(table, IdRanges([(3, 3)])).tolist()
    [0, 2]
    """
    ids = ticks.column("trade_id").to_numpy()
    rows = np.flatnonzero(~covered.among(ids))
    if len(rows) < 2 or bool((np.diff(ids[rows]) > 0).all()):
        return rows
    received = ticks.column("ts_recv").cast(pa.int64()).to_numpy()[rows]
    source = schema.codes(ticks.column("source"), SOURCES, "source")[rows]
    order = np.lexsort((source, received, ids[rows]))
    _, first = np.unique(ids[rows][order], return_index=True)
    return np.sort(rows[order[first]])


def _write_texts(db: psycopg.Connection, number: int, ticks: pa.Table) -> int:
    db.execute("CREATE TEMP TABLE IF NOT EXISTS fresh_ticks (LIKE market.ticks) ON COMMIT DELETE ROWS")
    copy_in(db, _FRESH, tick_rows(ticks, number))
    done = db.execute(
        "INSERT INTO market.ticks SELECT DISTINCT ON (ts_event, trade_uid) * FROM fresh_ticks"
        " ORDER BY ts_event, trade_uid, ts_recv_ns, array_position(ARRAY['ws', 'rest', 'archive'], source)"
        " ON CONFLICT DO NOTHING"
    )
    db.execute("DELETE FROM fresh_ticks")
    return done.rowcount

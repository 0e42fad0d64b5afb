"""Read spans of time out of the database: the rows and columns that store/lake/reader.py reads out of the lake.

Every value reaches the server as a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from psycopg import sql

from trading_platform.domain.datasets import DATASETS
from trading_platform.store.database.pool import DatabasePool
from trading_platform.store.lake import schema

_MOST_MS = 600_000
"""How long one reading may take: the caller waits for it, nothing else does."""
_NS = "(extract(epoch FROM {0}) * 1000000)::bigint * 1000"
_FROM_US = "'epoch'::timestamptz + %({0})s * interval '1 microsecond'"
_NUMBER = "(SELECT id FROM market.instruments WHERE venue = %(venue)s AND symbol = %(symbol)s)"


class DatabaseReader:
    """Reads what the database holds of one data directory.

    Parameters
    ----------
    pool : connections as `tp_reader`.
    """

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    def ticks(self, venue: str, symbol: str, start_ns: int, end_ns: int) -> pa.Table:
        """Return the trades with `ts_event` in [start, end).

        Raises
        ------
        DatabaseUnavailable : if the database is away, or too slow.
        """
        columns = {name: name for name in schema.TICKS.names} | {"ts_event": "ts_event_ns", "ts_recv": "ts_recv_ns"}
        query = sql.SQL(
            "SELECT {columns} FROM market.ticks WHERE instrument_id = {number} AND ts_event >= {low}"
            " AND ts_event <= {high} AND ts_event_ns >= %(start)s AND ts_event_ns < %(end)s"
            " ORDER BY epoch, trade_id, ts_event_ns, trade_uid"
        )
        return self._table(query, columns, schema.TICKS, venue, symbol, start_ns, end_ns)

    def bars(self, venue: str, symbol: str, timeframe: str, start_ns: int, end_ns: int) -> pa.Table:
        """Return the bars with `ts_open` in [start, end)."""
        return self._table(_rows_of("bars"), _columns("bars"), schema.BARS, venue, symbol, start_ns, end_ns, timeframe)

    def regimes(
        self, venue: str, symbol: str, timeframe: str, start_ns: int, end_ns: int, *, model: str = "gaussian_hmm"
    ) -> pa.Table:
        """Return the regime labels with `ts_open` in [start, end)."""
        query = _rows_of("regimes", " AND model = %(model)s")
        shape = schema.REGIMES
        return self._table(query, _columns("regimes"), shape, venue, symbol, start_ns, end_ns, timeframe, model=model)

    def indicators(
        self,
        venue: str,
        symbol: str,
        timeframe: str,
        start_ns: int,
        end_ns: int,
        *,
        outputs: Callable[[], Sequence[str]] = tuple,
    ) -> pa.Table:
        """Return the indicators with `ts_open` in [start, end): the rows are those of bars.

        Parameters
        ----------
        outputs : called for the columns; others that the database has of this symbol follow them.
        """
        shape = schema.SHAPES["indicators"]
        columns = {name: _NS.format(name) if name != "complete" else name for name in shape.names}
        span = (venue, symbol, start_ns, end_ns, timeframe)
        rows = self._table(_rows_of("bars"), columns, shape, *span)
        long = pa.schema([("name", pa.string()), ("ts_open", pa.int64()), ("value", pa.float64())])
        columns = {"name": "name", "ts_open": _NS.format("ts_open"), "value": "value"}
        values = self._table(_rows_of("indicators"), columns, long, *span)
        found = values.column("name").to_pylist()
        at, numbers = values.column("ts_open").to_pylist(), values.column("value").to_pylist()
        by_name: dict[str, dict[int, float]] = {}
        for name, instant, number in zip(found, at, numbers, strict=True):
            by_name.setdefault(name, {})[instant] = number
        opens = rows.column("ts_open").cast(pa.int64()).to_pylist()
        for name in dict.fromkeys([*outputs(), *sorted(by_name)]):
            known = by_name.get(name, {})
            rows = rows.append_column(name, pa.array([known.get(instant) for instant in opens], pa.float64()))
        return rows

    def _table(
        self,
        query: sql.SQL,
        columns: dict[str, str],
        shape: pa.Schema,
        venue: str,
        symbol: str,
        start_ns: int,
        end_ns: int,
        timeframe: str = "",
        **more: str,
    ) -> pa.Table:
        words: dict[str, Any] = {"venue": venue, "symbol": symbol, "timeframe": timeframe, **more}
        words |= {"start": start_ns, "end": end_ns, "low": start_ns // 1000}
        words |= {"first": -(-start_ns // 1000), "high": -(-end_ns // 1000)}
        chosen = sql.SQL(", ").join(sql.SQL(text) for text in columns.values())
        places = {"number": sql.SQL(_NUMBER), **{n: sql.SQL(_FROM_US.format(n)) for n in ("low", "first", "high")}}
        whole = query.format(columns=chosen, **places)
        with self._pool.transaction(more_s=_MOST_MS / 1000) as db, db.cursor(binary=True) as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{_MOST_MS}ms"])
            cursor.execute(whole, words)
            rows = cursor.fetchall()
        made = zip(*rows, strict=True) if rows else [()] * len(shape)
        arrays = [pa.array(list(values), _stored(field.type)) for values, field in zip(made, shape, strict=True)]
        return pa.Table.from_arrays([a.cast(f.type) for a, f in zip(arrays, shape, strict=True)], schema=shape)


def _stored(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def _columns(dataset: str) -> dict[str, str]:
    times = DATASETS[dataset].times
    return {name: _NS.format(name) if name in times else name for name in schema.SHAPES[dataset].names}


def _rows_of(table: str, more: str = "") -> sql.SQL:
    """Return the query for a computed dataset's rows of a span; an interval begins on a microsecond."""
    return sql.SQL(
        f"SELECT {{columns}} FROM market.{table} WHERE instrument_id = {{number}} AND timeframe = %(timeframe)s"  # noqa: S608  names of ours
        f" AND ts_open >= {{first}} AND ts_open < {{high}}{more} ORDER BY ts_open"
    )

"""The second sink: the database. It takes what a follower decodes of one lane, and writes it in few transactions.

While the database is away nothing is held here: the log holds everything, and the follower reads it again.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from trading_platform.completeness.records import SequenceKey
from trading_platform.domain.position import Position
from trading_platform.domain.trades.trade_columns import TradeColumns
from trading_platform.ingest.processor.staging_sink import to_table
from trading_platform.store.database.rows.trades import TradeWriter

NAME = "timescaledb"
"""Under which the ledger and the database keep its positions."""


class DatabaseSink:
    """Takes the trades of one lane; see `sink.Sink`.

    Attributes
    ----------
    rows : trades that were taken and not written yet.
    newest_ns : when the newest of them was received.
    written : how many trades the last `flush` found to be new.

    Parameters
    ----------
    writer : writes into the database.
    lane : the lane that is fed to it.
    held : up to where the sink holds the lane.
    """

    name = NAME

    def __init__(self, writer: TradeWriter, lane: str, held: Position) -> None:
        self._writer, self._lane = writer, lane
        self._held = self._end = held
        self._waiting: dict[SequenceKey, list[pa.Table]] = {}
        self.rows = self.written = self.newest_ns = 0

    @property
    def waits(self) -> bool:
        """Tell whether there is something to write, be it only that a stretch of the log held no trade."""
        return self._end != self._held

    def write(self, columns: Mapping[SequenceKey, TradeColumns], position: Position) -> None:
        """Take the trades up to `position`."""
        for key, trades in columns.items():
            self._waiting.setdefault(key, []).append(to_table(key, trades))
            self.rows += len(trades.price)
            self.newest_ns = max(self.newest_ns, int(trades.ts_recv[-1]))
        self._end = position

    def flush(self) -> Position:
        """Write what was taken; return up to where the database holds the lane.

        Raises
        ------
        DatabaseUnavailable : if the server is away, slow or busy; what was taken is forgotten, the log has it.
        """
        trades = {key: pa.concat_tables(tables).unify_dictionaries() for key, tables in self._waiting.items()}
        end, self._end = self._end, self._held
        self._waiting, self.rows = {}, 0
        self.written = self._writer.write(self._lane, trades, end)
        self._held = self._end = end
        return end

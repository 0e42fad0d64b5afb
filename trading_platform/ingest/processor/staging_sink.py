"""Collect decoded trades of a lane and put them into staging, one immutable part a symbol-day.

The log is what makes a trade durable, so parts may wait: few large ones instead of one a batch.
Merging parts into published files is store/lake/publish.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from trading_platform.completeness.records import SequenceKey
from trading_platform.domain.days import DAY_NS, day_of
from trading_platform.domain.position import Position
from trading_platform.domain.trades.trade import SOURCES
from trading_platform.domain.trades.trade_columns import TradeColumns, concatenate
from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import schema, staging
from trading_platform.store.ledger.sinks import STAGING

_PLACE_OF_SIDE = np.array([schema.SIDES.index("sell"), len(schema.SIDES), schema.SIDES.index("buy")], np.uint8)


class StagingSink:
    """Holds what lies between the staged and the decoded position of one lane; see `sink.Sink`.

    Its writes are idempotent: a part is named by where it begins and ends, and a merge takes a trade once.

    Parameters
    ----------
    over : asked before each part whether time is up.

    Attributes
    ----------
    rows : how many trades are held.
    touched : the (venue, symbol, day) of everything staged so far.
    """

    def __init__(
        self,
        data: DataDir,
        lane: str,
        start: Position,
        *,
        over: Callable[[], bool] = lambda: False,
        disk: Disk = REAL_DISK,
    ) -> None:
        self.name = STAGING
        self._over = over
        self._disk = disk
        self._data = data
        self._lane = lane
        self._staged = self._end = start
        self._held: dict[SequenceKey, list[TradeColumns]] = {}
        self.rows = 0
        self.touched: set[tuple[str, str, str]] = set()

    def write(self, columns: Mapping[SequenceKey, TradeColumns], position: Position) -> None:
        """Take the trades of one batch."""
        for key, trades in columns.items():
            self._held.setdefault(key, []).append(trades)
            self.rows += len(trades.trade_id)
        self._end = position

    def flush(self) -> Position:
        """Write everything held, durably, and return up to where that reaches.

        The position before, if time is up first. Then nothing counts as staged: parts that are written already are
        copies of what will be staged again.
        """
        parts: dict[Leaf, list[pa.Table]] = {}
        for key, batches in sorted(self._held.items()):
            columns = concatenate(batches)
            table = to_table(key, columns)
            days = columns.ts_event // DAY_NS
            one_day = len(days) and bool((days == days[0]).all())
            for number in days[:1] if one_day else np.unique(days):
                part = table if one_day else table.filter(pa.array(days == number))
                leaf = Leaf("ticks", key.venue, key.symbol, day_of(int(number) * DAY_NS))
                parts.setdefault(leaf, []).append(part)
        # One part, though a day may be of several numberings: parts are named by where the log ends.
        whole = {leaf: tables[0] if len(tables) == 1 else _joined(tables) for leaf, tables in parts.items()}
        position = self._staged, self._end
        if not staging.write_parts(self._data, self._lane, *position, whole, over=self._over, disk=self._disk):
            return self._staged
        self._held.clear()
        self.rows = 0
        self._staged = self._end
        self.touched |= {(leaf.venue, leaf.symbol, leaf.day) for leaf in parts}
        return self._staged


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def to_table(key: SequenceKey, columns: TradeColumns) -> pa.Table:
    """Return the trades of one sequence as ticks in the order given, sides and sources as codes (`schema.lean`)."""
    rows = len(columns.trade_id)
    instant = schema.TICKS.field("ts_event").type
    uids = columns.trade_uid
    return pa.table(
        {
            "trade_id": pa.array(columns.trade_id) if uids is None else pa.nulls(rows, pa.int64()),
            "trade_uid": pa.nulls(rows, pa.string()) if uids is None else pa.array(uids.astype(str), pa.string()),
            "epoch": pa.array(np.full(rows, key.epoch, np.int16)),
            "ts_event": pa.array(columns.ts_event).cast(instant),
            "ts_recv": pa.array(columns.ts_recv).cast(instant),
            "price": pa.array(columns.price),
            "quantity": pa.array(columns.quantity),
            "side": schema.coded(_PLACE_OF_SIDE[columns.side + 1], schema.SIDES),
            "source": schema.coded(columns.source.view(np.uint8), SOURCES),
        },
        schema=schema.LEAN,
    )

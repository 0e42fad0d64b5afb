"""The columnar form of trades: what every part from the decoder to the sinks passes on.

One trade as a venue's adapter reads it is domain/trades/trade.py. How the columns are stored is store/lake/schema.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Int8 = npt.NDArray[np.int8]
Texts = npt.NDArray[np.bytes_]

UID_TYPE = np.dtype("S40")
"""Text ids are ASCII and at most this long; adapters refuse others."""


NO_ID = -1


class TradeColumns(NamedTuple):
    """Trades of one symbol as columns of equal length, one row a trade, in the order of the log.

    A new column is added here; `empty`, `rows` and `concatenate` are the only ways by which other modules make columns
    of columns.

    Attributes
    ----------
    trade_id : int64, the venue's id; NO_ID of trades that have a `trade_uid`.
    ts_event : int64, the venue's trade time in ns since the epoch, UTC.
    ts_recv : int64, when we received it, in the same unit.
    price : float64, in the quote currency; finite and positive.
    quantity : float64, in the base currency; finite and positive.
    side : int8, the taker's side: 1 buy, -1 sell, 0 unknown.
    source : int8, how it came: its place in domain.trade.SOURCES.
    trade_uid : text ids of trades whose integer ids prove nothing, of type UID_TYPE; None: their ids are integers.

    Examples
    --------
    >>> two = concatenate([TradeColumns.empty(1), TradeColumns.empty(1)])
    >>> len(two.trade_id), len(two.rows(slice(1)).price), two.side.dtype
    (2, 1, dtype('int8'))
    """

    trade_id: Int64
    ts_event: Int64
    ts_recv: Int64
    price: Float64
    quantity: Float64
    side: Int8
    source: Int8
    trade_uid: Texts | None = None

    @classmethod
    def empty(cls, rows: int) -> TradeColumns:
        """Return columns of so many rows whose values are not set."""
        ids, events, receipts = (np.empty(rows, np.int64) for _ in range(3))
        price, quantity = (np.empty(rows, np.float64) for _ in range(2))
        side, source = (np.empty(rows, np.int8) for _ in range(2))
        return cls(ids, events, receipts, price, quantity, side, source)

    def rows(self, chosen: slice | Int64 | npt.NDArray[np.bool_]) -> TradeColumns:
        """Return some rows: a slice (without a copy), their numbers in the wanted order, or a mask."""
        return TradeColumns._make(None if column is None else column[chosen] for column in self)


def concatenate(parts: Sequence[TradeColumns]) -> TradeColumns:
    """Return the rows of all parts, in their order; all of them have text ids, or none."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*parts, strict=True)
    return TradeColumns._make(None if column[0] is None else np.concatenate(column) for column in columns)

"""The trades of one batch while it is decoded: one buffer for all sequences, taken apart by sequence at the end.

What a column holds is domain/trades/trade_columns.py. To which epoch a stream's trade belongs is known only once the
whole batch has been read (epoch_assigner.py); until then its key has the epoch UNASSIGNED.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading_platform.completeness.records import SequenceKey
from trading_platform.domain.trades.trade import SOURCES, Source, Trade
from trading_platform.domain.trades.trade_columns import NO_ID, UID_TYPE, TradeColumns

Int64 = npt.NDArray[np.int64]

UNASSIGNED = -1
"""The epoch of a trade that is not known yet."""
_SIDES = {"buy": 1, "sell": -1, None: 0}
_SOURCES = {source: code for code, source in enumerate(SOURCES)}


class TradeBuffer:
    """TradeColumns that grow, with one more column: the number of the sequence that a row belongs to.

    Examples
    --------
    >>> buffer = TradeBuffer()
    >>> key = SequenceKey("binance", "BTC-USDT", UNASSIGNED)
    >>> buffer.append(buffer.number(key), Trade("BTC-USDT", 7, 1_000, "1.5", "2", "buy"), 2_000, 1.5, 2.0, "ws")
    >>> buffer.by_key()[key].trade_id.tolist()
    [7]
    """

    def __init__(self) -> None:
        self._numbers: dict[SequenceKey, int] = {}
        self._keys: list[SequenceKey] = []
        self._count = 0
        self._number_of_row = np.empty(256, np.int64)
        self._columns = TradeColumns.empty(256)
        self._uids: dict[int, bytes] = {}  # by row; of most venues none

    def number(self, key: SequenceKey) -> int:
        """Return the number that stands for a key in this buffer; numbers count from 0."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._keys)
            self._keys.append(key)
        return number

    def key(self, number: int) -> SequenceKey:
        """Return the key that a number stands for."""
        return self._keys[number]

    def key_count(self) -> int:
        """Return how many numbers are given."""
        return len(self._keys)

    def append(self, number: int, trade: Trade, ts_recv: int, price: float, quantity: float, source: Source) -> None:
        """Add one trade that has an id or a text id, under the number of its key."""
        at = self._count
        if at == len(self._number_of_row):
            self.reserve(1)
        trade_id = trade.trade_id
        if trade_id is None:
            assert trade.trade_uid is not None
            trade_id, self._uids[at] = NO_ID, trade.trade_uid.encode("ascii")
        ids, events, receipts, prices, quantities, sides, sources, _ = self._columns
        self._number_of_row[at] = number
        ids[at], events[at], receipts[at] = trade_id, trade.ts_event, ts_recv
        prices[at], quantities[at], sides[at], sources[at] = price, quantity, _SIDES[trade.side], _SOURCES[source]
        self._count = at + 1

    def reserve(self, more: int) -> tuple[Int64, TradeColumns, int]:
        """Make room for more rows, to be written in place and then told by `fill`.

        Returns
        -------
        The column of key numbers, the columns of trades, and the first free row.
        """
        needed = self._count + more
        if needed > len(self._number_of_row):
            size = max(needed, 2 * len(self._number_of_row))
            used = slice(self._count)
            # Only what is used is copied: to fill the rest would touch memory that is not needed yet.
            numbers, columns = np.empty(size, np.int64), TradeColumns.empty(size)
            numbers[used] = self._number_of_row[used]
            new: tuple[npt.NDArray[np.generic], ...] = columns[:7]
            old: tuple[npt.NDArray[np.generic], ...] = self._columns[:7]
            for to_column, from_column in zip(new, old, strict=True):
                to_column[used] = from_column[used]
            self._number_of_row, self._columns = numbers, columns
        return self._number_of_row, self._columns, self._count

    def fill(self, end: int, ts_recv: int, source: Source) -> None:
        """Take in the rows before `end` that were written in place, all received together."""
        self._columns.ts_recv[self._count : end] = ts_recv
        self._columns.source[self._count : end] = _SOURCES[source]
        self._count = end

    def by_key(self) -> dict[SequenceKey, TradeColumns]:
        """Return the trades of each key that has any, in the order in which they came."""
        number_of_row = self._number_of_row[: self._count]
        # int16 is sorted by radix, in one pass; there are never that many symbols in a lane.
        small = number_of_row.astype(np.int16) if len(self._keys) < 1 << 15 else number_of_row
        order = np.argsort(small, kind="stable")
        ordered = self._columns.rows(slice(self._count)).rows(order)
        ends = np.cumsum(np.bincount(number_of_row, minlength=len(self._keys))).tolist()
        begins = [0, *ends[:-1]]
        found = {
            key: ordered.rows(slice(begin, end))
            for key, begin, end in zip(self._keys, begins, ends, strict=False)
            if begin < end
        }
        if self._uids:
            for key, begin, end in zip(self._keys, begins, ends, strict=False):
                uids = [self._uids[row] for row in order[begin:end].tolist() if row in self._uids]
                if uids:  # a sequence has text ids throughout, or none
                    found[key] = found[key]._replace(trade_uid=np.array(uids, UID_TYPE))
        return found

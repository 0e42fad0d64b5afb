"""Leave the rows of ids out that the venue used up without an order-book trade, as a record's own type says.

Such an id is in no file, whatever another channel serves for it. Which ids these are is store/ledger/voids.py; a leaf
that was published before it was known is published again by ingest/processor/publisher.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from trading_platform.domain.id_ranges import IdRanges

UsedUp = Mapping[int, IdRanges]
"""Ids by epoch."""


def without(rows: pa.Table, used_up: UsedUp) -> pa.Table:
    """Return the rows whose ids hold a trade.

    >>> rows = pa.table({"epoch": pa.array([0, 0, 0, 1], pa.int16()), "trade_id": [7, 8, 9, 8]})
    >>> without(rows, {0: IdRanges([(8, 8), (11, 12)])})["trade_id"].to_pylist()
    [7, 9, 8]
    """
    if not used_up or rows.column("trade_id").null_count:
        return rows
    ids, epochs = rows.column("trade_id").to_numpy(), rows.column("epoch").to_numpy()
    gone = np.zeros(len(ids), np.bool_)
    for epoch, ranges in used_up.items():
        gone |= (epochs == epoch) & ranges.among(ids)
    return rows.filter(pa.array(~gone)) if gone.any() else rows

"""Compare our bars with the candles that the venue itself printed, field by field. Pure: tables in, counts out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

FIELDS = ("open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume")
"""What is compared where both have it."""


class CandleComparison(NamedTuple):
    """Complete bars for which the venue printed a candle, how many equal it, and how many differ by field."""

    compared: int
    equal: int
    differing: Mapping[str, int]


def compare(bars: pa.Table, candles: pa.Table) -> CandleComparison:
    """Compare by `ts_open`; bars that are not complete are left out: the venue's candle shows what we lack."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    bars = bars.filter(pc.fill_null(bars.column("complete"), fill_value=False))
    keys = [table.column("ts_open").cast(pa.int64()).to_numpy() for table in (bars, candles)]
    _, ours, theirs = np.intersect1d(*keys, return_indices=True)
    equal = np.ones(len(ours), bool)
    differing = {}
    for name in FIELDS:
        if name not in bars.schema.names or name not in candles.schema.names:
            continue
        mine, printed = bars.column(name).take(ours), candles.column(name).take(theirs)
        printed = printed.cast(pa.float64()) if pa.types.is_string(printed.type) else printed
        same = pc.equal(mine.cast(pa.float64()), printed.cast(pa.float64()))
        # What either does not say is not compared.
        told = pc.fill_null(same, fill_value=True).to_numpy()
        equal &= told
        if not told.all():
            differing[name] = int((~told).sum())
    return CandleComparison(len(ours), int(equal.sum()), differing)

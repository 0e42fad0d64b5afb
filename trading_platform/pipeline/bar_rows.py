"""Fold a day's trades into bar rows: which intervals have a row, what is in it, and whether it is complete. Pure.

The sums are analytics/folding, where a trade may be missing is uncertain_spans.py; the dataset made of this is bars.py.

A day before the symbol's newest held trade may have rows in all of its 24 hours, the day of that trade up to the
interval that holds it; on the symbol's first day they begin with the first trade that we undertook to hold. An interval
nothing touches and nothing traded in is known to be empty: no row.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trading_platform.analytics.folding.bars import BarColumns, Trades, fold_timeframe
from trading_platform.completeness.uncertain_spans import Int64, Spans, touched
from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.domain.timeframe import TAKER, timeframe_ns
from trading_platform.store.lake import schema

_TAKER = np.array([1, -1, 0], np.int8)
"""store.schema's side codes as analytics.bars'."""

_PRICES = frozenset({"open", "high", "low", "close", "vwap"})


def trades_of(ticks: pa.Table) -> Trades:
    """Return a tick table's trades, ready to be folded."""
    return Trades(
        ticks["ts_event"].to_numpy().astype(np.int64),
        ticks["price"].to_numpy(),
        ticks["quantity"].to_numpy(),
        _TAKER[schema.side_codes(ticks["side"])],
    )


def day_bars(trades: Trades, spans: Spans, *, day: str, timeframe: str, running: bool, proof: str | None) -> pa.Table:
    """Build the bars of one symbol, day and timeframe.

    Parameters
    ----------
    trades : the held trades of the day in the order of their ids.
    spans : where in the day a trade may be missing.
    running : whether this is the day of the symbol's newest held trade.
    proof : what shows that nothing is missing, None if nothing does (then no bar is complete).
    """
    width, start = timeframe_ns(timeframe), day_start(day)
    folded = fold_timeframe(trades, day_start_ns=start, timeframe_ns=width)
    count = DAY_NS // width
    if running and len(trades):
        count = (int(trades.ts_event.max()) - start) // width + 1
    uncertain = touched(spans, start_ns=start, width_ns=width, count=count)
    held = (folded.ts_open - start) // width
    shown = uncertain.copy()
    shown[held] = True
    rows = np.flatnonzero(shown)
    complete = ~uncertain[rows] if proof is not None else np.zeros(len(rows), np.bool_)
    return _table(folded, start + rows * width, width, complete, proof)


def _table(
    folded: BarColumns, ts_open: Int64, width: int, complete: npt.NDArray[np.bool_], proof: str | None
) -> pa.Table:
    at = np.searchsorted(ts_open, folded.ts_open)
    empty = np.ones(len(ts_open), np.bool_)
    empty[at] = False
    columns = {
        "ts_open": pa.array(ts_open).cast(schema.TIME),
        "ts_close": pa.array(ts_open + width).cast(schema.TIME),
        "complete": pa.array(complete),
        "proof": pa.array([proof], pa.string()).take(pa.array(np.zeros(len(ts_open), np.int64))),
    }
    for name in folded._fields[2:]:
        source = getattr(folded, name)
        values = np.zeros(len(ts_open), source.dtype)
        values[at] = source
        missing = np.isnan(values) if name in TAKER else empty if name in _PRICES else None
        columns[name] = pa.array(values, mask=missing)
    return pa.Table.from_arrays([columns[name] for name in schema.BARS.names], schema=schema.BARS)

"""Bars from a frame of trades: ``tp.make_bars``. Time bars, and bars by ticks, volume, dollars or imbalance.

What the frame itself cannot tell (gaps known to the ledger, empty intervals) is not here: stored bars are pipeline/.
The folding is analytics/folding/bars.py, where bars that are not of time end is thresholds.py.
"""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.analytics.checks import TradeRows, read_trades
from trading_platform.analytics.dataframes import Column, Frame
from trading_platform.analytics.folding.bars import BarColumns, Folded, Trades
from trading_platform.analytics.folding.exact import Ints
from trading_platform.analytics.folding.thresholds import cut
from trading_platform.domain.days import DAY_NS
from trading_platform.domain.errors import UsageError, shown
from trading_platform.domain.timeframe import TIMEFRAMES, WEEK, WEEK_NS, WEEK_OFFSET_NS, timeframe_ns

Flags = npt.NDArray[np.bool_]

_THRESHOLD = re.compile(r"(imbalance:)?([0-9]{1,15}(?:\.[0-9]{1,15})?)([tvd])", re.ASCII)
_EXAMPLES = ", any that divides a day, 1w, 100t (ticks), 10v (volume), 1000000d (quote currency), imbalance:50t"


class BarRule(NamedTuple):
    """What ends a bar: a width in ns (the first one begins at `offset_ns`), or a threshold over trades or volume."""

    width_ns: int | None
    threshold: Decimal
    unit: str
    signed: bool
    offset_ns: int = 0


def parse_rule(text: str) -> BarRule:
    """Read what kind of bars is meant.

    >>> parse_rule("imbalance:2.5v")
    BarRule(width_ns=None, threshold=Decimal('2.5'), unit='v', signed=True, offset_ns=0)
    >>> parse_rule("7m")
    Traceback (most recent call last):
    trading_platform.domain.errors.UsageError: '7m' are no bars; known: 1s 1m 5m 15m 1h 4h 1d, any that divides a \
day, 1w, 100t (ticks), 10v (volume), 1000000d (quote currency), imbalance:50t
    """
    if isinstance(text, str) and text == WEEK:
        return BarRule(WEEK_NS, Decimal(0), "", False, WEEK_OFFSET_NS)
    with suppress(UsageError):
        return BarRule(timeframe_ns(text), Decimal(0), "", False)
    match = _THRESHOLD.fullmatch(text) if isinstance(text, str) else None
    if match is None or not Decimal(match[2]) or (match[3] == "t" and "." in match[2]):
        known = " ".join(TIMEFRAMES) + _EXAMPLES
        raise UsageError(f"{shown(text)} are no bars; known: {known}")
    return BarRule(None, Decimal(match[2]), match[3], match[1] is not None)


class _Ticks(NamedTuple):
    """A frame's trades in order, and their ids where every trade has one."""

    trades: Trades
    ids: Ints | None
    epochs: Ints


def make_bars(ticks: Any, bars: str) -> Any:
    """Fold a frame of trades into bars.

    Parameters
    ----------
    ticks : pandas, polars or Arrow table with ``ts_event price quantity``, and ``side trade_id epoch`` if known.
        Rows in (epoch, trade_id) order, where time may run backwards, or in order of time. A trade that comes twice
        counts once.
    bars : ``"5m"`` (any timeframe that divides a day, or ``"1w"``, from Monday), ``"100t"`` trades, ``"10v"`` base
        volume, ``"1000000d"`` quote volume, ``"imbalance:50t"`` (``v``, ``d``): a bar ends when buys and sells differ
        by that much. ``"1d"`` is a day.

    Returns
    -------
    A frame of the same kind, only bars with trades. Sums are exact decimal sums rounded once. Bars that are not of
    time carry ``first_id last_id``, never split a trade, begin anew at 00:00 UTC, and the unfinished last one of
    a day is not complete. Their ``ts_close`` is one ns after the last trade.

    ``complete`` of a time bar: the frame holds a trade before it and one at or after its end, and no id is missing
    between. ``proof`` is ``ids`` where no id is missing around the bar, else null. Where the side of a trade is
    unknown, the taker's columns of its bar are missing. What is missing is NaN in pandas, null in polars and Arrow.

    Raises
    ------
    UsageError : a column is missing, stands there twice or is of another type; times are integers but no ns; rows are
        out of order, or of several symbols or venues; a price is not positive or a quantity negative; a side is
        neither buy nor sell (in any case) nor unknown, or unknown in imbalance bars; an id comes twice with another
        price, quantity, side or time.

    Examples
    --------
    >>> import pandas as pd
    >>> ticks = pd.DataFrame({"ts_event": pd.to_datetime([59, 61, 120], unit="s"), "trade_id": [1, 2, 3],
    ...                       "price": [1.1, 2.2, 3.3], "quantity": [1.0, 0.5, 2.0], "side": ["buy", "sell", "buy"]})
    >>> made = make_bars(ticks, "1m")
    >>> made["quote_volume"].tolist(), made["complete"].tolist()
    ([1.1, 1.1, 6.6], [False, True, False])
    """
    rule = parse_rule(bars)
    frame = Frame(ticks)
    held = _read(frame, rule)
    columns = _by_threshold(held, rule) if rule.width_ns is None else _by_time(held, rule.width_ns, rule.offset_ns)
    return frame.like({name: columns[name] for name in _ORDER if name in columns})


def _read(frame: Frame, rule: BarRule) -> _Ticks:
    rows = read_trades(frame, sides_by="imbalance bars" if rule.signed else "")
    _refuse_edges(rows.ts_event, rule.width_ns or DAY_NS)
    if (order := _order(rows)) is not None:
        rows = _taken(rows, order)
    if rule.width_ns is None:
        days = rows.ts_event // DAY_NS
        if not _rises(days):
            rows = _taken(rows, np.argsort(days, kind="stable"))
    return _Ticks(Trades(rows.ts_event, rows.price, rows.quantity, rows.side), rows.ids, rows.epochs)


def _refuse_edges(ts_event: Ints, width: int) -> None:
    """Refuse trades whose bar would begin or end beyond what int64 ns hold."""
    limits = np.iinfo(np.int64)
    if len(ts_event) and not (limits.min + width < ts_event.min() and ts_event.max() < limits.max - width):
        raise UsageError("ts_event reaches the end of the years 1678 to 2261; bars there have no times in ns")


def _order(rows: TradeRows) -> Ints | None:
    """Return the rows in (epoch, id) order, without ids in order of time; None if they stand so already."""
    if rows.ids is None:
        return None if _rises(rows.ts_event) else np.argsort(rows.ts_event, kind="stable")
    if _rises(rows.epochs) and (rows.epochs[:1] == rows.epochs[-1:]).all() and _rises(rows.ids):
        return None
    return np.lexsort((rows.ids, rows.epochs))


def _rises(numbers: Ints) -> bool:
    """Tell whether no number is below the one before."""
    return bool((numbers[1:] >= numbers[:-1]).all())


def _taken(rows: TradeRows, order: Ints) -> TradeRows:
    return TradeRows(*(None if column is None else column[order] for column in rows))  # type: ignore[arg-type]


def _holes(held: _Ticks) -> Ints | None:
    """Return for each trade how many breaks in the ids lie before it, None without ids."""
    if held.ids is None:
        return None
    broken = (np.diff(held.ids) != 1) | (np.diff(held.epochs) != 0)
    return np.concatenate(([0], np.cumsum(broken))).astype(np.int64)[: len(held.ids)]


def _columns(folded: Folded, ts_open: Ints, ts_close: Ints, complete: Flags, proved: Flags) -> dict[str, Column]:
    proof = np.array([None, "ids"], dtype=object)[proved.astype(np.int64)]
    return {
        "ts_open": Column(ts_open, instant=True),
        "ts_close": Column(ts_close, instant=True),
        **{name: Column(values) for name, values in folded.columns.items()},
        "complete": Column(complete),
        "proof": Column(proof, null=~proved),
    }


_ORDER = (*BarColumns._fields, "complete", "proof", "first_id", "last_id")


def _by_time(held: _Ticks, width: int, offset: int) -> dict[str, Column]:
    trades = held.trades
    ts = trades.ts_event
    intervals, bins = _intervals((ts - offset) // width)
    folded = trades.fold(bins, len(intervals))
    ts_open = intervals * width + offset
    ts_close = ts_open + width
    before, after = folded.first - 1, folded.last + 1
    # Time may run backwards within the order: step outwards to the nearest trade beyond the bar.
    while (inside := (before >= 0) & (ts[before] >= ts_open)).any():
        before = before - inside
    while (inside := (after < len(ts)) & (ts[np.minimum(after, len(ts) - 1)] < ts_close)).any():
        after = after + inside
    witnessed = (before >= 0) & (after < len(ts))
    proved = _unbroken(held, np.maximum(before, 0), np.minimum(after, len(ts) - 1))
    return _columns(folded, ts_open, ts_close, witnessed & proved, proved)


def _intervals(slots: Ints) -> tuple[Ints, Ints]:
    """Return the intervals that hold trades, ascending, and which of them each trade lies in."""
    if not _rises(slots):
        intervals, bins = np.unique(slots, return_inverse=True)
        return intervals, bins.astype(np.int64)
    # A fifth of what np.unique takes, and trades nearly always come in order of time.
    new = np.ones(len(slots), dtype=np.bool_)
    np.not_equal(slots[1:], slots[:-1], out=new[1:])
    return slots[new], np.cumsum(new, dtype=np.int64) - 1


def _unbroken(held: _Ticks, begin: Ints, end: Ints) -> Flags:
    holes = _holes(held)
    if holes is None:
        return np.zeros(len(begin), dtype=np.bool_)
    return np.asarray(holes[begin] == holes[end])


def _by_threshold(held: _Ticks, rule: BarRule) -> dict[str, Column]:
    trades = held.trades
    bins, finished = cut(trades, rule.threshold, rule.unit, signed=rule.signed)
    count = len(finished)
    folded = trades.fold(bins, count)
    ts_open = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(ts_open, bins, trades.ts_event)
    ts_close = np.full(count, np.iinfo(np.int64).min)
    np.maximum.at(ts_close, bins, trades.ts_event)
    # The trades of a hole between two bars may belong to either, so the neighbours on both sides count.
    last_row = max(len(trades) - 1, 0)
    proved = _unbroken(held, np.maximum(folded.first - 1, 0), np.minimum(folded.last + 1, last_row))
    whole = proved if held.ids is not None else np.ones(count, dtype=np.bool_)
    columns = _columns(folded, ts_open, ts_close + 1, finished & whole, proved)
    null = np.full(count, held.ids is None)
    for name, at in (("first_id", folded.first), ("last_id", folded.last)):
        columns[name] = Column(np.zeros(count, dtype=np.int64) if held.ids is None else held.ids[at], null=null)
    return columns

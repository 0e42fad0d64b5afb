"""Validate input rows of trades and bars before computing; an invalid row raises an error of one sentence.

A market is one venue, symbol and timeframe; rows are in order; a trade counts once; prices, quantities and sides are
such as a trade can have. How columns are read is dataframes.py, what is computed bars_from_frames.py and notebook.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.analytics.dataframes import Frame
from trading_platform.domain.days import DAY_NS
from trading_platform.domain.errors import UsageError, shown
from trading_platform.domain.timeframe import timeframe_of
from trading_platform.domain.trades.sides import BUY, SELL, UNKNOWN

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_SIDES = {None: UNKNOWN, "unknown": UNKNOWN, "buy": BUY, "sell": SELL}
_MARKET = ("venue", "symbol", "timeframe")


class TradeRows(NamedTuple):
    """A frame's trades, each once, in the order given.

    Attributes
    ----------
    ids : the trades' ids, None unless every trade has one that is a whole number.
    epochs : the numbering that an id belongs to, 0 where the frame does not say.
    side : codes of the taker's side (analytics/folding/bars.py).
    """

    ts_event: Ints
    price: Floats
    quantity: Floats
    side: npt.NDArray[np.int8]
    ids: Ints | None
    epochs: Ints


def read_trades(frame: Frame, *, sides_by: str = "") -> TradeRows:
    """Read trades; refuse what no trade can be, and rows that are neither in the order of ids nor of time.

    Parameters
    ----------
    sides_by : what needs every trade's side, in words; "" if nothing does.

    Raises
    ------
    UsageError : naming the column, and the row or the id.
    """
    for name in ("ts_event", "price", "quantity"):
        frame.need(name, "make_bars")
    one_market(frame)
    ts_event = frame.instants("ts_event")
    price, quantity = _amounts(frame, "price", least=0.0, above=True), _amounts(frame, "quantity", least=0.0)
    side = _sides(frame, sides_by)
    epochs = _epochs(frame, len(ts_event))
    identity = _identity(frame)
    whole = identity is not None and identity.texts is None and bool(identity.known.all())
    rows = TradeRows(ts_event, price, quantity, side, identity.keys if identity and whole else None, epochs)
    kept = None if identity is None else _once(rows, identity)
    if kept is not None:
        rows = TradeRows(*(None if column is None else column[kept] for column in rows))  # type: ignore[arg-type]
    _in_order(rows, kept)
    return rows


def one_market(frame: Frame) -> None:
    """Refuse a frame that holds several venues, symbols or timeframes, told by its columns or its pandas index."""
    for name in _MARKET:
        found = frame.groups(name)[1] if name in frame else frame.index_groups(name)
        if len(found) > 1:
            told = ", ".join("nothing" if value is None else shown(value) for value in found[:3])
            raise UsageError(f"the frame holds {len(found)} {name}s ({told}); give the rows of one {name} at a time")


def bar_times(frame: Frame) -> tuple[Ints | None, Ints | None]:
    """Return ``ts_open`` and ``ts_close`` of a frame of bars, None where it has none.

    Raises
    ------
    UsageError : if the rows are not in order of time, two open together, or they are of several timeframes or markets.
    """
    one_market(frame)
    if "ts_open" not in frame:
        index = frame.index_instants()
        if index is not None and (falls := np.flatnonzero(np.diff(index) < 0)).size:
            raise UsageError(
                f"row {falls[0] + 1} is out of order: its index lies before row {falls[0]}'s; sort the rows"
            )
        return None, None
    ts_open = frame.instants("ts_open")
    ts_close = frame.instants("ts_close") if "ts_close" in frame else None
    steps = np.diff(ts_open)
    counted = "first_id" in frame  # bars of so many trades may open together, or as times run backwards
    if counted:
        first, missing = frame.integers("first_id")
        steps = np.where((steps >= 0) | ((np.diff(first) > 0) & ~missing[1:] & ~missing[:-1]), 1, steps)
    if (falls := np.flatnonzero(steps < 0)).size:
        row = int(falls[0]) + 1
        raise UsageError(
            f"row {row} is out of order: its ts_open lies before row {row - 1}'s; sort the rows by ts_open"
        )
    if (same := np.flatnonzero(steps == 0)).size:
        row = int(same[0]) + 1
        raise UsageError(
            f"rows {row - 1} and {row} open at the same time; give one symbol and timeframe, each bar once"
        )
    if ts_close is not None:
        _one_width(ts_open, ts_close, counted=counted)
    return ts_open, ts_close


def check_grid(ts_open: Ints, ts_close: Ints | None, width: int) -> None:
    """Refuse bars that are no intervals of one width on the UTC grid of a day."""
    if ts_close is not None and (other := np.flatnonzero(ts_close - ts_open != width)).size:
        row = int(other[0])
        told = (int(ts_close[row] - ts_open[row]) / 1e9, width / 1e9)
        raise UsageError(f"row {row} is {told[0]:g} s wide, not {told[1]:g} s; a grid has bars of one timeframe")
    if DAY_NS % width:
        raise UsageError(f"bars of {width / 1e9:g} s do not divide a day; a grid does")
    if (off := np.flatnonzero(ts_open % width)).size:
        raise UsageError(f"row {int(off[0])} does not open on the UTC grid of {width / 1e9:g} s")


def _rising(steps: Ints, by: str) -> None:
    if (falls := np.flatnonzero(steps < 0)).size:
        row = int(falls[0])
        raise UsageError(f"row {row + 1} is out of order: its {by} lies before row {row}'s; sort the rows by {by}")


def _one_width(ts_open: Ints, ts_close: Ints, *, counted: bool) -> None:
    if (wrong := np.flatnonzero(ts_close <= ts_open)).size:
        raise UsageError(f"row {int(wrong[0])} closes before it opens")
    widths = np.unique(ts_close - ts_open)
    named = [name for width in widths.tolist() if (name := timeframe_of(width)) is not None]
    if len(named) > 1 and not counted:
        raise UsageError(f"the rows are of several timeframes ({', '.join(named[:4])}); give those of one at a time")


def _amounts(frame: Frame, name: str, *, least: float, above: bool = False) -> Floats:
    """Return a column of finite numbers of at least, or above, `least`."""
    values = frame.floats(name)
    good = np.isfinite(values) & ((values > least) if above else (values >= least))
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        need = f"a positive {name}" if above else f"a {name} that is not negative"
        raise UsageError(f"row {row} holds {values[row]} as its {name}; a trade has {need}")
    return values


def _sides(frame: Frame, sides_by: str) -> npt.NDArray[np.int8]:
    if "side" not in frame:
        if sides_by:
            raise UsageError(f"column 'side' is missing; {sides_by} need the side of every trade")
        return np.full(len(frame), UNKNOWN, dtype=np.int8)
    places, values = frame.groups("side")
    codes = np.zeros(len(values) + 1, dtype=np.int8)
    for at, value in enumerate(values):
        word = value.lower() if isinstance(value, str) else value
        if not (word is None or isinstance(word, str)) or word not in _SIDES:
            row = int(np.flatnonzero(places == at)[0])
            raise UsageError(f"row {row} has the side {shown(value)}; a side is buy, sell or, if unknown, null")
        codes[at] = _SIDES[word]
    sides = codes[places]
    if sides_by and (unknown := np.flatnonzero(sides == UNKNOWN)).size:
        raise UsageError(f"row {int(unknown[0])} has no side; {sides_by} need the side of every trade")
    return sides


def _epochs(frame: Frame, rows: int) -> Ints:
    if "epoch" not in frame:
        return np.zeros(rows, dtype=np.int64)
    epochs, missing = frame.integers("epoch")
    if missing.any():
        raise UsageError(f"row {int(np.flatnonzero(missing)[0])} has no epoch; give each trade one, or drop the column")
    return epochs


class _Identity(NamedTuple):
    """Numbers that are equal for the same id: the ids, or places in `texts`; and which rows have an id at all."""

    keys: Ints
    known: Flags
    texts: list[Any] | None = None


def _identity(frame: Frame) -> _Identity | None:
    """Return what tells whether two rows are the same trade, None if nothing does."""
    for name in ("trade_id", "trade_uid"):
        if name not in frame:
            continue
        if name == "trade_id" and frame.is_number(name):
            ids, missing = frame.integers(name)
            if not missing.all() or not len(ids):
                return _Identity(ids, ~missing)
            continue
        places, values = frame.groups(name)
        known = np.array([value is not None for value in values] + [False])[places]
        if known.any():
            return _Identity(places, known, values)
    return None


def _once(rows: TradeRows, identity: _Identity) -> Ints | None:
    """Return the rows that stay when each id is to count once; None if all do.

    Raises
    ------
    UsageError : if the rows of one id differ in what the trade was.
    """
    keys, known, texts = identity
    rises = (np.diff(rows.epochs) > 0) | ((np.diff(rows.epochs) == 0) & (np.diff(keys) > 0))
    if known.all() and bool(rises.all()):
        return None
    at = np.flatnonzero(known)
    order = at[np.lexsort((keys[at], rows.epochs[at]))]  # stable: the first given stays
    again = np.flatnonzero((np.diff(keys[order]) == 0) & (np.diff(rows.epochs[order]) == 0)) + 1
    if not len(again):
        return None
    for what in ("price", "quantity", "side", "ts_event"):
        values = getattr(rows, what)
        differ = values[order[again]] != values[order[again - 1]]
        if differ.any():
            pair = again[int(differ.argmax())]
            first, second = int(order[pair - 1]), int(order[pair])
            name = keys[first] if texts is None else texts[keys[first]]
            told = [_told(values[row], what) for row in (first, second)]
            hint = "" if rows.epochs.any() else ", or tell numberings apart by a column epoch"
            raise UsageError(
                f"trade {str(name)[:60]} comes twice, in rows {first} and {second}, with another {what}: "
                f"{told[0]} and {told[1]}; keep the right one{hint}"
            )
    stays = np.ones(len(keys), dtype=np.bool_)
    stays[order[again]] = False
    return np.flatnonzero(stays)


def _told(value: Any, what: str) -> str:
    return {BUY: "buy", SELL: "sell", UNKNOWN: "unknown"}[int(value)] if what == "side" else str(value)


def _in_order(rows: TradeRows, kept: Ints | None) -> None:
    """Refuse rows of which one follows neither by id nor by time.

    Within the order of ids time may run backwards, as it does at venues; and a listing by time may mix up the ids of
    one instant.
    """
    good = np.diff(rows.ts_event) >= 0
    if rows.ids is not None:
        later, same = np.diff(rows.epochs) > 0, np.diff(rows.epochs) == 0
        good |= later | (same & (np.diff(rows.ids) > 0))
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        before, after = (row, row + 1) if kept is None else (int(kept[row]), int(kept[row + 1]))
        by = "ts_event" if rows.ids is None else "epoch and trade_id, or by ts_event"
        raise UsageError(f"row {after} is out of order: its trade comes before row {before}'s; sort the rows by {by}")

"""Make wider bars from narrower ones: ``tp.resample``. Bars from trades are bars_from_frames.py.

A narrow sum of at most 15 digits is the exact decimal that its float64 prints, so it is summed as such and rounded
once: the wider bar is bit for bit the one made from the trades. A sum of more digits was rounded when the narrow bar
was made; what is made of it lies within that rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.analytics.checks import bar_times, check_grid
from trading_platform.analytics.dataframes import Column, Frame
from trading_platform.analytics.folding import exact
from trading_platform.analytics.folding.bars_from_frames import parse_rule
from trading_platform.analytics.folding.exact import Floats, Ints
from trading_platform.domain.errors import UsageError, shown
from trading_platform.domain.timeframe import TAKER, timeframe_of

Flags = npt.NDArray[np.bool_]
_PRICES = ("open", "high", "low", "close")
_SUMS = ("volume", "quote_volume", *TAKER)


class _Groups(NamedTuple):
    """The wide bar of each narrow one: where each begins in the rows, and its open."""

    begin: Ints
    ts_open: Ints


def resample(bars: Any, timeframe: str) -> Any:
    """Return wider bars.

    Parameters
    ----------
    bars : a frame of time bars of one symbol and timeframe, in order: those of `read_bars` or `make_bars`.
    timeframe : ``"1h"``: a multiple of theirs that divides a day, or ``"1w"``, from Monday.

    Returns
    -------
    A frame of the same kind with the contract's columns. A wide bar is complete if each of its narrow ones is, and the
    frame tells of all of it: an interval without a row is known to be empty, but for what lies before the first row
    and after the last. Prices are missing where no narrow bar has any; the taker's sums where a narrow one's are.

    Raises
    ------
    UsageError : if the timeframe is no multiple of the bars', or the bars are not of time, of several symbols or
        timeframes, or out of order.

    Examples
    --------
    >>> import pandas as pd
    >>> from trading_platform.analytics.folding.bars_from_frames import make_bars
    >>> ticks = pd.DataFrame({"ts_event": pd.to_datetime([59, 61, 130, 300], unit="s"), "trade_id": [1, 2, 3, 4],
    ...                       "price": [1.1, 2.2, 3.3, 1.0], "quantity": [1.0, 0.5, 2.0, 1.0]})
    >>> resample(make_bars(ticks, "1m"), "5m")[["open", "high", "quote_volume", "trade_count"]].values.tolist()
    [[1.1, 3.3, 8.8, 3.0], [1.0, 1.0, 1.0, 1.0]]
    """
    frame = Frame(bars)
    ts_open, ts_close, rule = _checked(frame, timeframe)
    width, offset = rule
    if not len(ts_open):
        return frame.like(_columns(frame, _Groups(ts_open, ts_open), width, np.zeros(0, np.bool_)))
    opens = (ts_open - offset) // width * width + offset
    begin = np.flatnonzero(np.concatenate(([True], np.diff(opens) != 0)))
    groups = _Groups(begin, opens[begin])
    whole = np.ones(len(begin), np.bool_)
    whole[0] = bool(ts_open[0] == groups.ts_open[0])
    whole[-1] &= bool(ts_close[-1] == groups.ts_open[-1] + width)
    return frame.like(_columns(frame, groups, width, whole))


def _checked(frame: Frame, timeframe: str) -> tuple[Ints, Ints, tuple[int, int]]:
    """Return the times of the bars, and width and offset of the wide ones."""
    rule = parse_rule(timeframe)
    if rule.width_ns is None:
        raise UsageError(f"{shown(timeframe)} are no bars of time; resample makes those, make_bars the others")
    for name in ("ts_open", "ts_close", *_PRICES, "volume", "quote_volume", "trade_count"):
        frame.need(name, "resample")
    if "first_id" in frame:
        raise UsageError("these bars are not of time; make wider ones with make_bars from the trades")
    ts_open, ts_close = bar_times(frame)
    assert ts_open is not None and ts_close is not None
    if len(ts_open):
        narrow = int(ts_close[0] - ts_open[0])
        check_grid(ts_open, ts_close, narrow)
        if rule.width_ns % narrow or rule.width_ns == narrow:
            raise UsageError(f"{timeframe} is no multiple of the bars' {timeframe_of(narrow)}")
    return ts_open, ts_close, (rule.width_ns, rule.offset_ns)


def _columns(frame: Frame, groups: _Groups, width: int, whole: Flags) -> dict[str, Column]:
    count, missing = frame.integers("trade_count")
    if missing.any():
        raise UsageError(f"row {int(np.flatnonzero(missing)[0])} has no trade_count")
    counts = _added(count, groups)
    columns = {
        "ts_open": Column(groups.ts_open, instant=True),
        "ts_close": Column(groups.ts_open + width, instant=True),
        **_prices(frame, groups),
        **_sums(frame, groups, count),
        "trade_count": Column(counts),
    }
    volume, quote = (exact.to_big_integers(np.nan_to_num(frame.floats(name))) for name in ("volume", "quote_volume"))
    columns["vwap"] = Column(_vwap(_totals(quote[0], groups), quote[1], _totals(volume[0], groups), volume[1]))
    if "complete" in frame:
        complete = _flags(frame, "complete", groups)
        columns["complete"] = Column(complete & whole)
    if "proof" in frame:
        columns["proof"] = _proof(frame, groups)
    return columns


def _prices(frame: Frame, groups: _Groups) -> dict[str, Column]:
    """Return open, high, low and close of the rows that have them."""
    found = {}
    for name in _PRICES:
        values = frame.floats(name)
        known = ~np.isnan(values)
        if name in ("high", "low"):
            reduce = np.fmax if name == "high" else np.fmin
            found[name] = Column(reduce.reduceat(values, groups.begin) if len(values) else values)
            continue
        rows = np.arange(len(values))
        if name == "open":
            at = np.minimum.reduceat(np.where(known, rows, len(values)), groups.begin) if len(values) else rows
        else:
            at = np.maximum.reduceat(np.where(known, rows, -1), groups.begin) if len(values) else rows
        none = (at < 0) | (at >= len(values))
        found[name] = Column(np.where(none, np.nan, values[np.where(none, 0, at)]) if len(values) else values)
    return found


def _sums(frame: Frame, groups: _Groups, count: Ints) -> dict[str, Column]:
    found = {}
    for name in _SUMS:
        if name not in frame:
            continue
        values = frame.floats(name)
        # In a bar without trades nothing is missing: it holds none.
        doubtful = np.isnan(values) & (count > 0)
        numbers, scale = exact.to_big_integers(np.nan_to_num(values))
        totals = _totals(numbers, groups)
        sums = exact.big_quotients(totals, [10**scale] * len(totals))
        found[name] = Column(np.where(_any(doubtful, groups), np.nan, sums))
    return found


def _vwap(quote: Sequence[int], quote_scale: int, volume: Sequence[int], volume_scale: int) -> Floats:
    up, down = 10 ** max(0, volume_scale - quote_scale), 10 ** max(0, quote_scale - volume_scale)
    return exact.big_quotients([number * up for number in quote], [number * down for number in volume])


def _totals(numbers: Sequence[int], groups: _Groups) -> list[int]:
    """Return the sum of Python integers of each group."""
    running = [0, *accumulate(numbers)]
    ends = [*groups.begin[1:].tolist(), len(numbers)]
    return [running[end] - running[first] for first, end in zip(groups.begin.tolist(), ends, strict=False)]


def _added(values: Ints, groups: _Groups) -> Ints:
    return np.add.reduceat(values, groups.begin) if len(values) else values


def _any(flags: Flags, groups: _Groups) -> Flags:
    return np.logical_or.reduceat(flags, groups.begin) if len(flags) else flags


def _flags(frame: Frame, name: str, groups: _Groups) -> Flags:
    """Return for each group whether a column of truth values is true in every row."""
    places, values = frame.groups(name)
    true = np.array([value is True for value in values] + [False])[places]
    return ~_any(~true, groups)


def _proof(frame: Frame, groups: _Groups) -> Column:
    """Return the proof that all rows of a group share, missing where they differ."""
    places, values = frame.groups("proof")
    if not len(places):
        return Column(np.empty(0, dtype=object))
    low, high = np.minimum.reduceat(places, groups.begin), np.maximum.reduceat(places, groups.begin)
    words = np.array([*values, None], dtype=object)
    shared = words[np.where(low == high, low, len(values))]
    return Column(shared, null=np.array([word is None for word in shared.tolist()]))

"""Numbers that tell what a symbol's day was like. Pure: tables in, numbers out; a number that cannot be told is absent.

Which of them are judged is families.py; reading tables and keeping the numbers is kept.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from trading_platform.domain.units import NS_PER_S

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Statistics = Mapping[str, float]

_HOUR_NS = 3600 * NS_PER_S
_LEAST_BARS = 30
"""Fewer bars than these have no tails and no correlation to speak of."""
_LEAST_WAITS = 100


def of_day(bars: pa.Table | None, ticks: pa.Table | None, day_start_ns: int) -> dict[str, float]:
    """Return every statistic that the day's bars and trades can tell.

    Parameters
    ----------
    bars : of one timeframe; ticks : of the same day. Either may be missing.
    """
    found: dict[str, float] = {}
    if bars is not None and bars.num_rows:
        found |= of_bars(bars, day_start_ns)
    if ticks is not None and ticks.num_rows:
        found |= of_ticks(ticks)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def of_bars(table: pa.Table, day_start_ns: int) -> dict[str, float]:
    """Return what bars tell: counts, hours, returns, takers, stale prices, sizes; first and last price."""
    bars = _held(table)
    count = bars["trade_count"]
    found = {"trades": float(count.sum())}
    if not len(count):
        return found
    hours = np.bincount((bars["ts_open"] - day_start_ns) // _HOUR_NS, weights=count, minlength=24)
    found["empty_hours"] = float((hours == 0).sum())
    found["quietest_hour"] = float(hours.min() / hours.mean())
    found["busiest_hour"] = float(hours.max() / hours.mean())
    found["trade_size"] = float(bars["volume"].sum() / count.sum())
    found["first_price"], found["last_price"] = float(bars["open"][0]), float(bars["close"][-1])
    return found | _returns(bars) | _takers(bars) | _stale(bars)


def _held(table: pa.Table) -> dict[str, Floats]:
    """Return the columns of the bars that hold a trade; unknown takers are NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = table.filter(pc.greater(table["trade_count"], 0))
    names = ("open", "high", "low", "close", "volume", "taker_buy_volume", "trade_count")
    found = {name: table[name].cast(pa.float64()).to_numpy() for name in names}
    return {"ts_open": table["ts_open"].cast(pa.int64()).to_numpy(), **found}


def _returns(bars: Mapping[str, Floats]) -> dict[str, float]:
    close, open_, high, low = (bars[name] for name in ("close", "open", "high", "low"))
    if len(close) < _LEAST_BARS:
        return {}
    moved = np.abs(np.diff(np.log(close)))
    upper, lower = np.log(high / np.maximum(open_, close)), np.log(np.minimum(open_, close) / low)
    return {
        "typical_return": float(moved.mean()),
        "largest_return": float(moved.max()),
        "largest_wick": float(max(upper.max(), lower.max())),
    }


def _takers(bars: Mapping[str, Floats]) -> dict[str, float]:
    known = np.isfinite(bars["taker_buy_volume"]) & (bars["volume"] > 0)
    if known.sum() < _LEAST_BARS:
        return {}
    share = bars["taker_buy_volume"][known] / bars["volume"][known]
    found = {"taker_share": float(bars["taker_buy_volume"][known].sum() / bars["volume"][known].sum())}
    moved = np.log(bars["close"][known] / bars["open"][known])
    if share.std() > 0 and moved.std() > 0:
        found["taker_agreement"] = float(np.corrcoef(share, moved)[0, 1])
    return found


def _stale(bars: Mapping[str, Floats]) -> dict[str, float]:
    """Tell how long the price did not move although trades were made."""
    flat = (bars["high"] == bars["low"]) & (bars["close"] == np.append(np.nan, bars["close"][:-1]))
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flat, [False])).astype(np.int8)))
    longest = 0.0
    for first, end in edges.reshape(-1, 2).tolist():
        longest = max(longest, float(bars["ts_open"][end - 1] - bars["ts_open"][first - 1]) / (60 * NS_PER_S))
    return {"unchanged_minutes": longest, "unchanged_share": float(flat.mean())}


def of_ticks(table: pa.Table) -> dict[str, float]:
    """Return what only trades tell: waits between them, outliers, the delay until they were received."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from quality.report.trades import PLAYED_NS, outliers

    ts_event, ts_recv = (table[name].cast(pa.int64()).to_numpy() for name in ("ts_event", "ts_recv"))
    order = np.argsort(ts_event, kind="stable")
    found = {}
    if len(order) > _LEAST_WAITS:
        waits = np.diff(ts_event[order]) / NS_PER_S
        found["typical_wait_s"] = float(waits.mean())
        found["long_wait_s"], found["longest_wait_s"] = (float(v) for v in np.quantile(waits, (0.99, 1.0)))
    far = outliers(ts_event[order], table["price"].to_numpy()[order])
    if far is not None:
        found["outlier_trades"] = float(len(far))
    live = pc.equal(table["source"].cast(pa.string()), "ws").to_numpy(zero_copy_only=False)
    delay = (ts_recv - ts_event)[live]
    if len(delay) > _LEAST_WAITS and abs(middle := float(np.median(delay))) < PLAYED_NS:
        found["delay_ms"] = middle / 1e6
    return found


def deviation(one: pa.Table, other: pa.Table) -> float | None:
    """Return how far two venues' prices of the same symbol lie apart: the median over common bars, relative.

    None with less than `_LEAST_BARS` bars in common.
    """
    mine, theirs = _held(one), _held(other)
    _, ours, of_them = np.intersect1d(mine["ts_open"], theirs["ts_open"], return_indices=True)
    if len(ours) < _LEAST_BARS:
        return None
    return float(np.median(np.abs(np.log(mine["close"][ours] / theirs["close"][of_them]))))


def opening_change(first_price: float, last_price: float) -> float:
    """Return the jump from the day before's last price to the day's first, as the size of its logarithm.

    >>> round(opening_change(110.0, 100.0), 4), round(opening_change(100.0, 110.0), 4)
    (0.0953, 0.0953)
    """
    return abs(float(np.log(first_price / last_price)))

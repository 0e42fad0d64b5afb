"""Days of the exchange's own 5-minute candles of the shared data, as bars and as statistics of the days."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quality.expectations.day_statistics import Statistics, of_day
from trading_platform.domain.days import DAY_NS, day_of
from trading_platform.store.lake.schema import BARS, TIME

_WIDTH_NS = 300 * 10**9
_COLUMNS = "open high low close volume _ quote_volume trade_count taker_buy_volume taker_buy_quote_volume".split()
_SUMS = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")

Columns = dict[str, npt.NDArray[np.float64]]


@cache
def candle_days(folder: Path) -> Mapping[str, Columns]:
    """Return the columns of each day, 2024-01-01 to 2024-08-31."""
    rows = np.concatenate([np.loadtxt(path, delimiter=",") for path in sorted(folder.glob("BTCUSDT-5m-*.csv"))])
    day = (rows[:, 0] * 1e6).astype(np.int64) // DAY_NS
    found = {}
    for ordinal in np.unique(day):
        mine = rows[day == ordinal]
        columns = {name: mine[:, 1 + at] for at, name in enumerate(_COLUMNS) if name != "_"}
        found[day_of(int(ordinal) * DAY_NS)] = {"ts_open": mine[:, 0] * 1e6, **columns}
    return found


def bars_of(columns: Columns) -> pa.Table:
    """Return a day's candles as the lake keeps bars."""
    ts_open = columns["ts_open"].astype(np.int64)
    arrays = {name: pa.array(column) for name, column in columns.items()}
    arrays |= {
        "ts_open": pa.array(ts_open).cast(TIME),
        "ts_close": pa.array(ts_open + _WIDTH_NS).cast(TIME),
        "trade_count": pa.array(columns["trade_count"].astype(np.int64)),
        "vwap": pa.array(columns["quote_volume"] / np.where(columns["volume"] > 0, columns["volume"], np.nan)),
        "complete": pa.array([True] * len(ts_open)),
        "proof": pa.array(["candles"] * len(ts_open)),
    }
    return pa.Table.from_arrays([arrays[name] for name in BARS.names], schema=BARS)


def statistics_of_candles(days: Mapping[str, Columns]) -> dict[str, Statistics]:
    """Return the statistics of each day."""
    return {day: of_day(bars_of(of), None, int(of["ts_open"][0]) // DAY_NS * DAY_NS) for day, of in days.items()}


def _where(columns: Columns, hours: tuple[int, int]) -> npt.NDArray[np.bool_]:
    hour = (columns["ts_open"].astype(np.int64) % DAY_NS) // (12 * _WIDTH_NS)
    return (hour >= hours[0]) & (hour < hours[1])


def spiked(columns: Columns) -> Columns:
    """One high is ten times what it was: a wrong price among the trades."""
    high = columns["high"].copy()
    high[100] *= 10
    return columns | {"high": high}


def stale(columns: Columns) -> Columns:
    """For three hours trades come with the same price."""
    still = _where(columns, (10, 13))
    price = columns["close"][np.flatnonzero(still)[0]]
    return columns | {name: np.where(still, price, columns[name]) for name in ("open", "high", "low", "close")}


def hour_missing(columns: Columns) -> Columns:
    """An hour has no trades."""
    kept = ~_where(columns, (10, 11))
    return {name: column[kept] for name, column in columns.items()}


def in_another_unit(columns: Columns) -> Columns:
    """Each quantity is a thousandth of what it was. (Doubling lies within what happens: the candles tell of it.)"""
    return columns | {name: columns[name] / 1000 for name in _SUMS}


def trades_repeated(columns: Columns) -> Columns:
    """Each trade is there twenty times."""
    return columns | {name: columns[name] * 20 for name in (*_SUMS, "trade_count")}


def trades_lost(columns: Columns) -> Columns:
    """Nineteen of twenty trades are lost."""
    return columns | {name: columns[name] / 20 for name in (*_SUMS, "trade_count")}


def side_inverted(columns: Columns) -> Columns:
    """The maker's side is taken for the taker's."""
    bought = columns["volume"] - columns["taker_buy_volume"]
    return columns | {"taker_buy_volume": bought}


def one_sided(columns: Columns) -> Columns:
    """Every taker buys."""
    return columns | {"taker_buy_volume": columns["volume"] * 0.99}


def unit_changed(columns: Columns) -> Columns:
    """Prices come in thousands."""
    return columns | {name: columns[name] / 1000 for name in ("open", "high", "low", "close")}


def noisy(columns: Columns) -> Columns:
    """Prices jump about by a per cent, up and down."""
    sign = np.where(np.arange(len(columns["close"])) % 2, 1.02, 1 / 1.02)
    return columns | {name: columns[name] * sign for name in ("open", "high", "low", "close")}


def frozen(columns: Columns) -> Columns:
    """The price does not move all day."""
    return columns | {
        name: np.full_like(columns[name], columns["open"][0]) for name in ("open", "high", "low", "close")
    }


def one_hour_only(columns: Columns) -> Columns:
    """Nearly all trades of the day lie in one hour."""
    inside = _where(columns, (15, 16))
    return columns | {name: columns[name] * np.where(inside, 15, 0.3) for name in (*_SUMS, "trade_count")}


PLANTED = {
    "a high ten times too high": (spiked, {"returns"}),
    "a price that stands still for three hours": (stale, {"stale_prices"}),
    "a price that stands still all day": (frozen, {"returns", "stale_prices"}),
    "an hour without trades": (hour_missing, {"hours"}),
    "quantities in another unit": (in_another_unit, {"sizes"}),
    "each trade twenty times": (trades_repeated, {"counts"}),
    "nineteen of twenty trades lost": (trades_lost, {"counts"}),
    "the maker's side for the taker's": (side_inverted, {"takers"}),
    "every taker buys": (one_sided, {"takers"}),
    "prices in thousands": (unit_changed, {"price_level"}),
    "prices that jump to and fro": (noisy, {"returns"}),
    "nearly all trades in one hour": (one_hour_only, {"hours"}),
}
"""Fault to what makes it of a day's columns, and the families that must see it."""

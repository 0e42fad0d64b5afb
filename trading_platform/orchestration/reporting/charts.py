"""Candlestick charts of a symbol-day for Dagster's pages, with the regimes shaded behind the candles.

They are embedded in the metadata as data URIs, so no server is needed. Drawing is candlestick_svg.py.
"""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from trading_platform.orchestration.reporting import candlestick_svg as candlestick
from trading_platform.orchestration.reporting.candlestick_svg import Candles, Regimes
from trading_platform.pipeline.results import DayReport
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake.publish import read_leaf

_TIMEFRAMES = ("15m", "5m", "1m", "1s")
_ENOUGH = 30
_MOST = 150
_SYMBOLS = 6
"""Charts stay in the event log: with very many symbols only the first are drawn."""

SHOWN_AT_ONCE = 1000
"""Dagster's pages show markdown of fewer characters in place, longer ones after a click."""


class Picture(NamedTuple):
    """A symbol-day's picture as markdown: one small enough to be shown in place, and one to open."""

    symbol: str
    small: str
    large: str


def of_day(data: DataDir, done: DayReport, model: str) -> list[Picture]:
    """Return a picture of each symbol of the day that has bars; `model` names the regimes that are shaded."""
    symbols = dict.fromkeys((result.leaf.venue, result.leaf.symbol) for result in done.results)
    pictures = (_of_symbol_day(data, *symbol, done.day, model) for symbol in list(symbols)[:_SYMBOLS])
    return [picture for picture in pictures if picture is not None]


def _of_symbol_day(data: DataDir, venue: str, symbol: str, day: str, model: str) -> Picture | None:
    finest: tuple[str, pa.Table] | None = None
    for timeframe in _TIMEFRAMES:
        bars = read_leaf(data, Leaf("bars", venue, symbol, day, timeframe), ["ts_open", "open", "high", "low", "close"])
        if bars is None:
            continue
        bars = bars.filter(bars["close"].is_valid())
        finest = timeframe, bars.slice(max(0, bars.num_rows - _MOST))
        # The coarsest timeframe that still makes a picture: a day of 15m bars, the first hours of 1m bars.
        if bars.num_rows >= _ENOUGH:
            break
    if finest is None or not finest[1].num_rows:
        return None
    timeframe, bars = finest
    regimes = _regimes(data, Leaf("regimes", venue, symbol, day, timeframe, model), bars)
    return _picture(f"{symbol}  {venue}  {day}  {timeframe}", symbol, _candles(bars), regimes)


def _picture(title: str, symbol: str, candles: Candles, regimes: Regimes | None) -> Picture | None:
    large = candlestick.large(title, candles, regimes)
    if large is None:
        return None
    for most in (32, 28, 24, 20, 16, 12, 8, 4):
        small = f"![{symbol}]({_short_uri(candlestick.small(candles, regimes, most) or '')})"
        if len(small) < SHOWN_AT_ONCE:
            break
    return Picture(symbol, small, f"![{title}]({data_uri(large)})")


def _candles(bars: pa.Table) -> Candles:
    minute = bars["ts_open"].cast(pa.int64()).to_numpy() // 60_000_000_000 % 1440
    first, high, low, last = (bars[name].to_numpy().astype(np.float64) for name in ("open", "high", "low", "close"))
    return Candles(first, high, low, last, minute)


def _regimes(data: DataDir, leaf: Leaf, bars: pa.Table) -> Regimes | None:
    table = read_leaf(data, leaf, ["ts_open", "state", "label"])
    if table is None or not table.num_rows:
        return None
    opens = bars["ts_open"].cast(pa.int64()).to_numpy()
    known = table["ts_open"].cast(pa.int64()).to_numpy()
    state = table["state"].cast(pa.int64()).fill_null(-1).to_numpy()
    at = np.minimum(np.searchsorted(known, opens), len(known) - 1)
    labels = {number: str(label) for number, label in zip(state.tolist(), table["label"].to_pylist(), strict=True)}
    named = {number: label for number, label in sorted(labels.items()) if number >= 0}
    return Regimes(np.where(known[at] == opens, state[at], -1), named)


def data_uri(svg: str) -> str:
    """Return the picture as a data URI.

    >>> data_uri("<svg/>")
    'data:image/svg+xml;base64,PHN2Zy8+'
    """
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _short_uri(svg: str) -> str:
    # Percent signs for the few characters that need them are shorter than base64 of all.
    return "data:image/svg+xml," + quote(svg, safe="=:/,';.-")

"""Draw a symbol-day as a small candlestick picture, regimes shaded behind it. An SVG of a few kilobytes, no library.

Pictures go into Dagster's metadata as data URIs: its pages show them, and nothing has to be served.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trading_platform.pipeline.report import DayReport
from trading_platform.store.lake import leaves, read_leaf
from trading_platform.store.layout import DataDir, Leaf

Floats = npt.NDArray[np.float64]

_TIMEFRAMES = ("15m", "5m", "1m")
_ENOUGH = 30
_MOST = 150
_SYMBOLS = 6
"""Pictures stay in the event log: of very many symbols only the first are drawn."""

_WIDTH, _HEIGHT = 720, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 74, 26, 20
_SHADES = ("#dff0e4", "#fdf3d3", "#fbdcc4", "#f6c1bd", "#e4bfe0")
"""By state: states are ordered by volatility, calm first."""


class Candles(NamedTuple):
    """What is drawn: arrays of one length, in order of time; prices NaN where none is known."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    minute: npt.NDArray[np.int64]


class Regimes(NamedTuple):
    """The state of each candle (-1: none) and the states' labels."""

    state: npt.NDArray[np.int64]
    labels: dict[int, str]


def of_day(data: DataDir, done: DayReport) -> list[str]:
    """Return a markdown picture of each symbol of the day that has bars."""
    symbols = dict.fromkeys((result.leaf.venue, result.leaf.symbol) for result in done.results)
    pictures = (_of_symbol_day(data, venue, symbol, done.day) for venue, symbol in list(symbols)[:_SYMBOLS])
    return [picture for picture in pictures if picture is not None]


def _of_symbol_day(data: DataDir, venue: str, symbol: str, day: str) -> str | None:
    for timeframe in _TIMEFRAMES:
        leaf = Leaf("bars", venue, symbol, day, timeframe)
        bars = read_leaf(data, leaf, ["ts_open", "open", "high", "low", "close"])
        # The coarsest timeframe that still makes a picture: a day of 15m bars, the first hours of 1m bars.
        if bars is not None and (bars.num_rows >= _ENOUGH or timeframe == _TIMEFRAMES[-1]):
            regimes = _regimes(data, leaf, bars.slice(max(0, bars.num_rows - _MOST)))
            candles = _candles(bars.slice(max(0, bars.num_rows - _MOST)))
            title = f"{symbol}  {venue}  {day}  {timeframe}"
            svg = draw(title, candles, regimes)
            return None if svg is None else f"![{title}]({data_uri(svg)})"
    return None


def _candles(bars: pa.Table) -> Candles:
    minute = bars["ts_open"].cast(pa.int64()).to_numpy() // 60_000_000_000 % 1440
    first, high, low, last = (bars[name].to_numpy().astype(np.float64) for name in ("open", "high", "low", "close"))
    return Candles(first, high, low, last, minute)


def _regimes(data: DataDir, leaf: Leaf, bars: pa.Table) -> Regimes | None:
    found = [
        other
        for other in leaves(data, "regimes", venue=leaf.venue, symbol=leaf.symbol, timeframe=leaf.timeframe)
        if other.day == leaf.day
    ]
    table = read_leaf(data, found[0], ["ts_open", "state", "label"]) if found else None
    if table is None:
        return None
    opens = bars["ts_open"].cast(pa.int64()).to_numpy()
    known = table["ts_open"].cast(pa.int64()).to_numpy()
    state = table["state"].fill_null(-1).to_numpy().astype(np.int64)
    at = np.clip(np.searchsorted(known, opens), 0, max(len(known) - 1, 0))
    matched = np.where(known[at] == opens, state[at], -1) if len(known) else np.full(len(opens), -1)
    labels = dict(zip(state.tolist(), table["label"].to_pylist(), strict=True))
    return Regimes(matched, {number: str(label) for number, label in sorted(labels.items()) if number >= 0})


def draw(title: str, candles: Candles, regimes: Regimes | None = None) -> str | None:
    """Return the picture as SVG, None if no price is known.

    >>> one = np.array([1.0])
    >>> draw("BTC-USDT", Candles(one, one + 1, one - 1, one, np.array([0]))).startswith("<svg")
    True
    """
    known = np.isfinite(candles.low) & np.isfinite(candles.high)
    if not known.any():
        return None
    low, high = float(candles.low[known].min()), float(candles.high[known].max())
    scale = (_HEIGHT - _TOP - _BOTTOM) / ((high - low) or 1.0)
    step = (_WIDTH - _LEFT - _RIGHT) / len(candles.close)

    def y(price: float) -> int:
        return round(_HEIGHT - _BOTTOM - (price - low) * scale) if high > low else (_TOP + _HEIGHT - _BOTTOM) // 2

    parts = [_frame(title), *_shading(regimes, step), *_grid(low, high, y), *_hours(candles.minute, step)]
    for rising, color in ((True, "#1a7f5a"), (False, "#c0392b")):
        path = [
            _candle(_LEFT + (i + 0.5) * step, step, y, *(float(column[i]) for column in candles[:4]))
            for i in np.flatnonzero(known & ((candles.close >= candles.open) == rising))
        ]
        parts.append(f"<path d='{''.join(path)}' stroke='{color}' fill='{color}'/>")
    return "".join(parts) + "</svg>"


def _frame(title: str) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH}' height='{_HEIGHT}' font-family='sans-serif' "
        f"font-size='11' fill='#444'><rect width='100%' height='100%' rx='6' fill='#fff'/>"
        f"<text x='{_LEFT}' y='17' font-size='13' font-weight='bold'>{_text(title)}</text>"
    )


def _candle(
    x: float, step: float, y: Callable[[float], int], first: float, high: float, low: float, last: float
) -> str:
    """A wick and a body in one stretch of path."""
    half = max(step * 0.35, 0.5)
    top, bottom = sorted((y(first), y(last)))
    return f"M{x:.1f} {y(high)}V{y(low)}M{x - half:.1f} {top}h{2 * half:.1f}v{max(bottom - top, 1)}h{-2 * half:.1f}z"


def _shading(regimes: Regimes | None, step: float) -> list[str]:
    if regimes is None:
        return []
    parts = []
    edges = np.flatnonzero(np.diff(regimes.state)) + 1
    starts = np.concatenate(([0], edges, [len(regimes.state)]))
    for first, last in pairwise(starts):
        state = int(regimes.state[first])
        if state >= 0:
            box = f"x='{_LEFT + first * step:.1f}' y='{_TOP}' width='{(last - first) * step:.1f}'"
            parts.append(f"<rect {box} height='{_HEIGHT - _TOP - _BOTTOM}' fill='{_SHADES[state % len(_SHADES)]}'/>")
    x = _WIDTH - _RIGHT
    for number, label in reversed(regimes.labels.items()):
        x -= 22 + 7 * len(label)
        parts.append(f"<rect x='{x}' y='8' width='11' height='11' fill='{_SHADES[number % len(_SHADES)]}'/>")
        parts.append(f"<text x='{x + 15}' y='17'>{_text(label)}</text>")
    return parts


def _grid(low: float, high: float, y: Callable[[float], int]) -> list[str]:
    parts = []
    for price in (low, (low + high) / 2, high) if high > low else (low,):
        at = y(price)
        parts.append(f"<path d='M{_LEFT} {at}H{_WIDTH - _RIGHT}' stroke='#ddd' stroke-dasharray='2 3'/>")
        parts.append(f"<text x='{_WIDTH - _RIGHT + 6}' y='{at + 4}'>{_price(price)}</text>")
    return parts


def _hours(minute: npt.NDArray[np.int64], step: float) -> list[str]:
    """Mark about six times of day, the first candle's and evenly on."""
    every = max(len(minute) // 6, 1)
    return [
        f"<text x='{_LEFT + i * step:.0f}' y='{_HEIGHT - 6}'>{minute[i] // 60:02d}:{minute[i] % 60:02d}</text>"
        for i in range(0, len(minute), every)
    ]


def _price(value: float) -> str:
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.5g}"


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def data_uri(svg: str) -> str:
    """Return the picture as a data URI.

    >>> data_uri("<svg/>")
    'data:image/svg+xml;base64,PHN2Zy8+'
    """
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()

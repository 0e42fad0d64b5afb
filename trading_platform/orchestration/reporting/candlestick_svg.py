"""Draw a candlestick chart as SVG text, with regimes shaded behind the candles. Pure: arrays in, text out, no library.

Reading the candles and embedding the chart is charts.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_WIDTH, _HEIGHT = 720, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 74, 26, 20
_SHADES = ("#dff0e4", "#fdf3d3", "#fbdcc4", "#f6c1bd", "#e4bfe0")
"""By state: states are ordered by volatility, calm first."""

_SMALL_WIDTH, _SMALL_HEIGHT = 420, 90
_SMALL_SHADES = ("#efe", "#ffd", "#fed", "#fdd", "#fdf")


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


def small(candles: Candles, regimes: Regimes | None, most: int) -> str | None:
    """Return a picture of at most about `most` candles in as few characters as possible, None if no price is known.

    Wicks are one thin line, bodies one thick line for each colour, regimes one line each, as high as the picture.

    >>> one = np.array([1.0])
    >>> len(small(Candles(one, one + 1, one - 1, one, np.array([0])), None, 24)) < 300
    True
    """
    candles, regimes = grouped(candles, regimes, max(1, -(-len(candles.close) // most)))
    known = np.isfinite(candles.low) & np.isfinite(candles.high)
    if not known.any():
        return None
    low, high = float(candles.low[known].min()), float(candles.high[known].max())
    step = _SMALL_WIDTH / len(candles.close)
    scale = (_SMALL_HEIGHT - 8) / ((high - low) or 1.0)

    def y(price: float) -> int:
        return round(_SMALL_HEIGHT - 4 - (price - low) * scale)

    def x(at: np.intp) -> int:
        return round((at + 0.5) * step)

    middle = _SMALL_HEIGHT // 2
    parts = [f"<svg xmlns='http://www.w3.org/2000/svg' width='{_SMALL_WIDTH}' height='{_SMALL_HEIGHT}'>"]
    for state, stretches in _stretches(regimes).items():
        area = "".join(f"M{round(a * step)},{middle}H{round(b * step)}" for a, b in stretches)
        colour = _SMALL_SHADES[state % len(_SMALL_SHADES)]
        parts.append(f"<path stroke='{colour}' stroke-width='{_SMALL_HEIGHT}' d='{area}'/>")
    wicks = "".join(f"M{x(i)},{y(candles.high[i])}V{y(candles.low[i])}" for i in np.flatnonzero(known))
    parts.append(f"<path stroke='#888' d='{wicks}'/>")
    for rising, colour in ((True, "#185"), (False, "#c32")):
        bodies = [
            f"M{x(i)},{y(candles.open[i])}V{y(candles.close[i]) + (y(candles.open[i]) == y(candles.close[i]))}"
            for i in np.flatnonzero(known & ((candles.close >= candles.open) == rising))
        ]
        if bodies:
            parts.append(f"<path stroke='{colour}' stroke-width='{round(step * 0.6)}' d='{''.join(bodies)}'/>")
    return "".join(parts) + "</svg>"


def grouped(candles: Candles, regimes: Regimes | None, size: int) -> tuple[Candles, Regimes | None]:
    """Join each `size` neighbouring candles into one, with the regime that held at its end."""
    starts = np.arange(0, len(candles.close), size)
    ends = np.minimum(starts + size, len(candles.close))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a group without any price stays NaN
        high = np.array([np.nanmax(candles.high[a:b]) for a, b in zip(starts, ends, strict=True)])
        low = np.array([np.nanmin(candles.low[a:b]) for a, b in zip(starts, ends, strict=True)])
    first = np.array([_known(candles.open[a:b], 0) for a, b in zip(starts, ends, strict=True)])
    last = np.array([_known(candles.close[a:b], -1) for a, b in zip(starts, ends, strict=True)])
    joined = Candles(first, high, low, last, candles.minute[starts])
    return joined, None if regimes is None else Regimes(regimes.state[ends - 1], regimes.labels)


def _known(values: Floats, which: int) -> float:
    known = values[np.isfinite(values)]
    return float(known[which]) if len(known) else float("nan")


def _stretches(regimes: Regimes | None) -> dict[int, list[tuple[int, int]]]:
    """Return by state the stretches [first, last) of candles in it."""
    found: dict[int, list[tuple[int, int]]] = {}
    if regimes is not None and len(regimes.state):
        edges = np.flatnonzero(np.diff(regimes.state)) + 1
        for first, last in pairwise([0, *edges.tolist(), len(regimes.state)]):
            if regimes.state[first] >= 0:
                found.setdefault(int(regimes.state[first]), []).append((first, last))
    return found


def large(title: str, candles: Candles, regimes: Regimes | None = None) -> str | None:
    """Return a picture with its title, prices, times and legend, None if no price is known.

    >>> one = np.array([1.0])
    >>> large("BTC-USDT", Candles(one, one + 1, one - 1, one, np.array([0]))).startswith("<svg")
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
    for state, stretches in _stretches(regimes).items():
        for first, last in stretches:
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

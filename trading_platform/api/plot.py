"""Draw bars as a figure: ``tp.plot``. Candles, indicators, regimes, and where bars are not complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.analytics.checks import bar_times
from trading_platform.analytics.dataframes import Frame
from trading_platform.domain.errors import UsageError, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 5_000
"""More candles than pixels tell nothing; resample the bars."""
_UP, _DOWN, _GAP = "#2e7d5b", "#b5473c", "#8a8a8a"
_SHADES = ("#dcebf7", "#f5e6c8", "#f3cfc6", "#e5b8c9", "#cdb4db")
"""Of the states, the calm one first."""
_OURS = frozenset({"ts_open", "ts_close", "complete", "state", "label", "change_probability"})

Floats = npt.NDArray[np.float64]


class _Drawn(NamedTuple):
    days: Floats
    width: float
    prices: dict[str, Floats]
    volume: Floats | None
    complete: npt.NDArray[np.bool_]


def plot(bars: Any, indicators: Any = None, regimes: Any = None, *, title: str = "") -> Figure:
    """Return a figure of bars: candles, the indicators over or below them, regimes shaded, gaps marked.

    Parameters
    ----------
    bars : a frame of bars with ``ts_open ts_close open high low close``, and ``volume complete`` if known.
    indicators : a frame with ``ts_open`` and a column per output, such as `read_indicators` gives. Outputs within the
        range of the prices are drawn over them, each other in a panel of its own.
    regimes : a frame with ``ts_open`` and ``state``, such as `read_regimes` gives.
    title : above the figure.

    Returns
    -------
    matplotlib.figure.Figure, which a notebook shows, and ``figure.savefig("bars.svg")`` keeps. An incomplete bar has a
    grey ground: what it shows is not all.

    Raises
    ------
    UsageError : if a column is missing, there are no bars, or more than 5,000.

    Examples
    --------
    >>> import pandas as pd
    >>> at = pd.to_datetime([0, 60, 120], unit="s", utc=True)
    >>> bars = pd.DataFrame({"ts_open": at, "ts_close": at + pd.Timedelta("1min"), "open": [1.0, 2.0, 1.5],
    ...                      "high": [2.0, 2.5, 2.0], "low": [0.5, 1.5, 1.0], "close": [2.0, 1.5, 1.8]})
    >>> [axes.get_ylabel() for axes in plot(bars, title="BTC-USDT").axes]
    ['price']
    """
    held = _read(bars)
    lines = [] if indicators is None else _lines(Frame(indicators), held)
    over = [line for line in lines if line[3]]
    below = [line for line in lines if not line[3]]
    from matplotlib.figure import Figure

    panels = 1 + (held.volume is not None) + len(below)
    figure = Figure(figsize=(11, 4.2 + 1.3 * (panels - 1)), layout="constrained")
    ratios = [4.0, *[1.0] * (panels - 1)]
    found = figure.subplots(panels, 1, sharex=True, height_ratios=ratios, squeeze=False)[:, 0]
    axes: list[Axes] = list(found)
    _candles(axes[0], held)
    for name, days, values, _ in over:
        axes[0].plot(days, values, linewidth=1.0, label=name)
    if over:
        axes[0].legend(loc="upper left", fontsize=8, frameon=False)
    if held.volume is not None:
        axes[1].bar(held.days + held.width / 2, held.volume, held.width * 0.8, color=_GAP)
        axes[1].set_ylabel("volume")
    for at, (name, days, values, _) in zip(axes[panels - len(below) :], below, strict=True):
        at.plot(days, values, linewidth=1.0)
        at.set_ylabel(name)
    if regimes is not None:
        _shade(axes, Frame(regimes))
    _dates(axes[-1])
    if title:
        figure.suptitle(title)
    return figure


def _read(bars: Any) -> _Drawn:
    frame = Frame(bars)
    for name in ("ts_open", "ts_close", "open", "high", "low", "close"):
        frame.need(name, "plot")
    if not 0 < len(frame) <= MOST_BARS:
        more = f"{len(frame):,} bars are more than can be seen; resample them, or choose a shorter span"
        raise UsageError(more if len(frame) else "there are no bars to plot")
    ts_open, ts_close = bar_times(frame)
    assert ts_open is not None and ts_close is not None
    complete = np.ones(len(frame), np.bool_)
    if "complete" in frame:
        places, values = frame.groups("complete")
        complete = np.array([value is True for value in values])[places]
    days = ts_open / 86_400e9
    width = float(np.median(ts_close - ts_open)) / 86_400e9
    prices = {name: frame.floats(name) for name in ("open", "high", "low", "close")}
    return _Drawn(days, width, prices, frame.floats("volume") if "volume" in frame else None, complete)


def _lines(frame: Frame, held: _Drawn) -> list[tuple[str, Floats, Floats, bool]]:
    """Return each output: its name, times and values, and whether it lies among the prices."""
    frame.need("ts_open", "plot")
    days = frame.instants("ts_open") / 86_400e9
    known = [values[~np.isnan(values)] for values in held.prices.values()]
    low, high = min(v.min(initial=np.inf) for v in known), max(v.max(initial=-np.inf) for v in known)
    margin = (high - low) / 2
    found = []
    for name in frame.names:
        if name in _OURS or not frame.is_number(name):
            continue
        values = frame.floats(name)
        some = values[~np.isnan(values)]
        among = bool(len(some)) and low - margin <= some.min() and some.max() <= high + margin
        found.append((name, days, values, among))
    return found


def _candles(axes: Axes, held: _Drawn) -> None:
    middle, price = held.days + held.width / 2, held.prices
    for up, colour in ((True, _UP), (False, _DOWN)):
        some = (price["close"] >= price["open"]) == up
        some &= ~np.isnan(price["close"])
        axes.vlines(middle[some], price["low"][some], price["high"][some], color=colour, linewidth=0.8)
        body = np.abs(price["close"] - price["open"])[some]
        foot = np.minimum(price["close"], price["open"])[some]
        axes.bar(middle[some], body, held.width * 0.8, bottom=foot, color=colour)
    for at in held.days[~held.complete]:
        axes.axvspan(at, at + held.width, color=_GAP, alpha=0.15, linewidth=0)
    axes.set_ylabel("price")


def _shade(axes: list[Axes], frame: Frame) -> None:
    """Shade each stretch of one state."""
    for name in ("ts_open", "state"):
        frame.need(name, "plot")
    state, missing = frame.integers("state")
    if len(state) and not missing.all() and not 0 <= state[~missing].min() <= state[~missing].max() < len(_SHADES):
        raise UsageError(f"state {shown(int(state.max()))} is none; states are 0 to {len(_SHADES) - 1}")
    days = frame.instants("ts_open") / 86_400e9
    begin = np.flatnonzero(np.concatenate(([True], (np.diff(state) != 0) | (np.diff(missing) != 0)))[: len(state)])
    step = float(np.median(np.diff(days))) if len(days) > 1 else 0.0
    ends = np.append(days[begin[1:]], days[-1:] + step)
    for first, end in zip(begin.tolist(), ends.tolist(), strict=True):
        if not missing[first]:
            for each in axes:
                each.axvspan(days[first], end, color=_SHADES[state[first]], linewidth=0, zorder=0)


def _dates(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_xlabel("UTC")

"""Draw the report's figures with matplotlib as static SVG that takes its colours from the page.

A figure is part of the page: each colour that is drawn is a variable of its style sheet, so that light, dark and paper
have their own. Texts stay texts. The same numbers give the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quality.report.trades import Outlier, PricePath

# Stand-ins that no one would choose: each becomes `var(--name)` of templates/report.css.
_COLOURS = {
    "ink": "#010203",
    "muted": "#010204",
    "grid": "#010205",
    "line": "#010206",
    "band": "#010207",
    "bad": "#010208",
    "soft": "#010209",
}
_SVG = "http://www.w3.org/2000/svg"
_LEFT_OUT = (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style")
"""What matplotlib says about itself, and a style that would hold for the whole page."""
_LINK = "{http://www.w3.org/1999/xlink}href"
_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.edgecolor": _COLOURS["grid"],
    "axes.labelcolor": _COLOURS["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _COLOURS["ink"],
    "xtick.color": _COLOURS["muted"],
    "ytick.color": _COLOURS["muted"],
    "ytick.labelcolor": _COLOURS["ink"],
    "grid.color": _COLOURS["grid"],
    "grid.linewidth": 0.6,
    "lines.solid_capstyle": "butt",
}
_WIDTH = 5.6
_LONGEST_NAME = 16
"""Longer symbols are cut in a figure; the table beside it has them whole."""


def prices(name: str, said: str, path: PricePath, outliers: Sequence[Outlier], day_start_ns: int) -> str:
    """Return the price over a day: the band from lowest to highest, the last price, each outlier as a cross.

    The scale leaves out what would flatten everything else: an outlier beyond it is drawn at the edge.

    Parameters
    ----------
    name : of the figure, one word, its own on the page.
    said : what it shows, for readers who cannot see it.
    """
    import numpy as np

    with _figure(name, 2.3) as (figure, axes, done):
        hours = path.minute / 60
        low, high = _scale(path)
        axes.fill_between(hours, path.low, path.high, color=_COLOURS["band"], linewidth=0, label="lowest to highest")
        axes.plot(hours, path.last, color=_COLOURS["line"], linewidth=1.1)
        axes.set_ylim(low, high)
        for outlier in outliers[:50]:
            at = (outlier.ts_event - day_start_ns) / 3.6e12
            shown = min(max(outlier.price, low), high)
            axes.plot([at], [shown], "x", color=_COLOURS["bad"], markersize=8, markeredgewidth=2, clip_on=False)
        axes.grid(axis="y")
        span = float(hours[-1] - hours[0])
        axes.xaxis.set_major_formatter(lambda hour, _: f"{int(hour) % 24:02d}:{round(hour % 1 * 60) % 60:02d}")
        step = next((s for s in (1 / 60, 1 / 12, 1 / 6, 1 / 4, 0.5, 1, 2) if span / s <= 6), 4)
        first = np.ceil(float(hours[0]) / step - 1e-9) * step
        axes.set_xticks(np.arange(first, float(hours[-1]) + 1e-9, step))
        axes.yaxis.set_major_formatter(lambda price, _: f"{price:,.10g}")
        figure.tight_layout(pad=0.3)
        figure.canvas.print_figure(done, format="svg", metadata=_NOTHING)
    return _embedded(done, name, said)


def _scale(path: PricePath) -> tuple[float, float]:
    """Return the ends of the scale: of the last prices, and of most of the lowest and highest."""
    import numpy as np

    low = min(float(np.quantile(path.low, 0.01)), float(path.last.min()))
    high = max(float(np.quantile(path.high, 0.99)), float(path.last.max()))
    margin = (high - low) * 0.06 or abs(high) * 0.001 or 1.0
    return low - margin, high + margin


def latencies(name: str, said: str, rows: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Return a bar a symbol from the median to the 99th percentile (ms, logarithmic), with a mark at 90 %."""
    with _figure(name, 0.55 + 0.3 * len(rows)) as (figure, axes, done):
        for at, (_, (middle, most, nearly_all, _)) in enumerate(rows):
            first, last = (max(value, 0.05) for value in (middle, nearly_all))
            axes.plot([first, max(last, first * 1.03)], [at, at], color=_COLOURS["band"], linewidth=9)
            axes.plot([max(most, 0.05)], [at], "|", color=_COLOURS["line"], markersize=11, markeredgewidth=2)
            axes.plot([first], [at], "o", color=_COLOURS["line"], markersize=5)
        axes.set_xscale("log")
        low = min(quantiles[0] for _, quantiles in rows)
        high = max(quantiles[2] for _, quantiles in rows)
        axes.set_xlim(max(low, 0.05) / 2, max(high, 0.05) * 2)
        axes.xaxis.set_major_formatter(lambda value, _: _duration(value))
        axes.xaxis.set_minor_formatter(lambda *_: "")
        marks = [step * 10.0**power for power in range(-2, 9) for step in (1, 2, 5)]
        inside = [mark for mark in marks if _inside(axes, mark)]
        axes.set_xticks(inside[:: -(-len(inside) // 6)])
        _names(axes, [label for label, _ in rows])
        axes.grid(axis="x")
        figure.tight_layout(pad=0.3)
        figure.canvas.print_figure(done, format="svg", metadata=_NOTHING)
    return _embedded(done, name, said)


def ratios(name: str, said: str, rows: Sequence[tuple[str, float]]) -> str:
    """Return a dot a symbol: how many times the usual number of trades; the band from a third to three is steady."""
    with _figure(name, 0.55 + 0.3 * len(rows)) as (figure, axes, done):
        axes.axvspan(1 / 3, 3, color=_COLOURS["soft"], linewidth=0)
        axes.axvline(1, color=_COLOURS["muted"], linewidth=1)
        for at, (_, ratio) in enumerate(rows):
            steady = 1 / 3 <= ratio <= 3
            colour = _COLOURS["line" if steady else "bad"]
            axes.plot([min(max(ratio, 0.01), 100)], [at], "o" if steady else "D", color=colour, markersize=6)
        axes.set_xscale("log")
        axes.set_xlim(min(0.2, *(r * 0.7 for _, r in rows if r > 0), 0.2), max(5.0, *(r * 1.4 for _, r in rows), 5.0))
        axes.xaxis.set_major_formatter(lambda value, _: f"× {value:g}")
        axes.xaxis.set_minor_formatter(lambda *_: "")
        axes.set_xticks([value for value in (0.01, 0.1, 1 / 3, 1, 3, 10, 100) if _inside(axes, value)])
        axes.xaxis.set_major_formatter(lambda value, _: "× ⅓" if abs(value - 1 / 3) < 1e-6 else f"× {value:g}")
        _names(axes, [label for label, _ in rows])
        figure.tight_layout(pad=0.3)
        figure.canvas.print_figure(done, format="svg", metadata=_NOTHING)
    return _embedded(done, name, said)


def _inside(axes: Axes, value: float) -> bool:
    low, high = axes.get_xlim()
    return low <= value <= high


def _names(axes: Axes, names: Sequence[str]) -> None:
    shown = [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in names]
    axes.set_yticks(range(len(names)), shown)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _duration(ms: float) -> str:
    """Return a duration in the unit that suits it.

    >>> _duration(0.1), _duration(250), _duration(60_000)
    ('0.1 ms', '250 ms', '60 s')
    """
    return f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"


_NOTHING = {"Date": None, "Creator": None, "Format": None, "Type": None}


@contextmanager
def _figure(name: str, height: float) -> Iterator[tuple[Figure, Axes, io.BytesIO]]:
    """Give a figure to draw on, with the report's style and ids that depend on its name alone."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(_WIDTH, height))
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        yield figure, axes, io.BytesIO()


def _embedded(drawn: io.BytesIO, name: str, said: str) -> str:
    """Return the figure as an element of a page: our colours, ids of its own, as wide as there is room."""
    ET.register_namespace("", _SVG)
    root = ET.fromstring(drawn.getvalue())  # noqa: S314  drawn here a moment ago
    for side in ("width", "height"):
        root.attrib.pop(side)
    root.set("role", "img")
    root.set("aria-label", said)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in _LEFT_OUT:
                parent.remove(child)
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            del element.attrib[key]
            element.set("href" if key == _LINK else key, _adapted(key, value, name))
    return ET.tostring(root, encoding="unicode")


def _adapted(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == _LINK:
        return f"#{name}-{value.removeprefix('#')}"
    if key == "d":
        return re.sub(r"(\.\d\d)\d+", r"\1", value)
    for variable, colour in _COLOURS.items():
        value = value.replace(colour, f"var(--{variable})")
    return re.sub(r"url\(#", f"url(#{name}-", re.sub(r"font: ([\d.]+px)[^;]*", r"font-size: \1", value))

"""Draw each indicator as a small SVG: what docs/indicators.md shows. Pure text, the same on every machine.

``python -m trading_platform.analytics.pictures docs/indicators`` writes them; a test compares them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trading_platform.analytics.driver import Plan
from trading_platform.analytics.indicator import Indicator
from trading_platform.analytics.indicators import INDICATORS
from trading_platform.domain.days import DAY_NS

Floats = npt.NDArray[np.float64]

BARS = 200
WIDTH, PANEL, GAP = 420, 84, 8
COLOURS = ("#1f77b4", "#d95f02", "#2ca02c", "#9467bd")
_HOUR_NS = DAY_NS // 24


def market() -> dict[str, Floats]:
    """Return made-up hourly bars of eight days: waves and whole cents from a linear congruence."""
    seed, rows, close = 12_345, [], 100.0
    for bar in range(BARS):
        draws = []
        for _ in range(6):
            seed = (1_103_515_245 * seed + 12_345) % 2**31
            draws.append((seed >> 8) % 1_000 / 1_000)
        opened = close
        close = round(opened + 3 * draws[0] - 1.5 + (0.5 if bar // 40 % 2 == 0 else -0.45), 2)
        high, low = max(opened, close) + round(draws[1], 2), min(opened, close) - round(draws[2], 2)
        volume = round(1 + 9 * draws[3], 3)
        rows.append((opened, high, low, close, volume, volume * close, round(volume * draws[4], 3)))
    names = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume")
    return {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def picture(indicator: Indicator) -> str:
    """Return the SVG of an indicator at its defaults: over the close what is a price, below it what is not."""
    columns = market()
    plan = Plan([indicator.spelled()])
    outputs = plan.run(plan.start(), columns, np.arange(BARS, dtype=np.int64) * _HOUR_NS)
    close = columns["close"]
    over = [line for line in outputs.values() if _is_price(line, close)]
    below = [line for line in outputs.values() if not _is_price(line, close)]
    panels = [[close, *over], *([below] if below else [])]
    height = len(panels) * (PANEL + GAP) - GAP
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<title>{indicator.title}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for at, panel in enumerate(panels):
        colours = ("#999", *COLOURS) if at == 0 else COLOURS
        body += _panel(panel, at * (PANEL + GAP), colours)
    return "\n".join([*body, "</svg>"]) + "\n"


def _is_price(line: Floats, close: Floats) -> bool:
    shown = line[np.isfinite(line)]
    margin = np.ptp(close) / 2
    return bool(
        close.min() - margin < shown.min() and shown.max() < close.max() + margin and np.ptp(shown) > margin / 5
    )


def _panel(lines: Sequence[Floats], top: int, colours: Sequence[str]) -> list[str]:
    shown = np.concatenate([line[np.isfinite(line)] for line in lines])
    low, spread = float(shown.min()), float(np.ptp(shown)) or 1.0
    drawn = [f'<rect y="{top}" width="{WIDTH}" height="{PANEL}" fill="#f7f7f7"/>']
    for line, colour in zip(lines, colours, strict=False):
        points = [
            f"{2 + bar * (WIDTH - 4) / (BARS - 1):.1f},{top + 3 + (PANEL - 6) * (1 - (value - low) / spread):.1f}"
            for bar, value in enumerate(line.tolist())
            if np.isfinite(value)
        ]
        drawn.append(f'<polyline fill="none" stroke="{colour}" points="{" ".join(points)}"/>')
    return drawn


def main(folder: Path) -> None:
    """Write all pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, indicator in INDICATORS.items():
        (folder / f"{name}.svg").write_text(picture(indicator), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

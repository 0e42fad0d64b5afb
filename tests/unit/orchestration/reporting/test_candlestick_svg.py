"""Pictures: small enough for Dagster's pages, true to the prices, and none where no price is known."""

from __future__ import annotations

# ruff: noqa: S314  what is parsed is our own
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, strategies as st

from trading_platform.orchestration.reporting.candlestick_svg import Candles, Regimes, grouped, large, small
from trading_platform.orchestration.reporting.charts import SHOWN_AT_ONCE, _picture


def walk(n: int, *, seed: int = 1, unknown: tuple[int, ...] = ()) -> Candles:
    """Return a random walk of candles, some without a price."""
    rng = np.random.default_rng(seed)
    close = 60_000 + np.cumsum(rng.normal(0, 40, n))
    first = np.concatenate(([60_000.0], close[:-1]))
    high, low = np.maximum(first, close) + rng.random(n) * 9, np.minimum(first, close) - rng.random(n) * 9
    for column in (first, high, low, close):
        column[list(unknown)] = np.nan
    return Candles(first, high, low, close, np.arange(n) * 15 % 1440)


def changing(n: int, every: int) -> Regimes:
    """Return states that change often."""
    return Regimes(np.arange(n) // every % 3 - (np.arange(n) % 17 == 0), {0: "calm", 1: "normal", 2: "wild"})


@given(st.integers(1, 150), st.integers(1, 40), st.integers(0, 5))
def test_a_small_picture_is_always_shown_in_place(n: int, every: int, seed: int) -> None:
    """However many candles and changes of regime, the markdown stays below what the pages show at once."""
    picture = _picture("title", "BTC-USDT-PERP", walk(n, seed=seed), changing(n, every))
    assert picture is not None and len(picture.small) < SHOWN_AT_ONCE
    assert re.fullmatch(r"!\[BTC-USDT-PERP]\(data:image/svg\+xml,[^\s()<>\"#]+\)", picture.small)


@pytest.mark.parametrize("n", [1, 2, 96, 150])
def test_pictures_are_well_formed(n: int) -> None:
    """Both are SVG that a parser takes, whatever the title holds."""
    for svg in (large("A&B <x>", walk(n), changing(n, 5)), small(walk(n), changing(n, 5), 24)):
        assert svg is not None and ET.fromstring(svg).tag.endswith("svg")


def test_no_price_no_picture() -> None:
    """A day of empty intervals has nothing to draw."""
    empty = walk(3, unknown=(0, 1, 2))
    assert large("x", empty) is None and small(empty, None, 24) is None and _picture("x", "X", empty, None) is None


def test_unknown_prices_leave_a_hole() -> None:
    """An interval without a price draws no candle."""
    svg = small(walk(10, unknown=(4, 5)), None, 24)
    assert svg is not None
    wicks = ET.fromstring(svg)[0].attrib["d"]
    assert wicks.count("M") == 8


def test_grouping_keeps_first_last_and_extremes() -> None:
    """Four candles joined open with the first, close with the last, and reach as far as any."""
    candles = walk(8, unknown=(0, 7))
    joined, regimes = grouped(candles, Regimes(np.arange(8) % 2, {}), 4)
    assert joined.open.tolist() == [candles.open[1], candles.open[4]]
    assert joined.close.tolist() == [candles.close[3], candles.close[6]]
    assert joined.high.tolist() == [np.nanmax(candles.high[:4]), np.nanmax(candles.high[4:])]
    assert joined.low.tolist() == [np.nanmin(candles.low[:4]), np.nanmin(candles.low[4:])]
    assert regimes is not None and regimes.state.tolist() == [1, 1]

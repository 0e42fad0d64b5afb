"""`compute(…, grid=True)` and `stream(…, grid=…)` on a lake's bars are the lake's own indicators, bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pytest

import trading_platform as tp
from quality.schemas import GATES
from tests.support.builders.lakes import SYMBOL, Market, made_up
from trading_platform.analytics import own_indicators
from trading_platform.pipeline.pipeline import Pipeline

FIRST, LAST, END = "2024-01-29", "2024-02-05", "2024-02-06"
FRAMES = ("1m", "15m", "1h", "4h", "1d")
NAMES = (
    "sma_5",
    "ema_5",
    "rsi_4",
    "macd_3_6_4",
    "bbands_5_2",
    "atr_4",
    "vwap",
    "vwap_5",
    "ema_3__rsi_4",
    "ema_2__vwap",
)
NAMES += ("sma_4__volume", "sma_3__open")
# Of each kind one, and a user's own.
own_indicators.load_path(Path(__file__).parents[1] / "support" / "own")
NAMES += ("body_3", "stoch_4_2_2", "adx_3", "kama_3_2_10", "psar_0p02_0p2", "cci_4", "obv", "pvt", "ema_2__mom_2")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """Make a sparse market: empty intervals, gaps, a day without a trade, one that only a gap touches."""
    there = Market.open(tmp_path_factory.mktemp("data"))
    whole = made_up(FIRST, 8, 40, quiet=["2024-01-31", "2024-02-03"])
    quiet = np.flatnonzero(np.diff(whole.ts // (86_400 * 10**9)) > 1)  # the last trades before the two quiet days
    sides = whole.buy.astype(object)
    sides[50:60] = None
    held = dataclasses.replace(whole, buy=sides).without(*whole.ids[[15, 16, 90, quiet[1], quiet[1] + 1]].tolist())
    there.hold(held)
    pipeline = Pipeline(there.data, there.ledger, gates=GATES, timeframes=FRAMES, indicator_names=NAMES)
    assert all(done.ok for done in pipeline.refresh_range(["bars", "indicators"], FIRST, LAST))
    yield there
    there.ledger.close()


def bits(values: object) -> npt.NDArray[np.int64]:
    return np.asarray(values, dtype=np.float64).view(np.int64)


def stored(market: Market, timeframe: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the bars of the whole history and the indicators stored beside them."""
    ask = (SYMBOL, FIRST, END)
    bars, found = (
        read(*ask, timeframe=timeframe, data_dir=market.data.root) for read in (tp.read_bars, tp.read_indicators)
    )
    assert bars["ts_open"].equals(found["ts_open"])
    return bars, found


def test_the_lake_is_the_one_described(market: Market) -> None:
    """There are empty intervals, rows without a trade, unknown taker sums, a day without rows and one with a gap."""
    bars, _ = stored(market, "15m")
    days = set(bars["ts_open"].dt.strftime("%Y-%m-%d"))
    assert "2024-01-31" not in days
    assert "2024-02-03" in days
    assert (bars["trade_count"] == 0).any()
    assert (bars["trade_count"] > 0).sum() < 7 * 96
    assert (~bars["complete"]).any()
    assert bars["taker_buy_volume"].isna().any()


@pytest.mark.parametrize("timeframe", FRAMES)
def test_compute_on_the_grid_equals_the_stored_indicators(market: Market, timeframe: str) -> None:
    """From the first bar on every output has the stored bits, and is missing where that is, whatever the engine."""
    bars, found = stored(market, timeframe)
    made = tp.compute(bars, NAMES, grid=True)
    assert list(made) == list(found.columns[3:])
    for name in made:
        np.testing.assert_array_equal(bits(made[name]), bits(found[name]), err_msg=name)
    assert made["sma_5"].notna().any()
    other = tp.compute(pl.from_pandas(bars), NAMES, grid=True)
    for name in made:
        assert other[name].is_null().to_list() == made[name].isna().tolist()
        assert other[name].drop_nulls().to_list() == made[name].dropna().tolist()
    if timeframe in {"1m", "15m"}:
        plain = tp.compute(bars, NAMES, grid=None)
        assert (bits(plain["sma_5"]) != bits(found["sma_5"])).any(), "the rows alone step otherwise"


@pytest.mark.parametrize("timeframe", FRAMES)
def test_a_stream_on_the_grid_equals_the_stored_indicators(market: Market, timeframe: str) -> None:
    """Bar by bar, kept and restored on the way, the numbers are the stored ones."""
    bars, found = stored(market, timeframe)
    live, rows = tp.stream(NAMES, grid=timeframe), []
    for at, bar in enumerate(bars.to_dict("records")):
        if at % 50 == 7:
            live = tp.stream.restore(live.state())
        rows.append(live.update(bar))
    made = pd.DataFrame(rows).astype(float)
    for name in made:
        np.testing.assert_array_equal(bits(made[name]), bits(found[name]), err_msg=name)


def test_the_lakes_own_ticks_make_its_bars(market: Market) -> None:
    """`make_bars` takes what `read_ticks` gives, unknown sides and all."""
    ticks = tp.read_ticks(SYMBOL, FIRST, END, data_dir=market.data.root)
    made = tp.make_bars(ticks, "1h")
    bars, _ = stored(market, "1h")
    held = bars[bars["trade_count"] > 0].reset_index(drop=True)
    same = [name for name in made if name not in {"proof", "complete"}]
    pd.testing.assert_frame_equal(made[same], held[same], check_exact=True)


@pytest.mark.parametrize(
    ("change", "grid", "words"),
    [
        (lambda bars: bars.drop(columns="ts_close"), True, "column 'ts_close' is missing; grid=True needs it"),
        (lambda bars: bars.drop(columns="ts_open"), True, "column 'ts_open' is missing"),
        (lambda bars: bars, "1m", "row 0 is 3600 s wide, not 60 s"),
        (lambda bars: bars, "7m", "is not a timeframe"),
        (lambda bars: bars, 5, "is not a timeframe"),
        (lambda bars: bars.assign(ts_open=bars["ts_open"] + pd.Timedelta(minutes=1)), "1h", "wide, not 3600 s"),
        (lambda bars: bars.drop(columns="ts_close").assign(ts_open=bars["ts_open"] + pd.Timedelta(minutes=1)), "1h",
         "row 0 does not open on the UTC grid of 3600 s"),
    ],
)  # fmt: skip
def test_what_is_no_grid_is_refused(market: Market, change: object, grid: object, words: str) -> None:
    """A grid needs times, one width that divides a day, and rows that open on it."""
    bars, _ = stored(market, "1h")
    with pytest.raises(tp.UsageError, match=words):
        tp.compute(change(bars), ["sma_2"], grid=grid)  # type: ignore[operator,arg-type]

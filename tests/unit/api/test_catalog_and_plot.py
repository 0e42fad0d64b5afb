"""`tp.catalog` tells what is stored; `tp.plot` draws bars with what belongs to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import trading_platform as tp
from tests.support.builders.lakes import Market, made_up


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Give a lake of two symbols, one with three days."""
    market = Market.open(tmp_path / "data")
    market.hold(made_up("2024-03-04", 3, 50))
    market.hold(made_up("2024-03-05", 1, 40), "ETH-USDT")
    market.ledger.close()
    return tmp_path / "data"


def test_the_catalog_names_what_is_stored(lake: Path) -> None:
    """A row a symbol, with its days and rows; without the ledger the rows are unknown."""
    found = tp.catalog(data_dir=lake)
    assert found[["dataset", "venue", "symbol", "first_day", "last_day", "days", "rows"]].to_numpy().tolist() == [
        ["ticks", "binance", "BTC-USDT", "2024-03-04", "2024-03-06", 3, 150],
        ["ticks", "binance", "ETH-USDT", "2024-03-05", "2024-03-05", 1, 40],
    ]
    assert found["timeframe"].isna().all() and (found["bytes"] > 0).all()
    (lake / "ledger.sqlite").unlink()
    assert tp.catalog(data_dir=lake, engine="polars")["rows"].null_count() == 2
    assert isinstance(tp.catalog(data_dir=lake, engine="polars"), pl.DataFrame)


def test_a_catalog_of_nothing_is_refused(tmp_path: Path) -> None:
    """A directory that does not exist, and an engine that is none."""
    with pytest.raises(tp.UsageError, match="does not exist"):
        tp.catalog(data_dir=tmp_path / "nowhere")
    with pytest.raises(tp.UsageError, match="is not an engine"):
        tp.catalog(data_dir=tmp_path, engine="excel")


def bars(count: int = 200) -> pd.DataFrame:
    """Return minute bars of a random walk; one has no trade, and one is not complete."""
    rng = np.random.default_rng(5)
    close = 100 + np.cumsum(rng.normal(0, 1, count))
    at = pd.date_range("2024-03-04", periods=count, freq="min", tz="UTC")
    columns = {"open": close + 0.2, "high": close + 1, "low": close - 1, "close": close, "volume": rng.random(count)}
    frame = pd.DataFrame({"ts_open": at, "ts_close": at + pd.Timedelta("1min"), **columns, "complete": True})
    frame.loc[frame.index == 10, ["open", "high", "low", "close"]] = np.nan
    frame.loc[frame.index.isin([10, 11]), "complete"] = False
    return frame


def test_a_figure_shows_everything(tmp_path: Path) -> None:
    """Averages lie over the candles, oscillators below; regimes are shaded, gaps marked; it can be kept."""
    held = bars()
    outputs = tp.compute(held, ["ema_9", "rsi_14"]).assign(ts_open=held["ts_open"])
    states = pd.DataFrame({"ts_open": held["ts_open"], "state": np.repeat([0, 1, 2, 1], 50)})
    figure = tp.plot(held, outputs, states, title="BTC-USDT")
    assert [axes.get_ylabel() for axes in figure.axes] == ["price", "volume", "rsi_14"]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["ema_9"]
    assert len(figure.axes[2].patches) == 4, "a shade for each stretch of one state"
    assert len(figure.axes[0].patches) == 199 + 4 + 2, "candles, shades and what is not complete"
    figure.savefig(tmp_path / "bars.svg")
    assert (tmp_path / "bars.svg").stat().st_size > 10_000


def test_what_cannot_be_drawn_is_refused() -> None:
    """No bars, too many, a column that is missing, a state that is none."""
    with pytest.raises(tp.UsageError, match="no bars to plot"):
        tp.plot(bars().iloc[:0])
    with pytest.raises(tp.UsageError, match="resample them"):
        tp.plot(bars(5001))
    with pytest.raises(tp.UsageError, match="column 'close' is missing"):
        tp.plot(bars().drop(columns="close"))
    with pytest.raises(tp.UsageError, match="states are 0 to 4"):
        tp.plot(bars(3), None, pd.DataFrame({"ts_open": bars(3)["ts_open"], "state": [0, 7, 1]}))

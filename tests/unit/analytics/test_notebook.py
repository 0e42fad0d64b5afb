"""`compute`, `stream` and `indicator_table` as notebooks use them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import trading_platform as tp
from trading_platform.domain.errors import UsageError

NAMES = ["rsi_14", "bbands_20_2", "ema_9__rsi_14", "vwap", "atr_14"]


def bars(rows=60):
    close = 100 + np.cumsum(np.random.default_rng(5).normal(size=rows))
    return pd.DataFrame(
        {
            "ts_open": pd.date_range("2024-08-08 23:30", periods=rows, freq="1min", tz="UTC"),
            "high": close + 1, "low": close - 1, "close": close, "volume": 1.5,
        }
    )  # fmt: skip


def test_what_goes_in_comes_out():
    """pandas, polars and Arrow give the same numbers in a frame of their own kind."""
    given = bars()
    arrow = pa.Table.from_pandas(given, preserve_index=False)
    frames = [given, pl.from_pandas(given), arrow, pl.from_pandas(given).lazy(), arrow.to_batches()[0]]
    found = [tp.compute(frame, NAMES) for frame in frames]
    assert [type(f) for f in found] == [pd.DataFrame, pl.DataFrame, pa.Table, pl.DataFrame, pa.Table]
    for other in (found[1].to_pandas(), found[2].to_pandas(), found[3].to_pandas(), found[4].to_pandas()):
        pd.testing.assert_frame_equal(found[0], other, check_exact=True)
    assert all(dtype == np.float64 for dtype in found[0].dtypes)


def test_compute_works_twice_in_a_row():
    """No import along the way overwrites the call."""
    first = tp.compute(bars(), NAMES)
    pd.testing.assert_frame_equal(tp.compute(bars(), NAMES), first, check_exact=True)
    assert callable(tp.compute)


def test_rows_and_index_are_those_given():
    """Rows keep their index, and rows with nothing in them are NaN without harming the rest."""
    given = bars().set_index(pd.Index([f"row {i}" for i in range(60)]))
    given.loc["row 30", ["high", "low", "close"]] = np.nan
    found = tp.compute(given, ["sma_3"])
    assert list(found.index) == list(given.index)
    assert found["sma_3"].isna().sum() == 3
    dropped = tp.compute(given.drop(index="row 30"), ["sma_3"])["sma_3"]
    pd.testing.assert_series_equal(found["sma_3"].drop(index="row 30"), dropped, check_exact=True)


def test_nulls_are_missing_inputs():
    """A null in polars or Arrow is what NaN is in pandas."""
    given = pl.DataFrame({"close": [1.0, None, 3.0]})
    assert tp.compute(given, ["sma_2"])["sma_2"].to_list()[2] == 2.0
    assert tp.compute(given.to_arrow(), ["sma_2"])["sma_2"].to_pylist()[2] == 2.0


def test_integer_columns_will_do():
    """Whole numbers are numbers."""
    assert tp.compute(pd.DataFrame({"close": [1, 3]}), ["sma_2"])["sma_2"].tolist()[1] == 2.0
    nullable = pd.DataFrame({"close": pd.array([1, None, 3], dtype="Int64")})
    assert tp.compute(nullable, ["sma_2"])["sma_2"].tolist()[2] == 2.0


@pytest.mark.parametrize(
    ("frame", "names", "words"),
    [
        (bars().drop(columns="volume"), ["rsi_14", "vwap_20"], "column 'volume' is missing; vwap_20 needs it"),
        (bars().drop(columns="ts_open"), ["vwap"], "column 'ts_open' is missing; vwap needs it"),
        (bars().assign(close="x"), ["sma_2"], "column 'close' holds no numbers"),
        (bars().assign(ts_open="x"), ["vwap"], "column 'ts_open' holds no times"),
        ({"close": [1.0]}, ["sma_2"], "dict is no frame"),
        (bars(), "rsi_14", "a list of names"),
        (bars(), ["foo"], "is no indicator"),
    ],
)
def test_what_cannot_be_computed_says_why(frame, names, words):
    """One line names the column or the name that is wrong."""
    with pytest.raises(UsageError, match=r"^[^\n]*$") as raised:
        tp.compute(frame, names)
    assert words in str(raised.value)


def wide(frame, minutes):
    return frame.assign(ts_close=frame["ts_open"] + pd.Timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (bars()[::-1], "row 1 is out of order: its ts_open lies before row 0's; sort the rows by ts_open"),
        (bars().sample(frac=1, random_state=1), "is out of order"),
        (bars().set_index("ts_open")[::-1], "row 1 is out of order: its index lies before row 0's"),
        (bars().assign(ts_open=[pd.NaT, *bars()["ts_open"][1:]]).set_index("ts_open"), "the index holds a null"),
        (pd.concat([bars(), bars()]), "row 60 is out of order"),
        (pd.concat([bars(), bars()]).sort_values("ts_open"), "rows 0 and 1 open at the same time"),
        (bars().assign(symbol=["BTC-USDT", "ETH-USDT"] * 30), "the frame holds 2 symbols ('BTC-USDT', 'ETH-USDT')"),
        (bars().assign(venue=["binance"] * 59 + ["kraken"]), "the frame holds 2 venues"),
        (bars().assign(timeframe=["1m"] * 59 + ["1h"]), "the frame holds 2 timeframes"),
        (pd.concat([wide(bars(), 1)[:30], wide(bars(), 60)[30:]]), "the rows are of several timeframes (1m, 1h)"),
        (wide(bars(), 0), "row 0 closes before it opens"),
        (bars().assign(ts_open=[*bars()["ts_open"][:-1], pd.NaT]), "holds a null where a time is needed (row 59)"),
        (bars().assign(ts_open=np.arange(60) + 1_723_075_200), "column 'ts_open': 1723075200 is a time in 1970"),
        (pd.concat([bars(), bars()[["close"]]], axis=1), "column 'close' stands in the frame twice"),
        (pd.concat({"BTC": bars()}, axis=1), "the columns have several levels"),
        (bars().assign(close=True), "column 'close' holds no numbers"),
        (bars().assign(close="1.5"), "column 'close' holds no numbers"),
    ],
)
def test_rows_that_cannot_be_meant_are_refused(frame, words):
    """Rows out of order, of several markets, without a time: refused whether or not the indicator reads them."""
    with pytest.raises(UsageError, match=r"^[^\n]*$") as raised:
        tp.compute(frame, ["sma_3"])
    assert words in str(raised.value)


def test_bars_that_are_not_of_time_may_open_together():
    """Bars of so many trades go on: two may open within one ns, and where times run backwards so do they."""
    ts = 1_723_075_200_000_000_000 + np.array([0, 0, 0, 5, 4, 9])
    ticks = pd.DataFrame({"ts_event": ts, "trade_id": range(6), "price": 2.0, "quantity": 1.0, "side": "buy"})
    made = tp.make_bars(ticks, "1t")
    assert tp.compute(made, ["sma_2"])["sma_2"].tolist()[1:] == [2.0] * 5
    with pytest.raises(UsageError, match="row 1 is out of order"):
        tp.compute(made[::-1], ["sma_2"])


def test_missing_values_are_null_where_a_frame_can_say_so():
    """The lookback is null in polars and Arrow, where NaN is above all numbers, and NaN in pandas."""
    given = pl.from_pandas(bars())
    found = tp.compute(given, ["rsi_14"])["rsi_14"]
    assert found.is_null().sum() == 14
    assert not found.is_nan().any()
    assert (found > -1).sum() == 46
    assert tp.compute(given.to_arrow(), ["rsi_14"])["rsi_14"].null_count == 14
    assert tp.compute(bars(), ["rsi_14"])["rsi_14"].isna().sum() == 14


def test_numbers_of_any_library_are_read():
    """Decimals, categories, nullable and Arrow-backed numbers are what the same floats are."""
    from decimal import Decimal

    plain = pd.DataFrame({"close": [61837.63, 0.1, 3.0, 0.3]})
    expected = tp.compute(plain, ["sma_2"])["sma_2"].tolist()[1:]
    exact = pd.DataFrame({"close": [Decimal("61837.63"), Decimal("0.1"), Decimal(3), Decimal("0.3")]})
    for frame in (
        exact,
        pl.DataFrame({"close": exact["close"].tolist()}),
        plain.astype("category"),
        plain.astype("Float64"),
        plain.convert_dtypes(dtype_backend="pyarrow"),
        pl.from_pandas(plain).lazy(),
    ):
        found = tp.compute(frame, ["sma_2"])["sma_2"]
        assert (found.tolist() if hasattr(found, "tolist") else found.to_list())[1:] == expected


def test_only_the_columns_in_use_are_needed():
    """RSI needs closes only."""
    assert list(tp.compute(bars()[["close"]], ["rsi_14", "sma_2"])) == ["rsi_14", "sma_2"]
    assert tp.compute(bars()[["close"]], []).shape == (60, 0)


@pytest.mark.parametrize("unit", ["ns", "us", "ms", "s"])
def test_a_session_begins_at_midnight_utc_in_any_unit_of_time(unit):
    """Times of any unit, zone or none find the same midnight."""
    given = bars()
    expected = tp.compute(given, ["vwap"])["vwap"].to_numpy()
    assert expected[30] == pytest.approx(given["close"][30])
    local = given.assign(ts_open=given["ts_open"].dt.tz_convert("Asia/Tokyo").dt.as_unit(unit))
    naive = given.assign(ts_open=given["ts_open"].dt.tz_localize(None).dt.as_unit(unit))
    whole = given.assign(ts_open=given["ts_open"].dt.as_unit("ns").astype("int64"))
    for frame in (local, naive, whole):
        np.testing.assert_array_equal(tp.compute(frame, ["vwap"])["vwap"], expected)
        arrow = pa.Table.from_pandas(frame, preserve_index=False)
        np.testing.assert_array_equal(tp.compute(arrow, ["vwap"])["vwap"], expected)
        np.testing.assert_array_equal(tp.compute(pl.from_arrow(arrow), ["vwap"])["vwap"], expected)


def test_the_table_can_be_computed_row_by_row():
    """Every name of the table computes, with the outputs and the lookback that its row tells."""
    table = tp.indicator_table()
    assert list(table.columns) == ["name", "title", "parameters", "inputs", "outputs", "lookback", "source"]
    given = bars_with_sums(160).assign(open=100.0)
    for row in table.itertuples():
        found = tp.compute(given, [row.name])
        assert list(found) == row.outputs.split(", ")
        assert (found.isna().sum() == row.lookback).all()


BESIDE = ["sma_3__quote_volume", "ema_3__taker_buy_volume", "rsi_2__trade_count", "bbands_3_2__taker_buy_quote_volume"]


def bars_with_sums(rows=60):
    given = bars(rows)
    given["trade_count"] = np.arange(len(given)) % 7 + 1
    for at, name in enumerate(("quote_volume", "taker_buy_volume", "taker_buy_quote_volume")):
        given[name] = np.random.default_rng(at).uniform(1, 100, len(given))
    return given


@pytest.mark.parametrize("name", BESIDE)
def test_any_column_of_bars_can_be_an_input(name):
    """The numbers are those of the same indicator of the close of a frame that has the column there; stream agrees."""
    given = bars_with_sums()
    column = name.partition("__")[2]
    own = name.partition("__")[0]
    found = tp.compute(given, [name])
    twin = tp.compute(pd.DataFrame({"close": given[column].astype(float)}), [own])
    assert list(found) == [f"{one}__{column}" for one in twin]
    assert found.to_numpy().tobytes() == twin.to_numpy().tobytes()
    live = tp.stream([name])
    steps = [live.update(row) for row in given.to_dict("records")]
    assert pd.DataFrame(steps, dtype=float).to_numpy().tobytes() == found.to_numpy().tobytes()


def test_a_column_of_ones_own_can_be_an_input():
    """Whatever the frame holds; an indicator's name comes first, and in a stream a bar must have it."""
    given = bars().assign(my_signal=np.arange(60.0), rsi_14=7.0)
    assert tp.compute(given, ["sma_2__my_signal"])["sma_2__my_signal"].iloc[-1] == 58.5
    assert tp.compute(given, ["sma_2__rsi_14"])["sma_2__rsi_14"].iloc[-1] != 7.0
    live = tp.stream(["sma_2__my_signal"])
    assert [live.update({"my_signal": x})["sma_2__my_signal"] for x in (1.0, 2.0)] == [None, 1.5]
    with pytest.raises(UsageError, match="'my_signal' is missing; sma_2__my_signal needs it"):
        tp.stream(["sma_2__my_signal"]).update({"close": 1.0})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sma_2__side", "holds no numbers"),
        ("sma_2__ts_open", "ts_open is no series of numbers"),
        ("sma_2__quote_volume", "column 'quote_volume' is missing; sma_2__quote_volume needs it"),
        ("sma_2__quote_volum", "is no indicator"),
        ("atr_14__my_signal", "atr_14 needs high, low, close, so it cannot be taken of my_signal"),
    ],
)
def test_what_is_no_input_is_refused_in_one_sentence(name, words):
    """Texts, times, what is not there, and what needs several series."""
    given = bars().assign(side="buy", my_signal=1.0)
    with pytest.raises(UsageError, match=words):
        tp.compute(given, [name])

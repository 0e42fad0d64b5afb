"""`tp.stream` as strategies use it: the numbers of `compute`, for many symbols, kept and carried anywhere."""

from __future__ import annotations

import copy
import datetime as dt
import math
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import trading_platform as tp
from trading_platform.domain.errors import UsageError, WorkError

NAMES = ["rsi_14", "bbands_20_2", "ema_9__rsi_14", "vwap", "atr_14"]
OPENS = pd.Timestamp("2024-08-08 23:30", tz="UTC")


def bars(rows=60):
    close = 100 + np.cumsum(np.random.default_rng(5).normal(size=rows))
    return pd.DataFrame(
        {
            "ts_open": pd.date_range(OPENS, periods=rows, freq="1min"),
            "high": close + 1, "low": close - 1, "close": close, "volume": 1.5,
        }
    )  # fmt: skip


def fed(names=NAMES, rows=30, **more):
    live = tp.stream(names, **more)
    for row in bars(rows).to_dict("records"):
        live.update(row)
    return live


def rest(live):
    return [live.update(row) for row in bars().to_dict("records")[30:]]


def test_a_stream_gives_the_same_numbers_and_can_be_kept():
    """Bar by bar, through bytes at every bar, a stream gives the numbers of `compute`."""
    given, live = bars(), tp.stream(NAMES)
    rows = []
    for row in given.to_dict("records"):
        live = tp.stream.restore(live.state())
        rows.append(live.update(row))
    pd.testing.assert_frame_equal(pd.DataFrame(rows).astype(float), tp.compute(given, NAMES), check_exact=True)
    assert live.names == tuple(NAMES)
    assert live.outputs == tuple(rows[0])


def test_a_bar_may_be_a_mapping_a_row_or_an_object():
    """Whatever has the columns can be stepped over."""
    expected = tp.compute(bars(), ["atr_14", "vwap"]).iloc[-1].to_dict()
    for rows in (bars().itertuples(), (row for _, row in bars().iterrows())):
        live = tp.stream(["atr_14", "vwap"])
        for row in rows:
            last = live.update(row)
        assert last == expected


@pytest.mark.parametrize(
    "ts_open",
    [1723161600000000000, "2024-08-09T00:00:00Z", dt.datetime.fromisoformat("2024-08-09"), np.datetime64("2024-08-09"),
     pd.Timestamp("2024-08-09", tz="UTC"), dt.datetime(2024, 8, 9, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))],
)  # fmt: skip
def test_a_streams_time_may_have_any_form(ts_open):
    """A new day is seen in every form of time; naive times are UTC."""
    live = tp.stream(["vwap"])
    bar = {"high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0}
    live.update({**bar, "ts_open": 1723161600000000000 - 60_000_000_000})
    assert live.update({"high": 4.0, "low": 4.0, "close": 4.0, "volume": 1.0, "ts_open": ts_open}) == {"vwap": 4.0}


def test_a_missing_value_does_not_step():
    """None and NaN are missing; an absent column, or what is no number, raises."""
    live = tp.stream(["sma_2"])
    live.update({"close": 1.0})
    for missing in (None, math.nan, pd.NA):
        assert live.update({"close": missing}) == {"sma_2": None}
    assert live.update({"close": 3.0}) == {"sma_2": 2.0}
    with pytest.raises(UsageError, match="column 'close' is missing"):
        live.update({"open": 1.0})
    with pytest.raises(UsageError, match="no number"):
        live.update({"close": "high"})
    with pytest.raises(UsageError, match="column 'ts_open' is missing"):
        tp.stream(["vwap"]).update({"high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0})
    with pytest.raises(UsageError, match="is not a time"):
        tp.stream(["vwap"]).update({"high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0, "ts_open": "noon"})


@pytest.mark.parametrize("data", [b"", b"x" * 40, b"TPST", b"TPST\x01\x00\xff\xff\xff\xff", None])
def test_what_is_no_state_is_refused(data):
    """Cut or foreign bytes raise a WorkError, never anything else."""
    whole = tp.stream(["sma_2"]).state()
    for wrong in [data] if data is not None else [whole[:i] for i in range(len(whole))]:
        with pytest.raises(WorkError):
            tp.stream.restore(wrong)


@pytest.mark.parametrize("grid", [None, "1m"])
@pytest.mark.parametrize("keep", [lambda live: pickle.loads(pickle.dumps(live)), copy.deepcopy, copy.copy])  # noqa: S301  our own
def test_a_stream_pickles_and_copies(keep, grid):
    """A copy goes on with the same numbers, and neither touches the other."""
    live = fed(grid=grid)
    other = keep(live)
    assert other.state() == live.state()
    numbers = rest(other)
    assert other.state() != live.state()
    assert rest(live) == numbers
    assert (other.names, other.grid) == (live.names, grid)


@pytest.mark.parametrize("names", [NAMES, ["ema_9__rsi_14"], ["sma_2"]])
def test_every_flipped_bit_of_a_state_is_refused(names):
    """One bit, a byte more or less anywhere: a WorkError, for nested inputs and many symbols too."""
    live = fed(names)
    live.update_many({"BTC-USDT": bars().iloc[0], "ETH-USDT": bars().iloc[1]})
    whole = live.state()
    assert tp.stream.restore(whole).state() == whole
    assert tp.stream.restore(memoryview(whole)).state() == whole
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WorkError):
            tp.stream.restore(bytes(damaged))
    for wrong in [*(whole[:i] for i in range(len(whole))), whole + b"\0", b"\0" + whole, whole + whole]:
        with pytest.raises(WorkError):
            tp.stream.restore(wrong)
    for wrong in (None, "TPST", 5):
        with pytest.raises(UsageError, match="is bytes, not"):
            tp.stream.restore(wrong)


def test_many_symbols_are_kept_apart():
    """`update_many` gives each symbol what a stream of its own gives; a symbol may come later or be left out."""
    many, alone = tp.stream(NAMES), {symbol: tp.stream(NAMES) for symbol in ("BTC-USDT", "ETH-USDT")}
    for at, row in enumerate(bars().to_dict("records")):
        now = {"BTC-USDT": row} | ({"ETH-USDT": row | {"close": row["close"] + 1}} if at % 3 else {})
        many = tp.stream.restore(many.state())
        assert many.update_many(now) == {symbol: alone[symbol].update(bar) for symbol, bar in now.items()}


def test_a_bad_bar_among_many_steps_none():
    """What cannot be meant is refused by its symbol, and no symbol has stepped."""
    live, good = fed(), bars().iloc[30]
    live.update_many({"BTC-USDT": good})
    before = live.state()
    for bad, words in (
        ({"ETH-USDT": {"close": 1.0}}, "ETH-USDT: column"),
        ({"BTC-USDT": good}, "BTC-USDT: the bar that opens at .* comes twice"),
        ({"ETH-USDT": {**good, "symbol": "BTC-USDT"}}, "ETH-USDT: its bar is of BTC-USDT"),
        ({5: good}, "a symbol is a text"),
        ({"ETH-USDT": None}, "ETH-USDT: column 'close' is missing"),
        ([good], "bars are a mapping of symbol to bar, not list"),
    ):
        wrong = {"SOL-USDT": good, **bad} if isinstance(bad, dict) else bad
        with pytest.raises(UsageError, match=words):
            live.update_many(wrong)
        assert live.state() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ts_open": OPENS}, "is out of order: the last one opened at 2024-08-08T23:59"),
        ({"ts_open": OPENS + pd.Timedelta(minutes=29)}, "comes twice"),
        ({"ts_open": 1_723_161_600}, "1723161600 is a time in 1970"),
        ({"ts_open": pd.NaT}, "is not a time"),
        ({"ts_open": OPENS + pd.Timedelta(minutes=30), "ts_close": OPENS}, "closes before it opens"),
        ({"symbol": "ETH-USDT"}, "the bar is of symbol ETH-USDT, the last of BTC-USDT; use update_many"),
        ({"venue": "kraken"}, "the bar is of venue kraken"),
        ({"timeframe": "1h"}, "the bar is of timeframe 1h"),
        ({"close": "1.5"}, "close is '1.5', no number"),
        ({"close": True}, "close is 'True', no number"),
        ({"close": [1.0]}, "no number"),
        ({"close": 10**400}, "no number"),
    ],
)
def test_a_bar_that_cannot_follow_is_refused(change, words):
    """A bar out of order, twice, of another market or without numbers is refused, and nothing has stepped."""
    market = {"venue": "binance", "symbol": "BTC-USDT", "timeframe": "1m"}
    live = tp.stream(NAMES)
    for row in bars(30).to_dict("records"):
        live.update(row | market)
    before = live.state()
    with pytest.raises(UsageError, match=words):
        live.update({**bars().iloc[30], **market, **change})
    assert live.state() == before
    live.update({**bars().iloc[30], **market})


def test_numbers_of_any_library_will_do():
    """Decimals, numpy's and Arrow's numbers are numbers."""
    from decimal import Decimal

    live = tp.stream(["sma_2"])
    for number in (Decimal("0.5"), np.float32(0.5), np.int64(1), pa.scalar(3.0), 3):
        last = live.update({"close": number})
    assert last == {"sma_2": 3.0}


def test_a_grid_steps_what_lies_between():
    """Minutes without a bar step with the previous close and volume 0, and a day passed over does not."""
    opens = [0, 1, 4, 5, 1439, 1440 * 3 + 2, 1440 * 3 + 3]
    given = bars(len(opens)).assign(
        ts_open=[pd.Timestamp("2024-08-08", tz="UTC") + pd.Timedelta(minutes=m) for m in opens]
    )
    names = ["sma_3", "vwap_3", "vwap", "sma_2__volume"]
    live, rows = tp.stream(names, grid="1m"), []
    for row in given.to_dict("records"):
        live = tp.stream.restore(live.state())
        rows.append(live.update(row))
    found = pd.DataFrame(rows, columns=names).astype(float)
    pd.testing.assert_frame_equal(found, tp.compute(given, names, grid="1m"), check_exact=True)
    close = given["close"]
    assert found["sma_3"].tolist()[2:4] == pytest.approx(
        [(2 * close[1] + close[2]) / 3, (close[1] + close[2] + close[3]) / 3]
    )
    assert found["sma_2__volume"].tolist()[1:] == [1.5, 0.75, 1.5, 0.75, 0.75, 1.5]


@pytest.mark.parametrize(
    ("bar", "words"),
    [
        ({"close": 1.0}, "column 'ts_open' is missing; grid='1m' needs it"),
        ({"close": 1.0, "ts_open": OPENS + pd.Timedelta(seconds=1)}, "is no 1m bar of the UTC grid"),
        ({"close": 1.0, "ts_open": OPENS, "ts_close": OPENS + pd.Timedelta(hours=1)}, "is no 1m bar of the UTC grid"),
    ],
)
def test_what_is_no_bar_of_the_grid_is_refused(bar, words):
    """A grid takes bars of its own timeframe only."""
    with pytest.raises(UsageError, match=words):
        tp.stream(["sma_2"], grid="1m").update(bar)
    for wrong in ("7m", True, 5):
        with pytest.raises(UsageError, match="is not a timeframe"):
            tp.stream(["sma_2"], grid=wrong)

"""`make_bars`: time, tick, volume, dollar and imbalance bars from frames of trades."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import trading_platform as tp
from tests.naive import bars as naive
from trading_platform.domain.errors import UsageError

SECOND = 1_000_000_000
SUMS = ["volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"]


def ticks(rows=400, seed=0, **columns):
    rng = np.random.default_rng(seed)
    given = {
        "trade_id": np.arange(1000, 1000 + rows),
        "ts_event": np.sort(rng.integers(0, 3 * 86_400 * SECOND, rows)),
        "price": np.round(rng.uniform(90, 110, rows), 2),
        "quantity": np.round(rng.exponential(1, rows) + 0.001, 3),
        "side": np.where(rng.random(rows) < 0.5, "buy", "sell"),
    }
    return pd.DataFrame(given | columns)


def prints(frame):
    return [
        naive.Print(row.ts_event, repr(row.price), repr(row.quantity), row.side == "buy") for row in frame.itertuples()
    ]


def test_time_bars_equal_the_decimal_twin():
    """Every field of every time bar is the twin's."""
    made = tp.make_bars(ticks(), "15m")
    expected = naive.fold(prints(ticks()), 900 * SECOND)
    assert made["ts_open"].astype("int64").tolist() == list(expected)
    for i, row in enumerate(expected.values()):
        assert {name: made[name].iloc[i].item() for name in row} == row


def test_the_recording_in_any_order_gives_the_exchanges_bars(shared_data):
    """Trades of the real recording, shuffled, fold to the two candles that it covers, and say which are complete."""
    rows = []
    for day in ("08", "09"):
        with gzip.open(shared_data(f"trades/hftbacktest/spot/btcusdt_202408{day}.gz")) as lines:
            for line in lines:
                if b'@trade"' in line:
                    data = json.loads(line.split(b" ", 1)[1])["data"]
                    side = "sell" if data["m"] else "buy"
                    rows.append((data["t"], data["T"] * 1_000_000, float(data["p"]), float(data["q"]), side))
    frame = pd.DataFrame(rows, columns=["trade_id", "ts_event", "price", "quantity", "side"])
    made = tp.make_bars(frame.sample(frac=1, random_state=1), "5m")
    assert made["trade_count"].tolist() == [875, 8863, 9913, 253]
    assert made["quote_volume"].tolist()[1:3] == [12304668.0254055, 13660105.0129976]
    assert made["complete"].tolist() == [False, True, True, False]
    assert made["proof"].tolist() == ["ids"] * 4


def test_what_goes_in_comes_out():
    """pandas, polars and Arrow give the same bars in a frame of their own kind."""
    given = ticks()
    expected = tp.make_bars(given, "20t")
    for frame, kind in ((pl.from_pandas(given), pl.DataFrame), (pa.Table.from_pandas(given), pa.Table)):
        made = tp.make_bars(frame, "20t")
        assert isinstance(made, kind)
        other = made.to_pandas()
        assert list(other) == list(expected)
        for name in expected:
            left, right = expected[name], other[name]
            assert left.isna().tolist() == right.isna().tolist(), name
            assert left.dropna().tolist() == right.dropna().tolist(), name


def test_a_missing_id_makes_its_bars_incomplete():
    """A bar is complete exactly if a trade lies before it, one at or after its end, and no id is missing between."""
    given = ticks(ts_event=np.arange(400) * 15 * SECOND)
    made = tp.make_bars(given, "1m")
    assert made["complete"].tolist() == [False] + [True] * 98 + [False]
    holed = tp.make_bars(given.drop(index=[42, 120]), "1m")
    # Trade 42 lies inside minute 10; trade 120 opens minute 30, so minute 29 has no witness of its end either.
    assert np.flatnonzero(~holed["complete"]).tolist() == [0, 10, 29, 30, 99]
    assert holed["proof"].isna().to_numpy().nonzero()[0].tolist() == [10, 29, 30]


def test_without_ids_nothing_is_proved():
    """Without ids, or with texts for ids, bars are folded in order of time and prove nothing."""
    for given in (ticks().drop(columns="trade_id"), ticks(trade_id=["x"] * 400), ticks(trade_id=[None] * 400)):
        made = tp.make_bars(given, "1h")
        assert not made["complete"].any()
        assert made["proof"].isna().all()
        assert made["trade_count"].sum() == 400


def test_a_new_epoch_breaks_the_proof():
    """Ids that start again prove nothing across the break, and order goes by epoch first."""
    given = ticks(ts_event=np.arange(400) * 15 * SECOND, epoch=np.repeat([0, 1], 200))
    made = tp.make_bars(given, "1m")
    assert np.flatnonzero(~made["complete"]).tolist() == [0, 49, 50, 99]


def test_time_running_backwards_is_witnessed_further_out():
    """Where neighbours by id are stamped inside the bar's span, the next ones beyond it are the witnesses."""
    ts = np.array([10, 70, 59, 71, 119, 130, 118, 190]) * SECOND
    frame = pd.DataFrame({"ts_event": ts, "price": 1.0, "quantity": 1.0, "trade_id": range(8), "side": "buy"})
    made = tp.make_bars(frame, "1m")
    assert made["trade_count"].tolist() == [2, 4, 1, 1]
    assert made["complete"].tolist() == [False, True, True, False]


def sign(side):
    return 1 if side == "buy" else -1


@pytest.mark.parametrize(
    ("rule", "weigh", "threshold"),
    [
        ("7t", lambda row: 1, 7),
        ("5v", lambda row: round(row.quantity * 1000), 5000),
        ("2.0005v", lambda row: round(row.quantity * 10_000), 20_005),
        ("700d", lambda row: round(row.quantity * 1000) * round(row.price * 100), 70_000_000),
        ("imbalance:3t", lambda row: sign(row.side), 3),
        ("imbalance:2v", lambda row: sign(row.side) * round(row.quantity * 1000), 2000),
        (
            "imbalance:150d",
            lambda row: sign(row.side) * round(row.quantity * 1000) * round(row.price * 100),
            15_000_000,
        ),
    ],
)
def test_threshold_bars_equal_a_plain_loop(rule, weigh, threshold):
    """A bar ends with the trade that reaches the threshold, or with the day; no trade is split or lost."""
    groups, total, day = [], 0, None
    for row in ticks().itertuples():
        if day != row.ts_event // (86_400 * SECOND) or abs(total) >= threshold or not groups:
            groups.append([])
            total, day = 0, row.ts_event // (86_400 * SECOND)
        groups[-1].append(row)
        total += weigh(row)
    made = tp.make_bars(ticks(), rule)
    assert made["first_id"].tolist() == [group[0].trade_id for group in groups]
    assert made["last_id"].tolist() == [group[-1].trade_id for group in groups]
    assert made["complete"].tolist() == [abs(sum(map(weigh, group))) >= threshold for group in groups]
    assert made["ts_open"].astype("int64").tolist() == [group[0].ts_event for group in groups]
    assert made["ts_close"].astype("int64").tolist() == [group[-1].ts_event + 1 for group in groups]
    for i, group in enumerate(groups):
        row = naive.bar(prints(pd.DataFrame(group)))
        assert {name: made[name].iloc[i].item() for name in row} == row


def test_large_numbers_cut_the_same():
    """Weights beyond 63 bits are added as Python integers, with the same rule."""
    frame = ticks(price=123456789.123456, quantity=987654.321987)
    each = 123456789.123456 * 987654.321987
    made = tp.make_bars(frame, f"{int(each * 3.5)}d")
    assert made["trade_count"].iloc[0] == 4


def test_without_a_side_the_takers_columns_are_unknown():
    """No side column: the taker's sums are NaN, and an imbalance never ends a bar."""
    given = ticks().drop(columns="side")
    made = tp.make_bars(given, "1h")
    assert made["taker_buy_volume"].isna().all()
    assert made["volume"].notna().all()
    assert len(tp.make_bars(given, "imbalance:1t")) == 3


@pytest.mark.parametrize("rule", ["5m", "100t", "10v"])
def test_no_trades_make_no_bars(rule):
    """An empty frame gives an empty frame with all columns."""
    assert list(tp.make_bars(ticks().head(0), rule)) == list(tp.make_bars(ticks(), rule))
    assert len(tp.make_bars(ticks().head(0), rule)) == 0


@pytest.mark.parametrize(
    "rule", ["", "7m", "0t", "1.5t", "-3v", "1e6d", "imbalance:", "imbalance:5m", "5 t", "0v", None]
)
def test_what_are_no_bars_says_so(rule):
    """An unknown kind of bars is one line with examples."""
    with pytest.raises(UsageError, match="are no bars; known: 1s 1m"):
        tp.make_bars(ticks(), rule)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (ticks().drop(columns="price"), "column 'price' is missing; make_bars needs it"),
        (ticks(price=np.nan), "row 0 holds nan"),
        (ticks(price="x"), "column 'price' holds no numbers"),
        (ticks(ts_event="x"), "column 'ts_event' holds no times"),
        (ticks(ts_event=pd.NaT), "holds a null"),
        ([1, 2], "list is no frame"),
    ],
)
def test_what_cannot_be_folded_says_why(frame, words):
    """One line names the column that is wrong."""
    with pytest.raises(UsageError, match=r"^[^\n]*$") as raised:
        tp.make_bars(frame, "5m")
    assert words in str(raised.value)

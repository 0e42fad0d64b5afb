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
from tests.support.judges.naive import bars as naive
from trading_platform.domain.errors import UsageError

SECOND = 1_000_000_000
START = 20_000 * 86_400 * SECOND
SUMS = ["volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"]


def ticks(rows=400, seed=0, **columns):
    rng = np.random.default_rng(seed)
    given = {
        "trade_id": np.arange(1000, 1000 + rows),
        "ts_event": START + np.sort(rng.integers(0, 3 * 86_400 * SECOND, rows)),
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


def test_the_recording_gives_the_exchanges_bars(shared_data):
    """Trades of the real recording fold to the two candles that it covers, and say which are complete."""
    rows = []
    for day in ("08", "09"):
        with gzip.open(shared_data(f"trades/hftbacktest/spot/btcusdt_202408{day}.gz")) as lines:
            for line in lines:
                if b'@trade"' in line:
                    data = json.loads(line.split(b" ", 1)[1])["data"]
                    side = "sell" if data["m"] else "buy"
                    rows.append((data["t"], data["T"] * 1_000_000, float(data["p"]), float(data["q"]), side))
    frame = pd.DataFrame(rows, columns=["trade_id", "ts_event", "price", "quantity", "side"])
    for order in ("trade_id", "ts_event"):
        pd.testing.assert_frame_equal(tp.make_bars(frame.sort_values(order), "5m"), tp.make_bars(frame, "5m"))
    made = tp.make_bars(frame, "5m")
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
    given = ticks(ts_event=START + np.arange(400) * 15 * SECOND)
    made = tp.make_bars(given, "1m")
    assert made["complete"].tolist() == [False] + [True] * 98 + [False]
    holed = tp.make_bars(given.drop(index=[42, 120]), "1m")
    # Trade 42 lies inside minute 10; trade 120 opens minute 30, so minute 29 has no witness of its end either.
    assert np.flatnonzero(~holed["complete"]).tolist() == [0, 10, 29, 30, 99]
    assert holed["proof"].isna().to_numpy().nonzero()[0].tolist() == [10, 29, 30]


def test_without_ids_nothing_is_proved():
    """Without ids, or with texts for ids, bars are folded in order of time and prove nothing."""
    texts = [f"x{i}" for i in range(400)]
    for given in (ticks().drop(columns="trade_id"), ticks(trade_id=texts), ticks(trade_id=[None] * 400)):
        made = tp.make_bars(given, "1h")
        assert not made["complete"].any()
        assert made["proof"].isna().all()
        assert made["trade_count"].sum() == 400


def test_a_new_epoch_breaks_the_proof():
    """Ids that start again prove nothing across the break, and order goes by epoch first."""
    given = ticks(ts_event=START + np.arange(400) * 15 * SECOND, epoch=np.repeat([0, 1], 200))
    made = tp.make_bars(given, "1m")
    assert np.flatnonzero(~made["complete"]).tolist() == [0, 49, 50, 99]


def test_time_running_backwards_is_witnessed_further_out():
    """Where neighbours by id are stamped inside the bar's span, the next ones beyond it are the witnesses."""
    ts = START + np.array([10, 70, 59, 71, 119, 130, 118, 190]) * SECOND
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
    """No side column: what takers bought is missing, the rest is not; an imbalance cannot be told."""
    given = ticks().drop(columns="side")
    made = tp.make_bars(given, "1h")
    assert made["taker_buy_volume"].isna().all()
    assert made["volume"].notna().all()
    with pytest.raises(UsageError, match="column 'side' is missing; imbalance bars need the side of every trade"):
        tp.make_bars(given, "imbalance:1t")
    with pytest.raises(UsageError, match="row 7 has no side; imbalance bars need"):
        tp.make_bars(ticks(side=["buy"] * 7 + [None] * 393), "imbalance:1t")


@pytest.mark.parametrize("rule", ["1h", "20t"])
def test_one_unknown_side_leaves_its_bars_taker_sums_missing(rule):
    """A bar that holds a trade of an unknown side has no taker sums; NaN in pandas, null in polars and Arrow."""
    given = ticks()
    expected = tp.make_bars(given, rule)
    given.loc[[30, 200], "side"] = [None, "Unknown"]
    at = [int(np.flatnonzero(expected["trade_count"].cumsum() > row)[0]) for row in (30, 200)]
    made = tp.make_bars(given, rule)
    assert np.flatnonzero(made["taker_buy_volume"].isna()).tolist() == at
    pd.testing.assert_frame_equal(made.drop(index=at), expected.drop(index=at))
    for frame in (pl.from_pandas(given), pa.Table.from_pandas(given)):
        other = pl.DataFrame(tp.make_bars(frame, rule))
        for name in ("taker_buy_volume", "taker_buy_quote_volume"):
            assert other[name].is_null().arg_true().to_list() == at
            assert not other[name].is_nan().any()


def test_the_case_of_a_side_does_not_matter():
    """BUY is buy, in plain columns and in categories."""
    expected = tp.make_bars(ticks(), "15m")
    for side in (ticks()["side"].str.upper(), ticks()["side"].str.title().astype("category")):
        pd.testing.assert_frame_equal(tp.make_bars(ticks(side=side), "15m"), expected)
    sides = pl.from_pandas(ticks()).with_columns(pl.col("side").cast(pl.Categorical))
    assert tp.make_bars(sides, "15m")["taker_buy_volume"].to_list() == expected["taker_buy_volume"].to_list()


@pytest.mark.parametrize("rule", ["15m", "20t"])
def test_a_trade_that_comes_twice_counts_once(rule):
    """Copies of a trade change nothing, wherever they stand; with ids as numbers, as texts, in epochs."""
    for given in (ticks(), ticks(trade_id=[f"x{i}" for i in range(400)]), ticks(epoch=np.repeat([0, 1], 200))):
        expected = tp.make_bars(given, rule)
        for copies in (given.iloc[[7]], given.iloc[100:140], given):
            pd.testing.assert_frame_equal(tp.make_bars(pd.concat([given, copies]), rule), expected)
    again = ticks(trade_id=np.tile(np.arange(200), 2), epoch=np.repeat([0, 1], 200))
    assert tp.make_bars(again, rule)["trade_count"].sum() == 400, "the same id of another epoch is another trade"


@pytest.mark.parametrize(
    ("what", "value", "words"),
    [
        ("price", 1.5, "with another price: .* and 1.5"),
        ("quantity", 2.5, "with another quantity"),
        ("side", None, "with another side: (buy|sell) and unknown"),
        ("ts_event", START + 5, "with another ts_event"),
    ],
)
def test_a_trade_that_comes_twice_and_differs_is_refused(what, value, words):
    """Two rows of one id that are not the same trade are refused by that id."""
    other = ticks().iloc[[7]].assign(**{what: value})
    with pytest.raises(UsageError, match=f"trade 1007 comes twice, in rows 7 and 400, {words}"):
        tp.make_bars(pd.concat([ticks(), other]), "15m")


def test_rows_out_of_order_are_refused():
    """Rows that follow neither by id nor by time are refused; a listing by time may mix the ids of one instant."""
    given = ticks()
    for wrong in (given[::-1], given.sample(frac=1, random_state=1), pd.concat([given[200:], given[:200]])):
        for frame in (wrong, wrong.drop(columns="trade_id"), pl.from_pandas(wrong)):
            with pytest.raises(UsageError, match=r"row \d+ is out of order: .*sort the rows by"):
                tp.make_bars(frame, "15m")
    instant = ticks(ts_event=np.repeat(START + np.arange(100) * 60 * SECOND, 4))
    mixed = instant.iloc[np.arange(400).reshape(100, 4)[:, ::-1].ravel()]
    pd.testing.assert_frame_equal(tp.make_bars(mixed, "15m"), tp.make_bars(instant, "15m"))


@pytest.mark.parametrize("rule", ["5m", "100t", "10v"])
def test_no_trades_make_no_bars(rule):
    """An empty frame gives an empty frame with all columns."""
    assert list(tp.make_bars(ticks().head(0), rule)) == list(tp.make_bars(ticks(), rule))
    assert len(tp.make_bars(ticks().head(0), rule)) == 0


@pytest.mark.parametrize(
    "rule", ["", "7m", "0t", "1.5t", "-3v", "1e6d", "imbalance:", "imbalance:5m", "5 t", "0v", None, ["5m"], 5]
)
def test_what_are_no_bars_says_so(rule):
    """An unknown kind of bars is one line with examples."""
    with pytest.raises(UsageError, match="are no bars; known: 1s 1m"):
        tp.make_bars(ticks(), rule)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (ticks().drop(columns="price"), "column 'price' is missing; make_bars needs it"),
        (ticks(price=np.nan), "row 0 holds nan as its price"),
        (ticks(price=0.0), "row 0 holds 0.0 as its price; a trade has a positive price"),
        (ticks(price=-1.0), "row 0 holds -1.0 as its price"),
        (ticks(price=np.inf), "row 0 holds inf as its price"),
        (ticks(quantity=-0.5), "row 0 holds -0.5 as its quantity; a trade has a quantity that is not negative"),
        (ticks(quantity=np.inf), "row 0 holds inf as its quantity"),
        (ticks(price="x"), "column 'price' holds no numbers"),
        (ticks(price="1.5"), "column 'price' holds no numbers"),
        (ticks(quantity=True), "column 'quantity' holds no numbers"),
        (ticks(ts_event="x"), "column 'ts_event' holds no times"),
        (ticks(ts_event=1.7e18), "column 'ts_event' holds no times"),
        (ticks(ts_event=pd.NaT), "holds a null"),
        (ticks(side="b"), "row 0 has the side 'b'; a side is buy, sell or, if unknown, null"),
        (ticks(side=""), "row 0 has the side ''"),
        (ticks(side=True), "row 0 has the side 'True'"),
        (ticks(side=1), "row 0 has the side '1'"),
        (ticks(symbol=["BTC-USDT", "ETH-USDT"] * 200), "the frame holds 2 symbols ('BTC-USDT', 'ETH-USDT')"),
        (ticks(venue=["binance"] * 399 + [None]), "the frame holds 2 venues ('binance', nothing)"),
        (ticks(symbol=["BTC-USDT", "ETH-USDT"] * 200).set_index("symbol"), "the frame holds 2 symbols"),
        (pd.concat([ticks(), ticks()[["price"]]], axis=1), "column 'price' stands in the frame twice"),
        (pa.table([[1.0], [2.0]], names=["price", "price"]), "column 'price' stands in the frame twice"),
        (ticks(trade_id=np.arange(400) + 0.5), "column 'trade_id' holds no whole numbers"),
        (ticks(epoch=[None] * 400), "row 0 has no epoch"),
        ([1, 2], "list is no frame"),
        (None, "NoneType is no frame"),
    ],
)
def test_what_cannot_be_folded_says_why(frame, words):
    """One line names the column that is wrong."""
    with pytest.raises(UsageError, match=r"^[^\n]*$") as raised:
        tp.make_bars(frame, "5m")
    assert words in str(raised.value)


@pytest.mark.parametrize(("divisor", "unit"), [(10**9, "seconds"), (10**6, "milliseconds"), (10**3, "microseconds")])
def test_integers_of_another_unit_are_refused(divisor, unit):
    """Integers that are no ns would make bars in 1970."""
    given = ticks()
    given["ts_event"] //= divisor
    for frame in (given, pl.from_pandas(given), pa.Table.from_pandas(given)):
        with pytest.raises(UsageError, match=f"column 'ts_event': .* in 1970, .*multiply {unit} by"):
            tp.make_bars(frame, "5m")


@pytest.mark.parametrize("rule", ["1d", "1s", "3t"])
def test_bars_at_the_ends_of_time_are_refused_before_they_wrap(rule):
    """A bar whose end has no int64 ns is refused; one day earlier there is one."""
    last = np.iinfo(np.int64).max
    given = ticks(3, ts_event=pd.to_datetime(np.array([last - 2, last - 1, last]), utc=True))
    with pytest.raises(UsageError, match=r"^ts_event reaches the end of the years 1678 to 2261; [^\n]*$"):
        tp.make_bars(given, rule)
    earlier = given.assign(ts_event=given["ts_event"] - pd.Timedelta(days=1, seconds=1))
    made = tp.make_bars(earlier, rule)
    assert (made["ts_close"] > made["ts_open"]).all()
    assert made["ts_close"].iloc[-1] > earlier["ts_event"].iloc[-1]


@pytest.mark.parametrize("rule", ["3t", "3v", "imbalance:3t"])
def test_a_hole_between_two_information_bars_makes_both_incomplete(rule: str) -> None:
    """Its trades may have belonged to either; bars further off stay as they were."""
    ids = [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13]
    at = pd.to_datetime([1_700_000_000 + row for row in range(12)], unit="s")
    given = pd.DataFrame({"ts_event": at, "trade_id": ids, "price": 2.0, "quantity": 1.0, "side": "buy"})
    assert tp.make_bars(given, rule)["complete"].tolist() == [True, False, False, True]
    assert tp.make_bars(given.assign(trade_id=range(12)), rule)["complete"].all()
    assert len(tp.make_bars(given.iloc[:0], rule)) == 0

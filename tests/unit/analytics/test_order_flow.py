"""Order flow of trades: freqtrade's published numbers, a twin on lists, and what is refused."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import trading_platform as tp


def made(rows=600, seed=3):
    rng = np.random.default_rng(seed)
    begin = pd.Timestamp("2024-08-08 23:50", tz="UTC")
    return pd.DataFrame({
        "ts_event": begin + pd.to_timedelta(np.sort(rng.integers(0, 1_500_000, rows)), unit="ms"),
        "price": np.round(100 + np.cumsum(rng.normal(0, 0.05, rows)), 2),
        "quantity": np.round(rng.exponential(1, rows), 3),
        "side": rng.choice(["buy", "sell"], rows),
    })  # fmt: skip


@pytest.fixture(scope="module")
def published(shared_data):
    trades = pd.read_csv(shared_data("trades/freqtrade/orderflow/public_trades_list.csv"), index_col=0)
    times = pd.to_datetime(trades["timestamp"], unit="ms", utc=True)
    return pd.DataFrame({
        "ts_event": times, "trade_id": trades["id"], "price": trades["price"], "quantity": trades["amount"],
        "side": trades["side"].str.strip(),
    })  # fmt: skip


def test_levels_are_freqtrades(published):
    """Volumes and counts by level are what freqtrade's own test expects of this file."""
    fine = tp.footprint(published, "1d", step=0.05)
    assert len(fine) == 23
    first, last = fine.iloc[0], fine.iloc[-1]
    assert (first["sell_count"], first["buy_count"]) == (32, 26)
    assert (first["sell_volume"], first["buy_volume"]) == pytest.approx((197.512, 88.98))
    assert first["delta"] == pytest.approx(-108.532)
    assert (last["sell_count"], last["buy_count"]) == (3, 44)
    assert (last["sell_volume"], last["buy_volume"], last["delta"]) == pytest.approx((50.659, 108.21, 57.551))
    coarse = tp.footprint(published, "1d", step=1)
    assert len(coarse) == 2
    assert coarse["price"].iloc[-1] == 1667.0
    assert coarse["sell_count"].iloc[0] == 111
    assert (coarse["sell_volume"].iloc[0], coarse["delta"].iloc[0]) == pytest.approx((710.98, 52.7199999))


def test_imbalances_are_freqtrades(published):
    """Its definition, on its own table: diagonal ratios of counts, levels with enough volume only."""
    levels = tp.footprint(published, "1d", step=0.05, of="trades", ratio=3, least_volume=50)
    bid, ask = levels["sell_count"], levels["buy_count"]
    enough = levels["buy_volume"] + levels["sell_volume"] >= 50
    with np.errstate(divide="ignore", invalid="ignore"):
        assert levels["sell_imbalance"].tolist() == (enough & (bid / ask.shift(-1) > 3)).tolist()
        assert levels["buy_imbalance"].tolist() == (enough & (ask / bid > 3)).tolist()
    assert levels["sell_imbalance"].any()
    assert levels["buy_imbalance"].any()


def twin(trades, minutes, step, share):
    """Each bar's numbers on lists."""
    bars = defaultdict(list)
    for row in trades.itertuples():
        bars[row.ts_event.floor(f"{minutes}min")].append((row.price, row.quantity, 1 if row.side == "buy" else -1))
    cvd, found = 0.0, []
    for opened, rows in sorted(bars.items()):
        prices, quantities, signs = zip(*rows, strict=True)
        running = np.cumsum([q * s for _, q, s in rows]).tolist()
        cvd += sum(q * s for _, q, s in rows)
        moves = [math.log(b / a) for a, b in zip(prices, prices[1:], strict=False)]
        levels = defaultdict(float)
        for price, quantity in zip(prices, quantities, strict=True):
            levels[round(price / step) * step] += quantity
        known = sorted(levels)
        area = [max(known, key=lambda p: (levels[p], -p))]
        poc = area[0]
        while sum(levels[p] for p in area) < share * sum(quantities) - 1e-12:
            up = [p for p in known if p > max(area)][:1]
            down = [p for p in known if p < min(area)][-1:]
            area.append(max(up + down, key=lambda p: (levels[p], p)))
        found.append({
            "ts_open": opened, "trade_count": len(rows), "min_delta": min(running), "max_delta": max(running),
            "delta": running[-1], "cvd": cvd, "imbalance": running[-1] / sum(quantities),
            "sign_autocorrelation": np.mean([a * b for a, b in zip(signs, signs[1:], strict=False)]),
            "realized_variance": sum(m * m for m in moves),
            "bipower_variation": math.pi / 2 * sum(abs(a * b) for a, b in zip(moves, moves[1:], strict=False)),
            "poc": poc, "value_area_low": min(area), "value_area_high": max(area),
        })  # fmt: skip
    return pd.DataFrame(found)


def test_every_column_equals_its_definition():
    """All of a bar's numbers are those of a plain computation on lists."""
    trades = made()
    found, wanted = tp.order_flow(trades, "5m", step=0.05), twin(trades, 5, 0.05, 0.7)
    assert len(found) == len(wanted) > 4
    assert found["ts_open"].tolist() == wanted["ts_open"].tolist()
    for name in wanted.columns.drop("ts_open"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9, atol=1e-12, err_msg=name)
    levels = tp.footprint(trades, "5m", step=0.05)
    assert levels.groupby("ts_open")["delta"].sum().to_numpy() == pytest.approx(found["delta"].to_numpy())
    assert (levels["buy_volume"].sum(), levels["sell_volume"].sum()) == pytest.approx(
        (found["buy_volume"].sum(), found["sell_volume"].sum())
    )


def test_what_goes_in_comes_out_and_sums_equal_those_of_bars():
    """polars and Arrow give the same; delta is that of the bars made from the same trades."""
    trades = made()
    found = tp.order_flow(trades, "1m")
    assert "poc" not in found
    arrow = pa.Table.from_pandas(trades, preserve_index=False)
    np.testing.assert_array_equal(tp.order_flow(arrow, "1m")["cvd"].to_numpy(), found["cvd"])
    np.testing.assert_array_equal(tp.order_flow(pl.from_arrow(arrow), "1m")["cvd"].to_numpy(), found["cvd"])
    bars = tp.make_bars(trades, "1m")
    delta = tp.compute(bars, ["delta"])["delta"]
    np.testing.assert_allclose(delta, found["delta"], atol=1e-9)
    assert bars["trade_count"].tolist() == found["trade_count"].tolist()


def test_few_trades_have_few_numbers():
    """One trade has no neighbour, two have no pair of returns; no trade gives no row."""
    trades = made(3).iloc[:1]
    (row,) = tp.order_flow(trades, "1d", step=1).to_dict("records")
    assert math.isnan(row["sign_autocorrelation"])
    assert math.isnan(row["realized_variance"])
    assert row["poc"] == row["value_area_low"] == row["value_area_high"]
    assert len(tp.order_flow(trades.iloc[:0], "1m", step=1)) == len(tp.footprint(trades.iloc[:0], "1m", step=1)) == 0


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"side": None}, {}, "side"),
        ({}, {"step": 0}, "step is the width of a price level"),
        ({}, {"step": 1e-290}, "step 1e-290 is too small"),
        ({}, {"step": 10**400}, "step is the width of a price level"),
        ({}, {"step": float("nan")}, "step is the width of a price level"),
        ({}, {"value_area": 1.5}, "value_area is a share"),
        ({}, {"timeframe": "7x"}, "7x"),
    ],
)
def test_what_cannot_be_meant_is_refused(change, options, message):
    """An unknown side, a level of no width, a share above 1: one sentence."""
    options = {"timeframe": "1m", "step": 0.1, **options}
    with pytest.raises(tp.UsageError, match=message):
        tp.order_flow(made().assign(**change), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"of": "hopes"}, "of volume or of trades"), ({"ratio": 0}, "ratio"), ({"least_volume": "x"}, "least_volume")],
)
def test_a_footprint_refuses_too(options, message):
    """What is compared, and how many times, has a meaning."""
    with pytest.raises(tp.UsageError, match=message):
        tp.footprint(made(), "1m", step=1, **options)

"""Bars of the real recording: the exchange's own candles, and exact decimal sums down to the second."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from quality.schemas import GATES
from tests.support.builders.lakes import SYMBOL, VENUE, Market, Trades
from tests.support.judges.naive.stored_bars import Bar, Held, bar_of
from trading_platform.analytics.regimes.scaled import LOOKBACK
from trading_platform.domain.days import day_of, day_start
from trading_platform.domain.timeframe import timeframe_ns
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake import publish as lake

FILES = ("trades/hftbacktest/spot/btcusdt_20240808.gz", "trades/hftbacktest/spot/btcusdt_20240809.gz")
CANDLES = "klines/skytree-btcusdt-5m/BTCUSDT-5m-2024-08.csv"
DAYS = ("2024-08-08", "2024-08-09")
SECOND = 10**9


@pytest.fixture(scope="module")
def recorded(shared_data: Callable[[str], Path]) -> list[Held]:
    """Give the recorded trades with the decimals as printed."""
    held = []
    for file in FILES:
        with gzip.open(shared_data(file), "rt") as lines:
            for line in lines:
                message = json.loads(line.split(" ", 1)[1]).get("data", {})
                if message.get("e") == "trade":
                    held.append(Held(message["t"], message["T"] * 10**6, message["p"], message["q"], not message["m"]))
    return sorted(held)


@pytest.fixture(scope="module")
def market(recorded: list[Held], tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Give a lake that holds the recording, with everything computed."""
    there = Market.open(tmp_path_factory.mktemp("recording"), GATES["ticks"])
    there.hold(
        Trades(
            np.array([t.trade_id for t in recorded]),
            np.array([t.ts for t in recorded]),
            np.array([float(t.price) for t in recorded]),
            np.array([float(t.quantity) for t in recorded]),
            np.array([t.buy for t in recorded]),
        )
    )
    pipeline = Pipeline(there.data, there.ledger, gates=GATES)
    reports = pipeline.refresh_range(["bars", "indicators", "regimes"], *DAYS)
    assert all(report.ok for report in reports)
    return there


def rows(market: Market, timeframe: str) -> dict[int, dict[str, object]]:
    found = {}
    for day in DAYS:
        table = lake.read_leaf(market.data, Leaf("bars", VENUE, SYMBOL, day, timeframe))
        assert table is not None
        found.update({row["ts_open"].value: row for row in table.to_pylist()})
    return found


def test_the_recording_is_the_one_described(recorded: list[Held]) -> None:
    """19,904 trades, ids without a hole, across midnight."""
    assert len(recorded) == 19_904
    assert recorded[-1].trade_id - recorded[0].trade_id == 19_903
    assert {day_of(trade.ts) for trade in recorded} == set(DAYS)


def test_bars_equal_the_exchanges_candles(market: Market, shared_data: Callable[[str], Path]) -> None:
    """Either side of midnight every field is the float64 nearest to what the exchange printed, and the bar complete."""
    with shared_data(CANDLES).open() as lines:
        candles = {int(row[0]): row for row in csv.reader(lines) if row[0].isdigit()}
    bars = rows(market, "5m")
    names = ("open", "high", "low", "close", "volume")
    for at in (day_start(DAYS[1]) - 300 * SECOND, day_start(DAYS[1])):
        candle, bar = candles[at // 10**6], bars[at]
        assert [bar[name] for name in names] == [float(x) for x in candle[1:6]]
        assert [bar["quote_volume"], bar["trade_count"]] == [float(candle[7]), int(candle[8])]
        assert [bar["taker_buy_volume"], bar["taker_buy_quote_volume"]] == [float(x) for x in candle[9:11]]
        assert bar["complete"] is True
        assert bar["proof"] == "ids"


@pytest.mark.parametrize("timeframe", ["1s", "1m", "5m", "1h", "1d"])
def test_every_bar_equals_its_decimal_twin(market: Market, recorded: list[Held], timeframe: str) -> None:
    """Every field of every bar is the float64 nearest to the exact decimal, and complete exactly if proved."""
    inside: dict[int, list[Held]] = {}
    width = timeframe_ns(timeframe)
    for trade in recorded:
        inside.setdefault(trade.ts // width * width, []).append(trade)
    found = rows(market, timeframe)
    first, last = min(inside), max(inside)
    for at, trades in inside.items():
        twin = bar_of(trades, at, complete=first < at < last)
        assert [found[at][name] for name in Bar._fields[1:]] == list(twin[1:])
    outside = {at for at in found if at not in inside}
    assert all(not found[at]["complete"] and found[at]["trade_count"] == 0 for at in outside)
    assert all(at < first for at in outside), "between the first and the last trade every second is known"


def test_rows_of_everything_are_those_of_bars(market: Market) -> None:
    """Indicators and regimes have exactly the rows of bars, and a value in every one after the lookback."""
    for timeframe in ("1m", "5m", "1d"):
        begin = None
        for day in DAYS:
            bars = lake.read_leaf(market.data, Leaf("bars", VENUE, SYMBOL, day, timeframe))
            indicators = lake.read_leaf(market.data, Leaf("indicators", VENUE, SYMBOL, day, timeframe))
            regimes = lake.read_leaf(market.data, Leaf("regimes", VENUE, SYMBOL, day, timeframe, "gaussian_hmm"))
            assert bars is not None
            assert indicators is not None
            assert regimes is not None
            assert bars["ts_open"] == indicators["ts_open"] == regimes["ts_open"]
            assert bars["complete"] == indicators["complete"]
            held = bars["trade_count"].to_numpy() > 0
            opens = bars["ts_open"].to_numpy().astype(np.int64)
            begin = opens[0] if begin is None else begin
            steps = (opens - begin) // timeframe_ns(timeframe)
            for column, lookback in ((indicators["sma_20"], 19), (regimes["p_0"], LOOKBACK)):
                assert np.array_equal(held & (steps >= lookback), column.is_valid().to_numpy())

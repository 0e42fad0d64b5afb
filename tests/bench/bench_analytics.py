"""What folding trades, stepping indicators and fitting regimes costs in memory, kernels already compiled."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from tests.bench.__main__ import Line
from trading_platform.analytics.driver import Plan
from trading_platform.analytics.folding.bars import Trades, fold_timeframe
from trading_platform.analytics.indicators import INDICATORS
from trading_platform.analytics.regimes.fit import fit_regimes
from trading_platform.analytics.streams import Stream
from trading_platform.domain.days import DAY_NS
from trading_platform.domain.timeframe import TIMEFRAMES

BARS = 1_000_000
TRADES = 1_000_000
TEN = ["sma_20", "ema_20", "rsi_14", "macd_12_26_9", "bbands_20_2", "atr_14", "stoch_14_3_3", "adx_14", "obv", "cci_20"]
"""The ten that the goals name, also as TA-Lib's ten calls."""


def median_ns(call: Callable[[], object], rounds: int = 5) -> float:
    """Time a call some rounds after one to warm up; return the median in ns."""
    call()
    took = []
    for _ in range(rounds):
        begun = time.perf_counter_ns()
        call()
        took.append(time.perf_counter_ns() - begun)
    return statistics.median(took)


def measure() -> Iterator[Line]:
    """Measure on one thread with made-up trades and bars."""
    rng = np.random.default_rng(0)
    close = 60_000 + np.cumsum(rng.normal(size=BARS))
    volume = rng.random(BARS)
    columns = {"open": close - 0.5, "close": close, "high": close + 1 + volume, "low": close - 1 - rng.random(BARS)}
    columns |= {"volume": volume, "taker_buy_volume": volume / 3, "quote_volume": volume * close}
    ten = Plan(TEN)
    yield Line("ten indicators in one call, a million bars", median_ns(lambda: ten.run(ten.start(), columns)) / BARS,
               "ns a bar")  # fmt: skip
    for indicator in INDICATORS.values():
        plan = Plan([indicator.spelled()])
        took = median_ns(lambda plan=plan: plan.run(plan.start(), columns))  # type: ignore[misc]
        yield Line(f"`{indicator.spelled()}`, a million bars", took / BARS, "ns a bar")
    tens = Stream(TEN)
    bars = [{name: float(x[i]) for name, x in columns.items()} for i in range(1000)]
    yield Line("ten indicators streamed", median_ns(lambda: [tens.update(bar) for bar in bars]) / 1e6, "µs a bar")
    live = Stream(["rsi_14"])
    yield Line(
        "`rsi_14` streamed", median_ns(lambda: [live.update({"close": x}) for x in close[:1000]]) / 1e6, "µs a bar"
    )
    ts_event = np.sort(rng.integers(0, DAY_NS, TRADES))
    price, quantity = np.round(60_000 + rng.normal(0, 50, TRADES), 2), np.round(rng.exponential(0.02, TRADES) + 1e-5, 5)
    side = rng.integers(0, 2, TRADES).astype(np.int8)
    took = median_ns(lambda: Trades(ts_event, price, quantity, side))
    yield Line("exact integers of a million trades", took / TRADES, "ns a trade")
    trades = Trades(ts_event, price, quantity, side)
    for name, width in TIMEFRAMES.items():
        took = median_ns(lambda width=width: fold_timeframe(trades, day_start_ns=0, timeframe_ns=width))  # type: ignore[misc]
        yield Line(f"a million trades to {name} bars", took / TRADES, "ns a trade")
    returns = rng.normal(size=100_000) * np.repeat(rng.choice([1.0, 3.0], 1000), 100)
    yield Line(
        "three regimes fitted to 100,000 returns", median_ns(lambda: fit_regimes(returns, states=3), 1) / 1e9, "s"
    )

"""The table fault × check: each fault that is injected, and the checks that it raises, no more and no fewer.

``python -m tests.support.judges.check_table`` writes docs/checks.md; tests/unit/quality injects every fault of it, and
clean days, which raise none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from quality.checks import COMPLETENESS
from quality.expectations.checkpoint import judge
from quality.expectations.day_statistics import Statistics, deviation, of_day
from quality.expectations.families import DESCRIPTIONS, FAMILIES, TIERS
from quality.expectations.kept import candle_volume
from quality.named_checks import CHECKS, check_of
from quality.schemas import GATES
from quality.verification import STORED
from tests.support.builders.frames import MINUTE, START, frame
from tests.support.builders.klines import PLANTED
from tests.support.builders.lakes import Trades, made_up, ticks_table
from tests.support.builders.stored_faults import STORED_FAULTS
from trading_platform.analytics.folding.bars_from_frames import make_bars
from trading_platform.domain.days import DAY_NS, day_after, day_start

PAGE = Path(__file__).parents[3] / "docs" / "checks.md"

Key = tuple[str, str]
"""Dataset and check."""
Columns = dict[str, list[Any]]


class RowFault(NamedTuple):
    """A change of a frame that its gate is asked about, and the checks that it must raise."""

    dataset: str
    change: Callable[[Columns], object]
    checks: set[str]


def _set(name: str, row: int, value: object) -> Callable[[Columns], object]:
    return lambda columns: columns[name].__setitem__(row, value)


def _all(name: str, change: Callable[[Any], Any]) -> Callable[[Columns], object]:
    return lambda columns: columns.__setitem__(name, [None if v is None else change(v) for v in columns[name]])


def _swapped(one: str, other: str) -> Callable[[Columns], object]:
    def change(columns: Columns) -> None:
        columns[one], columns[other] = columns[other], columns[one]

    return change


def _exchanged(name: str, one: int, other: int) -> Callable[[Columns], object]:
    def change(columns: Columns) -> None:
        values = columns[name]
        values[one], values[other] = values[other], values[one]

    return change


ROW_FAULTS: dict[str, RowFault] = {
    "a price below zero": RowFault("ticks", _set("price", 1, -10.0), {"values"}),
    "a price that is not a number": RowFault("ticks", _set("price", 1, math.nan), {"values"}),
    "an infinite price": RowFault("ticks", _set("price", 1, math.inf), {"values"}),
    "a quantity of zero": RowFault("ticks", _set("quantity", 1, 0.0), {"values"}),
    "a side that is no side": RowFault("ticks", _set("side", 0, "maker"), {"values"}),
    "a source that is none": RowFault("ticks", _set("source", 0, "guess"), {"values"}),
    "a trade twice": RowFault("ticks", _set("trade_id", 2, 101), {"ids_rise"}),
    "two trades in the wrong order": RowFault("ticks", _exchanged("trade_id", 1, 2), {"ids_rise"}),
    "a trade without an id": RowFault("ticks", _set("trade_id", 1, None), {"ids_rise"}),
    "a clock shifted by a day": RowFault("ticks", _set("ts_event", 3, START + DAY_NS), {"times"}),
    "a time in milliseconds": RowFault("ticks", _set("ts_event", 3, START // 10**6), {"times"}),
    "a trade that was never received": RowFault("ticks", _set("ts_recv", 0, None), {"times"}),
    "high and low swapped": RowFault("bars", _swapped("high", "low"), {"ohlc", "vwap"}),
    "a high below the close": RowFault("bars", _set("high", 0, 10.9), {"ohlc"}),
    "a close that is missing": RowFault("bars", _set("close", 0, None), {"prices", "ohlc"}),
    "a price of a bar without a trade": RowFault("bars", _set("open", 1, 10.0), {"prices"}),
    "a mean price above the high": RowFault("bars", _set("vwap", 0, 12.5), {"vwap"}),
    "takers that bought more than was traded": RowFault("bars", _set("taker_buy_volume", 0, 2.5), {"taker"}),
    "what takers bought below zero": RowFault("bars", _set("taker_buy_volume", 0, -0.5), {"taker"}),
    "a count below zero": RowFault("bars", _set("trade_count", 1, -1), {"ohlc", "prices", "volumes", "vwap"}),
    "a volume without a trade": RowFault("bars", _set("volume", 1, 3.0), {"volumes"}),
    "a complete bar without a proof": RowFault("bars", _set("proof", 0, None), {"complete_proved"}),
    "a complete bar without a trade": RowFault("bars", _set("complete", 1, True), {"complete_proved"}),
    "an interval twice": RowFault("bars", _set("ts_open", 1, START), {"intervals"}),
    "an interval of another width": RowFault("bars", _set("ts_close", 1, START + 3 * MINUTE), {"intervals"}),
    "an infinite indicator": RowFault("indicators", _set("rsi_14", 2, math.inf), {"values", "ranges"}),
    "an RSI above a hundred": RowFault("indicators", _set("rsi_14", 2, 150.0), {"ranges"}),
    "an indicator's interval moved": RowFault("indicators", _set("ts_open", 1, START + 7), {"intervals"}),
    "probabilities that add up to 0.95": RowFault("regimes", _set("p_0", 0, 0.7), {"probabilities"}),
    "a state that the model has not": RowFault("regimes", _set("state", 0, 2), {"states"}),
    "a state without a label": RowFault("regimes", _set("label", 0, None), {"states"}),
    "a symbol spelled in another way": RowFault("instruments", _set("base", 0, "XBT"), {"symbols"}),
    "a price step of zero": RowFault("instruments", _set("price_step", 0, "0.00"), {"steps"}),
}


def raised_by_row(name: str) -> set[Key]:
    """Return the checks that a fault of rows raises."""
    fault = ROW_FAULTS[name]
    failures = GATES[fault.dataset](frame(fault.dataset, fault.change)).failures
    return {(fault.dataset, check_of(fault.dataset, failure.check)) for failure in failures}


DAY = "2024-08-08"
_PER_DAY = 3000


class _Market(NamedTuple):
    """A synthetic day: its trades, those of another venue, and the venue's candles."""

    trades: Trades
    delay_ns: int = 5_000_000
    elsewhere: float = 1.0001
    candles: float = 1.0


def synthetic_day(seed: int, day: str = DAY) -> Trades:
    """Return a clean day of trades; takers' buying moves the price, as in a market."""
    trades = made_up(day, 1, _PER_DAY, seed=seed)
    moved = np.diff(trades.price, prepend=trades.price[0]) > 0
    follows = np.random.default_rng(seed + 1000).random(len(moved)) < 0.8
    return _with(trades, buy=moved == follows)


def _with(trades: Trades, **columns: Any) -> Trades:
    from dataclasses import replace

    return replace(trades, **columns)


def statistics_of_market(market: _Market, day: str = DAY) -> Statistics:
    """Return the numbers of a synthetic day."""
    import pyarrow.compute as pc

    ticks = ticks_table(market.trades)
    at = ticks.schema.get_field_index("ts_recv")
    received = pc.add(ticks["ts_event"].cast(pa.int64()), market.delay_ns).cast(ticks.schema.field(at).type)
    ticks = ticks.set_column(at, ticks.schema.field(at), received)
    bars = make_bars(ticks, "1m")
    values = of_day(bars, ticks, day_start(day))
    other = make_bars(ticks_table(_with(market.trades, price=market.trades.price * market.elsewhere)), "1m")
    apart = deviation(bars, other)
    printed = bars.set_column(
        bars.schema.get_field_index("volume"), "volume", pc.multiply(bars["volume"], market.candles)
    )
    ratio = candle_volume(bars.set_column(*_complete(bars)), printed)
    return values | {"venue_deviation": apart or 0.0} | ({} if ratio is None else {"candle_volume": ratio})


def _complete(bars: pa.Table) -> tuple[int, str, pa.Array]:
    return bars.schema.get_field_index("complete"), "complete", pa.array([True] * bars.num_rows)


@cache
def history() -> Mapping[str, Statistics]:
    """Return the numbers of thirty clean synthetic days before `DAY`."""
    days = [day_after(DAY, -back) for back in range(30, 0, -1)]
    found = {day: statistics_of_market(_Market(synthetic_day(at, day)), day) for at, day in enumerate(days)}
    return {day: dict(of) | {"last_price": 60_000.0} for day, of in found.items()}


def _between(trades: Trades, first: float, last: float) -> Any:
    hour = (trades.ts - day_start(DAY)) / 3.6e12
    return (hour >= first) & (hour < last)


def _spike(trades: Trades) -> _Market:
    price = trades.price.copy()
    price[1500] *= 10
    return _Market(_with(trades, price=price))


MARKET_FAULTS: dict[str, tuple[Callable[[Trades], _Market], set[str]]] = {
    "a trade at ten times the price": (_spike, {"outliers", "returns"}),
    "six hours without a trade": (
        lambda trades: _Market(trades.where(~_between(trades, 10, 16))),
        {"hours", "waits"},
    ),
    "an hour without a trade": (lambda trades: _Market(trades.where(~_between(trades, 10, 11))), {"hours", "waits"}),
    "nine of ten trades lost": (
        lambda trades: _Market(trades.where(np.arange(len(trades)) % 10 == 0)),
        {"counts", "waits", "returns"},
    ),
    "quantities in thousands": (
        lambda trades: _Market(_with(trades, quantity=trades.quantity * 1000)),
        {"sizes"},
    ),
    "each quantity doubled": (lambda trades: _Market(_with(trades, quantity=trades.quantity * 2)), {"sizes"}),
    "prices in cents": (lambda trades: _Market(_with(trades, price=trades.price * 100)), {"price_level"}),
    "sides inverted": (lambda trades: _Market(_with(trades, buy=~trades.buy)), {"takers"}),
    "every side a buy": (lambda trades: _Market(_with(trades, buy=np.ones(len(trades), bool))), {"takers"}),
    "a price that stands still for four hours": (
        lambda trades: _Market(
            _with(trades, price=np.where(_between(trades, 10, 14), trades.price[1500], trades.price))
        ),
        {"stale_prices"},
    ),
    "our clock a minute ahead": (lambda trades: _Market(trades, delay_ns=60 * 10**9), {"delay"}),
    "our clock ten seconds behind": (lambda trades: _Market(trades, delay_ns=-10 * 10**9), {"delay"}),
    "another venue's price three per cent away": (lambda trades: _Market(trades, elsewhere=1.03), {"venues"}),
    "half the volume of the venue's candles": (lambda trades: _Market(trades, candles=2.0), {"candles"}),
    "more volume than the venue's candles": (lambda trades: _Market(trades, candles=0.999), {"candles"}),
}
"""Fault to what makes it of a clean synthetic day, and the families that it must raise."""


def families_of(values: Statistics, before: Mapping[str, Statistics]) -> set[str]:
    """Return the families with a number that is not as expected."""
    judged, _ = judge(values, before)
    return {each.family for each in judged if not each.low <= each.value <= each.high}


def raised_by_market(name: str) -> set[str]:
    """Return the families that a fault of a day raises."""
    make, _ = MARKET_FAULTS[name]
    return families_of(statistics_of_market(make(synthetic_day(77))), history())


def table() -> list[tuple[str, str, set[Key]]]:
    """Return every fault with where it is injected and the checks that it raises."""
    rows = [(name, "rows", {(fault.dataset, check) for check in fault.checks}) for name, fault in ROW_FAULTS.items()]
    rows += [(name, "a stored file", checks) for name, (_, checks) in STORED_FAULTS.items()]
    rows += [
        (name, "a synthetic day", {("statistics", family) for family in families})
        for name, (_, families) in MARKET_FAULTS.items()
    ]
    rows += [
        (name, "a real day of 5-minute candles", {("statistics", family) for family in families})
        for name, (_, families) in PLANTED.items()
    ]
    return rows


def page() -> str:
    """Return docs/checks.md as it is now."""
    lines = [
        "# Checks",
        "",
        "Every check that Dagster shows: what must hold, and who must act where it does not (`page`: somebody at "
        "once, shown red; `ticket`: somebody within hours, amber; `dashboard`: nobody). Made by "
        "`python -m tests.support.judges.check_table`.",
        "",
        "A gate's checks and `completeness` are told of each day when it is refreshed, and by their buttons. The job "
        "`verify_stored` looks at what is stored: changed files hourly, everything daily within half an hour. The job "
        "`daily_checkpoint` judges statistics once a day by the thirty days before: too much fails like too little, "
        "and with less than seven days a number is skipped, which is no pass.",
        "",
        "| asset | check | what must hold | tier |",
        "|---|---|---|---|",
    ]
    for dataset in CHECKS:
        named = CHECKS[dataset] | ({"completeness": COMPLETENESS} if dataset == "ticks" else {}) | STORED[dataset]
        lines += [f"| `{dataset}` | `{name}` | {check.holds} | {check.tier} |" for name, check in named.items()]
    lines += [f"| `statistics` | `{name}` | Usual: {DESCRIPTIONS[name]}. | {TIERS[name]} |" for name in FAMILIES]
    rows = table()
    lines += [
        "",
        "## Faults and the checks that they raise",
        "",
        f"{len(rows)} faults, each injected by a test, each raising these checks and no other. Clean rows, files and "
        "days raise none; of thirty clean synthetic days none pages.",
        "",
        "| fault | injected into | raises |",
        "|---|---|---|",
    ]
    for name, where, checks in rows:
        told = ", ".join(f"`{dataset}.{check}`" for dataset, check in sorted(checks))
        lines.append(f"| {name} | {where} | {told} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""Small frames of each dataset that pass their gate, and changes that break them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from quality.schemas import bars, indicators, instruments, regimes, ticks
from trading_platform.store.lake import schema

START = 1_723_075_200_000_000_000
MINUTE = 60 * 10**9
Change = Callable[[dict[str, list[Any]]], object]


def tick_columns(n: int = 4) -> dict[str, list[Any]]:
    return {
        "trade_id": list(range(100, 100 + n)),
        "trade_uid": [None] * n,
        "epoch": [0] * n,
        "ts_event": [START + i for i in range(n)],
        "ts_recv": [START + i + 5 for i in range(n)],
        "price": [10.0 + i for i in range(n)],
        "quantity": [0.5] * n,
        "side": ["buy", "sell", None, "buy"][:n],
        "source": ["ws", "rest", "archive", "ws"][:n],
    }


def bar_columns() -> dict[str, list[Any]]:
    return {
        "ts_open": [START, START + MINUTE, START + 3 * MINUTE],
        "ts_close": [START + MINUTE, START + 2 * MINUTE, START + 4 * MINUTE],
        "open": [10.0, None, 10.0],
        "high": [12.0, None, 10.0],
        "low": [9.0, None, 10.0],
        "close": [11.0, None, 10.0],
        "volume": [2.0, 0.0, 1.0],
        "quote_volume": [21.0, 0.0, 10.0],
        "taker_buy_volume": [1.0, 0.0, 1.0],
        "taker_buy_quote_volume": [10.0, 0.0, 10.0],
        "trade_count": [3, 0, 1],
        "vwap": [10.5, None, math.nextafter(10.0, 11.0)],
        "complete": [True, False, True],
        "proof": ["ids", "ids", "ids"],
    }


def indicator_columns() -> dict[str, list[Any]]:
    bar = bar_columns()
    return {name: bar[name] for name in ("ts_open", "ts_close", "complete")} | {"rsi_14": [None, None, 50.0]}


def regime_columns() -> dict[str, list[Any]]:
    bar = bar_columns()
    return {
        "ts_open": [*bar["ts_open"], START + 4 * MINUTE],
        "ts_close": [*bar["ts_close"], START + 5 * MINUTE],
        "state": [0, None, 1, None],
        "label": ["calm", None, "turbulent", None],
        "p_0": [0.75, None, 0.1, None],
        "p_1": [0.25, None, 0.9, None],
        "p_2": [None] * 4,
        "p_3": [None] * 4,
        "p_4": [None] * 4,
        "change_probability": [0.0, None, 0.8, None],
        "model_version": ["default-1"] * 4,
    }


def instrument_columns() -> dict[str, list[Any]]:
    return {
        "symbol": ["BTC-USDT", "币安人生-USDT"],
        "venue_symbol": ["BTCUSDT", "币安人生USDT"],
        "kind": ["spot", "spot"],
        "base": ["BTC", "币安人生"],
        "quote": ["USDT", "USDT"],
        "price_step": ["0.01", None],
        "quantity_step": ["0.00001", "1"],
        "status": ["TRADING", "BREAK"],
    }


CASES = {
    "ticks": (tick_columns, schema.TICKS, ticks),
    "bars": (bar_columns, schema.BARS, bars),
    "indicators": (indicator_columns, schema.indicators(["rsi_14"]), indicators),
    "regimes": (regime_columns, schema.REGIMES, regimes),
    "instruments": (instrument_columns, schema.INSTRUMENTS, instruments),
}


def frame(dataset: str, change: Change | None = None) -> pa.Table:
    columns, shape, _ = CASES[dataset]
    values = columns()
    if change is not None:
        change(values)
    arrays = []
    for field in shape:
        kind = pa.int64() if pa.types.is_timestamp(field.type) else field.type
        arrays.append(pa.array(values[field.name], kind, from_pandas=False).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=shape)


def put(name: str, row: int, value: object) -> Change:
    def change(values: dict[str, list[Any]]) -> None:
        values[name][row] = value

    return change

"""Gates let good frames pass, name the rule that a bad row breaks, and are quick."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from quality.named_checks import CHECKS, SCHEMA, check_of
from quality.schemas import GATES, ticks
from tests.support.builders.frames import CASES, MINUTE, START, Change, frame, put
from trading_platform.store.lake import schema


@pytest.mark.parametrize("dataset", CASES)
def test_a_good_frame_passes(dataset: str) -> None:
    """A frame that makes sense passes its gate, and so does one without a row."""
    assert GATES[dataset](frame(dataset)).failures == ()
    assert GATES[dataset](frame(dataset).slice(0, 0)).failures == ()


def test_bars_of_an_unknown_side_pass() -> None:
    """What takers bought may be missing where a trade is held."""

    def unknown(values: dict[str, list[Any]]) -> None:
        values["taker_buy_volume"][0] = values["taker_buy_quote_volume"][0] = None

    assert GATES["bars"](frame("bars", unknown)).failures == ()


BROKEN: list[tuple[str, Change, str]] = [
    ("ticks", put("price", 1, -1.0), "price is positive and finite"),
    ("ticks", put("price", 1, math.inf), "price is positive and finite"),
    ("ticks", put("price", 1, math.nan), "price is positive and finite"),
    ("ticks", put("price", 1, None), "price is positive and finite"),
    ("ticks", put("quantity", 2, 0.0), "quantity is positive and finite"),
    ("ticks", put("trade_id", 2, 101), "ids rise"),
    ("ticks", put("trade_id", 2, None), "a trade has either an id or a uid"),
    ("ticks", put("ts_event", 3, START + 86_400 * 10**9), "ts_event lies on one UTC day"),
    ("ticks", put("ts_event", 3, None), "ts_event lies on one UTC day"),
    ("ticks", put("side", 0, "maker"), "side is buy, sell or unknown"),
    ("ticks", put("source", 0, None), "source is ws, rest or archive"),
    ("ticks", put("epoch", 0, -1), "epoch is known and not negative"),
    ("bars", put("low", 0, 10.5), "low is the least price"),
    ("bars", put("high", 0, 10.5), "high is the greatest price"),
    ("bars", put("close", 0, None), "close is null exactly where no trade is held"),
    ("bars", put("open", 1, 10.0), "open is null exactly where no trade is held"),
    ("bars", put("taker_buy_volume", 0, 2.5), "volume includes taker buys"),
    ("bars", put("taker_buy_volume", 0, -0.5), "taker_buy_volume is finite and not negative"),
    ("bars", put("taker_buy_volume", 0, math.nan), "taker_buy_volume is finite and not negative"),
    ("bars", put("taker_buy_volume", 1, None), "taker_buy_volume is finite and not negative"),
    ("bars", put("taker_buy_quote_volume", 0, None), "taker buy volume is known in both currencies or in neither"),
    ("bars", put("volume", 0, math.nan), "volume is finite and not negative"),
    ("bars", put("trade_count", 1, -1), "trade_count is not negative"),
    ("bars", put("vwap", 0, 12.1), "vwap lies within low and high"),
    ("bars", put("vwap", 0, math.nan), "vwap is positive and finite"),
    ("bars", put("complete", 1, True), "a complete bar holds a trade"),
    ("bars", put("proof", 0, "hope"), "proof is known"),
    ("bars", put("ts_close", 1, START + 3 * MINUTE), "intervals have one width"),
    ("bars", put("ts_open", 1, START), "ts_open rises"),
    ("indicators", put("rsi_14", 2, math.inf), "rsi_14 is a finite number or null"),
    ("indicators", put("complete", 2, None), "complete is known"),
    ("regimes", put("p_0", 0, 0.7), "probabilities add up to one"),
    ("regimes", put("state", 0, 2), "state is one of the model's"),
    ("regimes", put("p_0", 2, math.nan), "p_0 is a probability"),
    ("regimes", put("state", 3, 1), "probabilities are known exactly where a state is"),
    ("regimes", put("label", 0, None), "state and label are known together"),
    ("regimes", put("change_probability", 0, 1.5), "change_probability is a probability"),
    ("regimes", put("model_version", 0, ""), "model_version is known"),
    ("instruments", put("symbol", 0, "../x"), "symbol has the canonical spelling"),
    ("instruments", put("symbol", 0, "btc-USDT"), "symbol has the canonical spelling"),
    ("instruments", put("symbol", 0, "币 安-USDT"), "symbol has the canonical spelling"),
    ("instruments", put("symbol", 0, "币安人生-USDT"), "a symbol is listed once"),
    ("instruments", put("price_step", 0, "0.00"), "price_step is a positive decimal or unknown"),
]


@pytest.mark.parametrize(("dataset", "change", "rule"), BROKEN)
def test_a_broken_rule_is_named(dataset: str, change: Change, rule: str) -> None:
    """A row that breaks a rule fails the gate under that rule's name, with a count and an example."""
    failures = {failure.check: failure for failure in GATES[dataset](frame(dataset, change)).failures}
    assert rule in failures, failures
    assert failures[rule].rows >= 1
    assert failures[rule].example.startswith("row ")


@pytest.mark.parametrize(("dataset", "change", "rule"), BROKEN)
def test_a_broken_rule_belongs_to_one_named_check(dataset: str, change: Change, rule: str) -> None:
    """It is shown under the check that its rule names, never under the one for columns."""
    name = check_of(dataset, rule)
    assert name in CHECKS[dataset] and name != SCHEMA


@pytest.mark.parametrize("dataset", CASES)
def test_rules_and_named_checks_agree(dataset: str) -> None:
    """Each named check has a rule, and each rule a named check."""
    assert CASES[dataset][2].DATASET.checks | {SCHEMA} | _ranges(dataset) == set(CHECKS[dataset])


def _ranges(dataset: str) -> set[str]:
    return {"ranges"} if dataset == "indicators" else set()


def test_an_rsi_beyond_a_hundred_is_refused() -> None:
    """What no formula can give is refused under `ranges`; of a composed indicator nothing is known."""
    table = frame("indicators", put("rsi_14", 2, 100.5))
    (failure,) = GATES["indicators"](table).failures
    assert check_of("indicators", failure.check) == "ranges"
    renamed = table.rename_columns([*table.schema.names[:-1], "rsi_14__obv"])
    assert GATES["indicators"](renamed).passed


def test_a_rule_that_raises_has_failed() -> None:
    """A rule about a column that is not there refuses the frame instead of passing it, or ending the run."""
    import polars as pl

    from quality.schemas.rules import Rule, RuleSet

    shape = pa.schema([("price", pa.float64())])
    rules = RuleSet("prices", shape, [Rule("nothing can be asked", pl.col("absent") > 0)])
    verdict = rules.gate(pa.table({"price": [1.0]}))
    (failure,) = verdict.failures
    assert failure.check == "nothing can be asked" and failure.example


@pytest.mark.parametrize(("dataset", "change"), [*((d, None) for d in CASES), *((d, c) for d, c, _ in BROKEN)])
def test_fast_path(dataset: str, change: Change | None) -> None:
    """The gate passes exactly the frames that the pandera schema passes."""
    import polars as pl
    from pandera.errors import SchemaErrors

    table = frame(dataset, change)
    module = CASES[dataset][2]
    schema_of = module.schema(("rsi_14",)) if dataset == "indicators" else module.schema()
    try:
        schema_of.validate(pl.from_arrow(table), lazy=True)
        passed = True
    except SchemaErrors:
        passed = False
    assert module.gate(table).passed is passed


@pytest.mark.parametrize("dataset", ["ticks", "bars", "indicators", "regimes"])
def test_no_nan_passes(dataset: str) -> None:
    """NaN in any column of numbers, in any row, fails the gate: what has no value is null."""
    floats = [field.name for field in frame(dataset).schema if pa.types.is_floating(field.type)]
    assert floats
    for name in floats:
        for row in range(frame(dataset).num_rows):
            assert not GATES[dataset](frame(dataset, put(name, row, math.nan))).passed, (name, row)


@pytest.mark.parametrize("dataset", CASES)
def test_wrong_columns_are_refused(dataset: str) -> None:
    """A frame with a missing column, another type or another order is refused in words."""
    table = frame(dataset)
    swapped = table.select([table.schema.names[1], table.schema.names[0], *table.schema.names[2:]])
    narrowed = table.set_column(0, table.schema.names[0], pa.array([1.5] * table.num_rows, pa.float32()))
    for wrong in (table.drop_columns([table.schema.names[0]]), swapped, narrowed):
        verdict = GATES[dataset](wrong)
        assert not verdict.passed
        assert verdict.failures[0].example


def test_every_failing_row_is_counted() -> None:
    """A rule that a thousand rows break is reported once, with the thousand."""
    n = 5000
    price = np.full(n, 10.0)
    price[1000:2000] = -1.0
    table = big_ticks(n).set_column(5, "price", pa.array(price))
    (failure,) = GATES["ticks"](table).failures
    assert (failure.check, failure.rows) == ("price is positive and finite", 1000)
    assert failure.example.startswith("row 1000: trade_id=1000 ")


def big_ticks(n: int) -> pa.Table:
    ts = START + np.arange(n, dtype=np.int64)
    columns = [
        pa.array(np.arange(n)),
        pa.nulls(n, pa.string()),
        pa.array(np.zeros(n, np.int16)),
        pa.array(ts).cast(schema.TIME),
        pa.array(ts).cast(schema.TIME),
        pa.array(np.full(n, 10.0)),
        pa.array(np.full(n, 1.0)),
        pa.array(np.where(ts % 2 == 0, "buy", "sell")),
        pa.array(["ws"] * n),
    ]
    return pa.Table.from_arrays(columns, schema=schema.TICKS)


def test_a_million_trades_are_judged_within_a_second() -> None:
    """The gate is quick enough for the largest days."""
    table = big_ticks(1_000_000)
    GATES["ticks"](table.slice(0, 10))
    begin = time.process_time()
    assert GATES["ticks"](table).passed
    assert time.process_time() - begin < 2.0


def test_five_million_trades_are_judged_within_three_seconds() -> None:
    """The rules, not only the short way for good frames, are quick enough for the largest days (0.3 s when written)."""
    table = big_ticks(5_000_000)
    ticks.DATASET.gate(table.slice(0, 10))
    begin = time.process_time()
    assert ticks.DATASET.gate(table).passed and GATES["ticks"](table).passed
    assert time.process_time() - begin < 3

"""The quick judgement of ticks says exactly what the rules say, of texts in full and of texts as codes."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st
from pandera.errors import SchemaErrors

from quality.schemas import ticks
from trading_platform.domain.errors import WorkError
from trading_platform.store.lake import schema

START = 1_723_075_200_000_000_000
DAY = 86_400 * 10**9
SETTINGS = settings(max_examples=100, deadline=None, derandomize=True)

ODD: dict[str, list[Any]] = {
    "trade_id": [None, -1, 0, 101, 2**63 - 1],
    "trade_uid": ["a", ""],
    "epoch": [None, -1, 1, 32767],
    "ts_event": [None, START - 1, START + DAY - 1, START + DAY, 0, -1],
    "ts_recv": [None, 0],
    "price": [None, 0.0, -0.0, -1.0, math.nan, math.inf, -math.inf, 5e-324, 1.7e308],
    "quantity": [None, 0.0, -1.0, math.nan, math.inf, 5e-324],
    "side": [None, "BUY", "", "sell"],
    "source": [None, "web", "rest", "archive"],
}
Change = tuple[str, int, Any]
CHANGES = st.sampled_from(sorted(ODD)).flatmap(
    lambda name: st.tuples(st.just(name), st.integers(0, 5), st.sampled_from(ODD[name]))
)


def frame(rows: int, changes: list[Change]) -> pa.Table:
    """Return good ticks with some values changed."""
    columns: dict[str, list[Any]] = {
        "trade_id": [100 + i for i in range(rows)],
        "trade_uid": [None] * rows,
        "epoch": [0] * rows,
        "ts_event": [START + i for i in range(rows)],
        "ts_recv": [START + 5 + i for i in range(rows)],
        "price": [10.0 + i for i in range(rows)],
        "quantity": [0.5] * rows,
        "side": ["buy", "sell", None][:rows] + ["sell"] * (rows - 3),
        "source": ["ws"] * rows,
    }
    for name, at, value in changes:
        if at < rows:
            columns[name][at] = value
    return pa.table(columns, schema=schema.TICKS)


def passes(table: pa.Table) -> bool:
    """Ask pandera."""
    try:
        ticks.schema().validate(pl.from_arrow(table), lazy=True)
    except SchemaErrors:
        return False
    return True


@SETTINGS
@given(st.integers(0, 6), st.lists(CHANGES, max_size=2))
def test_the_quick_judgement_is_that_of_the_rules(rows: int, changes: list[Change]) -> None:
    """Whatever is changed in a good frame, the gate passes it exactly if pandera's schema does."""
    table = frame(rows, changes)
    expected = passes(table)
    assert ticks.gate(table).passed is expected
    try:
        lean = schema.lean(table)
    except WorkError:
        assert not expected
    else:
        texts = ["side", "source"]
        assert schema.plain(lean).select(texts).equals(table.select(texts))
        assert ticks.gate(lean) == ticks.gate(table)


@pytest.mark.parametrize("name", sorted(ODD))
def test_there_is_something_to_refuse_in_every_column(name: str) -> None:
    """The values that are tried do break a rule: the comparison above could fail."""
    assert not all(passes(frame(4, [(name, 1, value)])) for value in ODD[name])


def test_usual_ticks_are_judged_quickly() -> None:
    """Good ticks with ids never come to the rules."""
    assert ticks._plainly_good(frame(6, []))
    assert ticks._plainly_good(schema.lean(frame(6, [])))

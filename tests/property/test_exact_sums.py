"""Sums and vwap are exact for any digits, any count and on any road, held to sums of `fractions.Fraction`."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings, strategies as st

import trading_platform as tp
from quality.schemas import GATES
from tests.support.builders.lakes import SYMBOL, Market, Trades, ticks_table
from tests.support.judges.naive.bars import Print, repeated
from trading_platform.analytics.folding.exact import exact_sum
from trading_platform.completeness.uncertain_spans import Spans
from trading_platform.domain.days import day_start
from trading_platform.domain.errors import UsageError
from trading_platform.pipeline.bar_rows import day_bars, trades_of
from trading_platform.pipeline.pipeline import Pipeline

DAY = "2025-01-01"
START = day_start(DAY)
GREATEST = Print(0, "999999999999999", "999999999999999", True)
FINEST = Print(0, "0.000000000000000001", "0.000999999999999999", False)
ISSUE = Print(0, "99999999.1234567", "9999999.12345678", True)
COUNTS = st.sampled_from([1, 99, 2_047, 2_048, 2_049, 11_000, 100_000, 1_000_000])


def text(digits, places):
    return format(Decimal(digits).scaleb(-places), "f")


@st.composite
def of_one_scale(draw):
    """Draw trades of a market: every price has so many decimals, every quantity so many; up to 15 digits each."""
    places = draw(st.integers(0, 18)), draw(st.integers(0, 18))
    longest = [st.integers(1, 10 ** draw(st.sampled_from([4, 14, 15])) - 1) for _ in places]
    rows = draw(st.lists(st.tuples(*longest, st.booleans()), min_size=1, max_size=5))
    return [Print(0, text(p, places[0]), text(q, places[1]), buy) for p, q, buy in rows]


@st.composite
def of_any_scale(draw):
    """Draw trades whose decimals have up to 15 digits and 18 decimals each, whatever the others have."""
    number = st.builds(text, st.integers(1, 10**15 - 1), st.integers(0, 18))
    return draw(st.lists(st.builds(Print, st.just(0), number, number, st.booleans()), min_size=1, max_size=5))


def columns(group, count):
    """Lay the group's trades out one after the other, a nanosecond apart, until there are `count`."""
    return {
        "ts_event": START + np.arange(count),
        "trade_id": np.arange(count),
        "price": np.resize([float(one.price) for one in group], count),
        "quantity": np.resize([float(one.quantity) for one in group], count),
        "buy": np.resize([one.buy for one in group], count),
    }


def frame(group, count):
    given = columns(group, count)
    sides = pa.array(["sell", "buy"]).take(pa.array(given.pop("buy").astype(np.int8)))
    return pa.table(given | {"side": sides})


def only_row(bars, names):
    assert bars.num_rows == 1
    return {name: bars[name][0].as_py() for name in names}


@settings(max_examples=10)
@given(of_one_scale(), COUNTS)
@example([ISSUE], 11_000)
@example([GREATEST], 1_000_000)
@example([FINEST], 1_000_000)
def test_sums_of_a_market_are_exact_however_many_trades(group, count):
    """Time bars of up to a million trades of up to 15 digits equal the twin in every field."""
    expected = repeated(group, count)
    assert only_row(tp.make_bars(frame(group, count), "1d"), expected) == expected


@settings(max_examples=15)
@given(of_any_scale(), st.sampled_from([1, 7, 2_048, 11_000]))
@example([GREATEST, FINEST, ISSUE], 1_000_000)
def test_sums_are_exact_whatever_scales_meet_in_a_frame(group, count):
    """A price of 18 decimals beside one of 15 whole digits changes no sum."""
    expected = repeated(group, count)
    assert only_row(tp.make_bars(frame(group, count), "1d"), expected) == expected


@pytest.mark.parametrize("rule", ["1000000t", "999999999999999v", "999999999999999.999999999999999d"])
@pytest.mark.parametrize("group", [[ISSUE], [FINEST, ISSUE]], ids=["one scale", "two scales"])
def test_bars_that_are_not_of_time_hold_the_same_sums(group, rule):
    """Tick, volume and dollar bars sum as time bars do."""
    count = 11_000
    found = tp.make_bars(frame(group, count), rule)
    for row, size in enumerate(found["trade_count"].to_pylist()):
        expected = repeated(group, size)
        assert {name: found[name][row].as_py() for name in expected} == expected
    assert sum(found["trade_count"].to_pylist()) == count


@settings(max_examples=25)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8), COUNTS)
@example([1e308, 5e-324, -1e308], 11_001)
@example([999999999999999.0], 1_000_000)
def test_a_plain_sum_is_exact_or_refused(values, count):
    """`exact_sum` of any floats is the nearest to the exact sum of their texts; beyond float64 it is refused."""
    count = min(count, 11_000) if max(map(abs, values)) > 1e15 else count
    times = [count // len(values) + (i < count % len(values)) for i in range(len(values))]
    expected = sum((n * Fraction(repr(x)) for n, x in zip(times, values, strict=True)), Fraction())
    try:
        nearest = expected.numerator / expected.denominator
    except OverflowError:
        with pytest.raises(UsageError, match="beyond the largest float64"):
            exact_sum(np.resize(values, count))
    else:
        assert exact_sum(np.resize(values, count)) == nearest


@pytest.mark.parametrize("group", [[ISSUE, FINEST._replace(price="1")], [GREATEST, FINEST, ISSUE]])
def test_the_pipeline_folds_a_million_trades_exactly(group):
    """The fold of a stored day equals the twin."""
    count = 1_000_000 if len(group) == 2 else 11_000
    spans = Spans(np.empty(0, np.int64), np.empty(0, np.int64))
    made = day_bars(
        trades_of(ticks_table(held(group, count))), spans, day=DAY, timeframe="1d", running=True, proof="ids"
    )
    expected = repeated(group, count)
    assert only_row(made, expected) == expected


def held(group, count):
    given = columns(group, count)
    return Trades(given["trade_id"], given["ts_event"], given["price"], given["quantity"], given["buy"])


@pytest.mark.parametrize("group", [[ISSUE], [GREATEST, FINEST, ISSUE]], ids=["one scale", "three scales"])
def test_stored_bars_and_those_as_of_an_instant_are_exact(tmp_path, group):
    """What the pipeline stores, and what is computed again as of an instant, equal the twin."""
    count = 11_000
    market = Market.open(tmp_path)
    market.hold(held(group, count))
    pipeline = Pipeline(market.data, market.ledger, gates=GATES, timeframes=["1d"])
    assert all(done.ok for done in pipeline.refresh_range(["bars"], DAY, DAY))
    expected = repeated(group, count)
    for instant in (None, "2025-01-03"):
        bars = tp.read_bars(
            SYMBOL, DAY, "2025-01-02", timeframe="1d", as_of=instant, engine="arrow", data_dir=market.data.root
        )
        assert only_row(bars, expected) == expected
    market.ledger.close()

"""Properties of bars: exact sums for any decimals, conserved totals, OHLC in order, rows cut anywhere."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from tests.support.judges.naive import bars as naive
from trading_platform.analytics.folding import bars
from trading_platform.domain.trades import sides

SECOND = 1_000_000_000
SIDES = (True, True, True, False, False, False, None)
CODES = {True: sides.BUY, False: sides.SELL, None: sides.UNKNOWN}


@st.composite
def decimals(draw):
    """A decimal as venues print it: up to 15 digits, sometimes more."""
    digits = draw(st.integers(1, 10 ** draw(st.sampled_from([3, 8, 15, 15, 17]))))
    places = draw(st.integers(0, 12))
    return f"{digits // 10**places}.{digits % 10**places:0{places}d}" if places else str(digits)


prints = st.lists(
    st.builds(naive.Print, st.integers(0, 20 * SECOND - 1), decimals(), decimals(), st.sampled_from(SIDES)),
    min_size=1,
    max_size=30,
)


def fold(rows, width):
    columns = (
        [one.ts_event for one in rows],
        [float(one.price) for one in rows],
        [float(one.quantity) for one in rows],
        [CODES[one.buy] for one in rows],
    )
    return bars.fold_day(*columns, day_start_ns=0, timeframe_ns=width)


def known(number):
    return None if number != number else number  # noqa: PLR0124  NaN is what is missing here


@given(prints)
def test_every_field_equals_the_decimal_twin(rows):
    """Whatever the decimals, every field is the float64 nearest to the exact one of what float64 holds."""
    held = [one._replace(price=repr(float(one.price)), quantity=repr(float(one.quantity))) for one in rows]
    folded = fold(rows, SECOND)
    expected = naive.fold(held, SECOND)
    assert folded.ts_open.tolist() == list(expected)
    for i, row in enumerate(expected.values()):
        assert {name: known(getattr(folded, name)[i].item()) for name in row} == row


@given(prints)
def test_trades_are_conserved_and_prices_in_order(rows):
    """No trade is lost, and low ≤ open, close, vwap ≤ high but for the rounding of vwap."""
    folded = fold(rows, 5 * SECOND)
    assert folded.trade_count.sum() == len(rows)
    for price in (folded.open, folded.close):
        assert ((folded.low <= price) & (price <= folded.high)).all()
    assert ((folded.low <= folded.vwap) & (folded.vwap <= folded.high)).all()
    doubtful = np.isnan(folded.taker_buy_volume)
    assert (doubtful | (folded.taker_buy_volume <= folded.volume)).all()
    unknown = {one.ts_event // (5 * SECOND) * 5 * SECOND for one in rows if one.buy is None}
    assert folded.ts_open[doubtful].tolist() == sorted(unknown)


@given(prints, st.randoms(use_true_random=False))
def test_sums_do_not_depend_on_the_order_of_arrival(rows, order):
    """Sums, counts, highs and lows are the same whatever order the trades come in."""
    mixed = rows[:]
    order.shuffle(mixed)
    left, right = fold(rows, SECOND), fold(mixed, SECOND)
    for name in set(left._fields) - {"open", "close"}:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))

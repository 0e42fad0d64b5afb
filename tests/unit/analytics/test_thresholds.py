"""Where tick, volume, dollar and imbalance bars end: totals are exact, whatever their size."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given, strategies as st

from trading_platform.analytics.folding import exact, thresholds
from trading_platform.analytics.folding.bars import Trades
from trading_platform.domain.days import DAY_NS

FINEST, GREATEST = 0.000999999999999999, 999999999999999.0


def plain(rows, threshold, unit, signed):
    """Bars by a loop over fractions of the decimals' texts."""
    bins, finished, total, day = [], [], Fraction(), None
    for ts, price, quantity, side in rows:
        if day != ts // DAY_NS or finished[-1]:
            finished.append(False)
            total, day = Fraction(), ts // DAY_NS
        weight = {"t": Fraction(1), "v": Fraction(repr(quantity))}.get(
            unit, Fraction(repr(price)) * Fraction(repr(quantity))
        )
        total += weight * (side if signed else 1)
        bins.append(len(finished) - 1)
        finished[-1] = abs(total) >= Fraction(threshold)
    return bins, finished


def cut(rows, threshold, unit, signed):
    found = thresholds.cut(Trades(*zip(*rows, strict=True)), threshold, unit, signed=signed)
    return found.bins.tolist(), found.finished.tolist()


@st.composite
def cases(draw):
    """Draw trades over two days, and a threshold that some of them reach to the last digit."""
    number = st.one_of(
        st.sampled_from([1.0, 0.5, 0.1, 2.75, GREATEST, FINEST, 1e-18, 12345678.1234567]),
        st.sampled_from([0.1 + 0.2, 1e22, 1e300, 5e-324]) if draw(st.booleans()) else st.just(3.25),
    )
    times = st.integers(0, 3).map(lambda quarter: quarter * DAY_NS // 2)
    rows = draw(st.lists(st.tuples(times, number, number, st.sampled_from([1, -1, 1, 0])), min_size=1, max_size=12))
    rows.sort(key=lambda row: row[0] // DAY_NS)
    unit = draw(st.sampled_from("tvd"))
    _, price, quantity, _ = draw(st.sampled_from(rows))
    each = {"t": Fraction(1), "v": Fraction(repr(quantity))}.get(unit, Fraction(repr(price)) * Fraction(repr(quantity)))
    times = draw(st.integers(1, 3))
    threshold = Decimal((each * times).numerator) / Decimal((each * times).denominator)
    return rows, max(Decimal(draw(st.sampled_from(["1e-15", "0.3", "999999999999999.9"]))), +threshold), unit


@given(cases(), st.booleans())
def test_bars_end_where_the_exact_total_reaches_the_threshold(case, signed):
    """Bars equal those of fractions: fast road, wide road and Python's integers cut alike."""
    rows, threshold, unit = case
    assert cut(rows, threshold, unit, signed) == plain(rows, threshold, unit, signed)


@pytest.mark.parametrize("over", [0, 1])
def test_the_road_of_one_word_holds_up_to_its_bound(monkeypatch, over):
    """Threshold plus weight of 2^63 - 1 still fit one word; with one more the wide road is taken, and cuts alike."""
    taken = []
    for name in ("cut_bars", "cut_wide"):
        kernel = getattr(thresholds, name)
        monkeypatch.setattr(thresholds, name, lambda *a, name=name, kernel=kernel: (taken.append(name), kernel(*a))[1])
    weight = 10**15
    threshold = 2**63 - 1 - weight + over
    # Below the threshold by less than a weight, then the greatest weight on top: the total that comes nearest to 2^63.
    reached = -(-threshold // weight)
    rows = [(0, 1.0, float(weight), 1)] * (reached + 1)
    assert cut(rows, Decimal(threshold), "v", False) == ([0] * reached + [1], [True, False])
    assert taken == [["cut_bars"], ["cut_wide"]][over]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_wide_road_holds_the_greatest_products(sign):
    """A threshold of many of the greatest products, to the unit, ends the bar at the right one; one more does not."""
    count = 20_000
    rows = [(0, 1e15, 1e15, sign)] * count
    limit = (count - 1) * 10**30
    assert cut(rows, Decimal(limit), "d", True)[1] == [True, False]
    assert cut(rows, Decimal(limit + 1), "d", True) == ([0] * count, [True])
    assert cut(rows, Decimal(limit + 10**30 + 1), "d", True) == ([0] * count, [False])


@example(1 << 149)
@given(st.integers(-(1 << 150), 1 << 150))
def test_words_are_the_number(number):
    """Three words of 50 bits are the number, the highest with its sign."""
    high, middle, low = (int(word) for word in thresholds._words(number))
    assert (high << 100) + (middle << 50) + low == number
    assert 0 <= middle < 1 << 50 > low >= 0


def test_no_trades_reach_what_counts_as_unreached():
    """A threshold that is cut down to `_UNREACHED` is more than all trades come to, and fits its words."""
    assert exact.MOST * exact.GREATEST**2 < thresholds._UNREACHED < 1 << 162
    rows = [(0, FINEST, FINEST, 1), (0, GREATEST * 1e-18, 1e-18, 1)]
    threshold = Decimal("999999999999999.999999999999999")
    assert cut(rows, threshold, "d", False) == ([0, 0], [False])

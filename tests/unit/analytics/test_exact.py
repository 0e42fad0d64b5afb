"""Exact sums: decimals come back from float64 as integers, and every quotient is rounded once."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st

from trading_platform.analytics.folding import exact
from trading_platform.analytics.folding.exact import Wide
from trading_platform.domain.decimals import EXACT_DIGITS
from trading_platform.domain.errors import UsageError


def wide(numbers):
    """Python integers as limbs, deliberately not carried."""
    top, hi = (
        np.array(limb, dtype=np.int64) for limb in zip(*(divmod(n >> 50, 1 << 25) for n in numbers), strict=True)
    )
    mid = np.array([(n >> 25) & ((1 << 25) - 1) for n in numbers], dtype=np.int64)
    lo = np.array([n & ((1 << 25) - 1) for n in numbers], dtype=np.int64)
    return Wide.of(top - 1, hi + (1 << 25) - 1, mid + (1 << 25) - 3, lo + (3 << 25))


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1.0, 2.0], 0),
        ([0.1], 1),
        ([61837.63, 0.00012], 5),
        ([1e-18], 18),
        ([1e15, -1e15], 0),
        ([0.001, 1e-18], 18),
        ([-0.0, -7.5], 1),
        ([], 0),
    ],
)
def test_the_least_scale_is_found(values, scale):
    """The scale is the number of decimals that the finest value needs."""
    found = exact.to_scaled(np.array(values))
    assert found is not None
    assert found.scale == scale
    assert [int(n) for n in found.numbers] == [int(Decimal(repr(x)) * 10**scale) for x in values]


@pytest.mark.parametrize(
    "values",
    [
        [0.1 + 0.2], [1e-19], [1e15 + 0.5], [1e15 + 1], [123456789.123456789], [1.0, 2.0**60], [1e-18, 1.0],
        [1e22, -3e-7], [5e-324, 1.0], [1e308, 5e-324, -1e308], [1.7976931348623157e308, -1e292],
    ],
)  # fmt: skip
def test_more_than_fifteen_digits_take_the_slow_road(values):
    """What is no decimal of 15 digits is refused by the fast road, and the sum is right all the same."""
    assert exact.to_scaled(np.array(values)) is None
    whole = sum(Fraction(repr(x)) for x in values)
    assert exact.exact_sum(np.array(values)) == whole.numerator / whole.denominator


def test_what_is_not_finite_is_named():
    """A value that is not finite raises, naming its row."""
    with pytest.raises(UsageError, match="row 1 holds nan"):
        exact.to_scaled(np.array([1.0, np.nan]))


def test_a_sum_of_decimals_is_the_nearest_float():
    """Ten tenths are one."""
    assert exact.exact_sum(np.array([0.1] * 10)) == 1.0
    assert exact.exact_sum(np.array([])) == 0.0


NUMBERS = [0, 1, 10, 10**20 + 1, 10**30 + 7, 10**41 + 3, -5, -(10**19), -(10**30) - 7]
NUMBERS += [sign * (1 << bits) + near for bits in (25, 50, 53, 75, 100) for sign in (1, -1) for near in (-1, 0, 1)]


@pytest.mark.parametrize("scale", [0, 2, 15, 22, 23, 36])
def test_division_by_a_power_of_ten_is_rounded_once(scale):
    """Every quotient equals the one of exact fractions, whatever the width."""
    expected = [float(Fraction(n, 10**scale)) for n in NUMBERS]
    assert exact.over_power_of_ten(wide(NUMBERS), scale).tolist() == expected


@pytest.mark.parametrize("scale", [0, 2, 8, 18])
def test_a_ratio_is_rounded_once(scale):
    """Ratios of wide integers equal those of exact fractions; over 0 there is none."""
    limit = (1 << 53) // 10 ** min(scale, 15)
    pairs = [(up, down) for up in NUMBERS for down in [*NUMBERS, limit, limit + 1, -limit, -limit - 1]]
    found = exact.ratio(wide([up for up, _ in pairs]), wide([down for _, down in pairs]), scale)
    expected = [float(Fraction(up, down * 10**scale)) if down else np.nan for up, down in pairs]
    np.testing.assert_array_equal(found, expected)


def test_a_sum_beyond_float64_is_refused():
    """The greatest float is still summed to; what would round to infinity is one sentence."""
    greatest = 1.7976931348623157e308
    assert exact.exact_sum(np.array([greatest, 1e290, -1e290])) == greatest
    with pytest.raises(UsageError, match=r"^a sum is beyond the largest float64, 1\.8e308; check the units[^\n]*$"):
        exact.exact_sum(np.array([greatest, greatest]))


@pytest.mark.parametrize("number", [exact.GREATEST, -exact.GREATEST])
def test_so_many_numbers_add_up_without_overflow(number):
    """The two words of a sum hold `MOST` of the greatest numbers: the last 1,000 are added to all the others."""
    before = (exact.MOST - 1000) * (number >> 25), (exact.MOST - 1000) * (number & ((1 << 25) - 1))
    words = np.array(before, dtype=np.int64)
    exact.two_words_sum(np.full(1000, number), words)
    assert (int(words[0]) << 25) + int(words[1]) == exact.MOST * number


def test_more_numbers_than_add_up_are_refused():
    """One number more than `MOST` is refused, before anything is read."""
    exact.refuse_too_many(exact.MOST)
    with pytest.raises(UsageError, match="274877906944 numbers are more than can be added exactly"):
        exact.exact_sum(np.broadcast_to(1.0, exact.MOST + 1))


@given(st.integers(10 ** (EXACT_DIGITS - 1), 10**EXACT_DIGITS - 1), st.integers(-18, 42))
def test_decimals_of_fifteen_digits_survive_float64(digits, places):
    """A decimal of `EXACT_DIGITS` digits, of any size a venue may print, comes back from its float64; 16 may not."""
    text = f"{digits}e{-places}"
    assert Decimal(repr(float(text))) == Decimal(text)
    numbers, scale = exact.to_big_integers(np.array([float(text), 1e-18]))
    assert Fraction(numbers[0], 10**scale) == Fraction(text)
    assert Decimal(repr(float("9007199254740993"))) != Decimal(9007199254740993)

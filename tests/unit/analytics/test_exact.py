"""Exact sums: decimals come back from float64 as integers, and every quotient is rounded once."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from trading_platform.analytics import exact
from trading_platform.analytics.exact import Wide
from trading_platform.domain.errors import UsageError


def wide(numbers):
    """Python integers as limbs, deliberately not carried."""
    hi = np.array([n >> 50 for n in numbers], dtype=np.int64)
    mid = np.array([(n >> 25) & ((1 << 25) - 1) for n in numbers], dtype=np.int64)
    lo = np.array([n & ((1 << 25) - 1) for n in numbers], dtype=np.int64)
    return Wide.of(hi - 1, mid + (1 << 25) - 3, lo + (3 << 25))


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1.0, 2.0], 0), ([0.1], 1), ([61837.63, 0.00012], 5), ([1e-18], 18), ([123456789012345.0], 0), ([], 0)],
)
def test_the_least_scale_is_found(values, scale):
    """The scale is the number of decimals that the finest value needs."""
    found = exact.to_scaled(np.array(values))
    assert found is not None
    assert found.scale == scale
    assert [int(n) for n in found.numbers] == [int(Decimal(repr(x)) * 10**scale) for x in values]


@pytest.mark.parametrize("values", [[0.1 + 0.2], [1e-19], [1e15 + 0.5], [123456789.123456789], [1.0, 2.0**60]])
def test_more_than_fifteen_digits_take_the_slow_road(values):
    """What is no decimal of 15 digits is refused by the fast road, and the sum is right all the same."""
    assert exact.to_scaled(np.array(values)) is None
    assert exact.exact_sum(np.array(values)) == float(sum(Fraction(Decimal(repr(x))) for x in values))


def test_what_is_not_finite_is_named():
    """A value that is not finite raises, naming its row."""
    with pytest.raises(UsageError, match="row 1 holds nan"):
        exact.to_scaled(np.array([1.0, np.nan]))


def test_a_sum_of_decimals_is_the_nearest_float():
    """Ten tenths are one."""
    assert exact.exact_sum(np.array([0.1] * 10)) == 1.0
    assert exact.exact_sum(np.array([])) == 0.0


NUMBERS = [0, 1, 10, (1 << 53) - 1, (1 << 53) + 1, 10**20 + 1, 10**30 + 7, -5, -(10**19), (1 << 75) - 1]


@pytest.mark.parametrize("scale", [0, 2, 15, 22, 23, 36])
def test_division_by_a_power_of_ten_is_rounded_once(scale):
    """Every quotient equals the one of exact fractions, whatever the width."""
    expected = [float(Fraction(n, 10**scale)) for n in NUMBERS]
    assert exact.over_power_of_ten(wide(NUMBERS), scale).tolist() == expected


@pytest.mark.parametrize("scale", [0, 2, 8, 18])
def test_a_ratio_is_rounded_once(scale):
    """Ratios of wide integers equal those of exact fractions; over 0 there is none."""
    pairs = [(up, down) for up in NUMBERS for down in NUMBERS]
    found = exact.ratio(wide([up for up, _ in pairs]), wide([down for _, down in pairs]), scale)
    expected = [float(Fraction(up, down * 10**scale)) if down else np.nan for up, down in pairs]
    np.testing.assert_array_equal(found, expected)

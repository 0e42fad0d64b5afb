"""Building blocks of indicators: what they say of their errors holds up to the bounds they name."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given, strategies as st

from trading_platform.analytics import steps

MANTISSAS = st.integers(1 << 52, (1 << 53) - 1)


def check(a, b):
    product, error = steps.multiply_exact(a, b)
    assert product == a * b
    assert Fraction(product) + Fraction(error) == Fraction(a) * Fraction(b)


@given(MANTISSAS, MANTISSAS, st.integers(-500, 445), st.integers(-500, 445))
@example((1 << 53) - 1, (1 << 53) - 1, 445, 445)
def test_a_product_and_its_error_are_exact(left, right, up, down):
    """The two words are the product, for magnitudes up to 1e150 and products down to 1e-275."""
    a, b = left * 2.0**up, -right * 2.0**down
    if abs(a * b) > 1e-275:
        check(a, b)


@pytest.mark.parametrize(("a", "b"), [(9.999999999999999e149, 9.999999999999999e149), (1.1e-140, 9.3e-136), (0.0, 3.0)])
def test_at_the_bounds_the_product_is_still_exact(a, b):
    """At the greatest magnitudes, and at the least product, the error is exact."""
    check(a, b)


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_a_sum_and_its_error_are_exact(a, b):
    """The two words of a sum are the sum."""
    rounded, error = steps.add_exact(a, b)
    assert Fraction(rounded) + Fraction(error) == Fraction(a) + Fraction(b)

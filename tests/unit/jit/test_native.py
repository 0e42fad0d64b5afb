"""Kernels called by their address: what the intrinsics do to memory, and that nothing compiles twice."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from trading_platform.analytics import loops
from trading_platform.analytics.driver import address_of
from trading_platform.jit.kernel import block
from trading_platform.jit.native import INTRINSICS, fused


@block()
def step(state, window, constants, x, y):
    """Count rows, keep the last x in the window, give a sum and a product."""
    state[1] += 1.0
    window[int(state[1]) % 2] = x
    return x + y + constants[0], x * y


def drive(kernel, rows, state, x, y, outs, starts=()):
    columns = np.array([address_of(a) for a in (x, y, *outs)], dtype=np.int64)
    table = np.array([kernel.address, 0, 0, 2, 2, 0, 0], dtype=np.int64)
    loops.drive(table, state, np.array([0.5]), columns, np.empty_like(columns), np.array(starts, dtype=np.int64), rows)


def test_a_step_is_driven_over_rows_with_its_state_and_window():
    """Words and window are written back, outputs lie where their addresses say, bad rows do not step."""
    kernel = loops.native(loops.run_source(2, 2, 2, 1), "tests.native.sum", step=step)
    rows = loops.CHUNK * 2 + 5
    x, y = np.arange(rows, dtype=float), np.full(rows, 2.0)
    x[7] = np.nan
    outs, state = [np.empty(rows), np.empty(rows)], np.zeros(5)
    state[4] = 42.0
    drive(kernel, rows, state, x, y, outs)
    np.testing.assert_array_equal(outs[0], x + y + 0.5)
    np.testing.assert_array_equal(outs[1], x * y)
    assert state.tolist() == [0.0, rows - 1.0, rows - 1.0, rows - 2.0, 42.0]


def test_a_native_kernel_is_not_called_from_python():
    """It takes pointers; its address is what others call."""
    kernel = loops.native(loops.run_source(2, 2, 2, 1), "tests.native.sum", step=step)
    with pytest.raises(TypeError, match="by its address"):
        kernel(1, 2, 3)
    with pytest.raises(TypeError, match="only compiled code"):
        INTRINSICS["registers"](1)
    assert kernel.compiled() in {0, 1}
    assert "digest" not in kernel.name
    assert kernel.digest() == loops.native(loops.run_source(2, 2, 2, 1), "tests.native.sum", step=step).digest()


@block()
def product_error(state, window, constants, x, y):
    """Give a product and what its rounding left."""
    product = x * y
    return product, fused(x, y, -product)


def test_a_fused_product_is_rounded_once_compiled_and_not():
    """The error of a product is exact, in machine code as in Python."""
    x, y = np.array([0.1, 1e150, 3.0, 61837.63]), np.array([0.3, 1.1e-140, 7.0, 0.07])
    kernel = loops.native(loops.run_source(2, 2, 0, 1), "tests.native.product", step=product_error)
    outs = [np.empty(4), np.empty(4)]
    drive(kernel, 4, np.zeros(5), x, y, outs)
    for a, b, product, error in zip(x.tolist(), y.tolist(), *(out.tolist() for out in outs), strict=True):
        assert Fraction(product) + Fraction(error) == Fraction(a) * Fraction(b)
        assert product_error(None, None, None, a, b) == (product, error)

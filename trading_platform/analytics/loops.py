"""Compiled loops that apply an indicator's step to rows: one template for each number of inputs and outputs.

`step` and `day_boundary` are not defined here: each indicator gets a copy of the template that knows its own
(`kernel.specialise`). A row with an input that is not finite does not step and gives NaN, so that one bad row
never poisons the rows after it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import Any

step: Any = None
day_boundary: Any = None

DAY_BOUNDARY = "void(f8[::1], const f8[::1])"


def signature(inputs: int, outputs: int) -> str:
    """Return the signature of the loop for so many inputs and outputs.

    >>> signature(1, 1)
    'void(f8[::1], const f8[::1], const f8[::1], f8[::1])'
    """
    arrays = ["f8[::1]", "const f8[::1]", *["const f8[::1]"] * inputs, *["f8[::1]"] * outputs]
    return f"void({', '.join(arrays)})"


def day_boundary_once(state: Any, constants: Any) -> None:
    """Rewrite a state at the start of a day."""
    day_boundary(state, constants)


def run_1_1(state: Any, constants: Any, x: Any, out: Any) -> None:
    """One input, one output."""
    for i in range(x.shape[0]):
        a = x[i]
        out[i] = step(state, constants, a) if a - a == 0.0 else nan


def run_1_3(state: Any, constants: Any, x: Any, out0: Any, out1: Any, out2: Any) -> None:
    """One input, three outputs."""
    for i in range(x.shape[0]):
        a = x[i]
        if a - a == 0.0:
            out0[i], out1[i], out2[i] = step(state, constants, a)
        else:
            out0[i] = out1[i] = out2[i] = nan


def run_3_1(state: Any, constants: Any, x: Any, y: Any, z: Any, out: Any) -> None:
    """Three inputs, one output."""
    for i in range(x.shape[0]):
        a, b, c = x[i], y[i], z[i]
        out[i] = step(state, constants, a, b, c) if a - a == 0.0 and b - b == 0.0 and c - c == 0.0 else nan


def run_4_1(state: Any, constants: Any, x: Any, y: Any, z: Any, w: Any, out: Any) -> None:
    """Four inputs, one output."""
    for i in range(x.shape[0]):
        a, b, c, d = x[i], y[i], z[i], w[i]
        finite = a - a == 0.0 and b - b == 0.0 and c - c == 0.0 and d - d == 0.0
        out[i] = step(state, constants, a, b, c, d) if finite else nan


LOOPS: dict[tuple[int, int], Callable[..., None]] = {
    (1, 1): run_1_1,
    (1, 3): run_1_3,
    (3, 1): run_3_1,
    (4, 1): run_4_1,
}

"""Kernels that other kernels call by their address: one loop over rows each, all of the same C signature.

So one compiled driver runs any list of them (analytics/loops.py), and a call from Python pays for one entry however
many there are. What they may use beyond numba's Python is `REGISTERS`, …: bind them by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trading_platform.jit.kernel import Kernel

INTRINSICS_VERSION = 2
"""Raise it when intrinsics.py changes, so that no cached machine code of before is run."""


class Intrinsic(Kernel):
    """A name for one of intrinsics.py, which is imported only when a kernel is compiled."""

    def __init__(self, name: str, python: Callable[..., Any] | None = None) -> None:
        super().__init__(python or _compiled_only, None, name=name)

    def _feed(self, update: Callable[[bytes], None], seen: set[str]) -> None:  # noqa: ARG002  of the base
        update(f"{self.name} {INTRINSICS_VERSION}".encode())

    def _build(self) -> Any:
        from trading_platform.jit import intrinsics

        return getattr(intrinsics, self.name)


def _compiled_only(*_: Any) -> Any:
    raise TypeError("only compiled code can call this")


def _fused(a: float, b: float, c: float) -> float:
    from fractions import Fraction

    return float(Fraction(a) * Fraction(b) + Fraction(c))


fused = Intrinsic("fused", _fused)
"""``fused(a, b, c)``: a · b + c rounded once."""
INTRINSICS = {name: Intrinsic(name) for name in ("registers", "put_back", "view", "column", "address", "call")}


class Native(Kernel):
    """A kernel ``(state, window, constants, columns, rows)`` with C's calling convention.

    Parameters
    ----------
    function : its body. It gets pointers, `columns` to addresses; the intrinsics make arrays of them.
    bound : the kernels and intrinsics that it calls.
    """

    def __init__(self, function: Callable[..., Any], name: str, bound: dict[str, Kernel]) -> None:
        super().__init__(function, "native", bound=bound, name=name)

    def __call__(self, *args: Any) -> Any:  # noqa: ARG002  of the base
        """Refuse: it takes pointers, which Python has not."""
        raise TypeError(f"{self.name} takes pointers; compiled code calls it by its address")

    @property
    def address(self) -> int:
        """Where its machine code is; compiled or loaded from the cache at the first use."""
        return int(self.dispatcher().address)

    def compiled(self) -> int:
        """Return how often this process compiled it: 0 if it was in the cache, else 1."""
        return 0 if self.dispatcher().cache_hits else 1

    def _build(self) -> Any:
        import numba
        from numba import types

        from trading_platform.jit.intrinsics import ADDRESSES, WORDS

        signature = types.void(WORDS, WORDS, WORDS, ADDRESSES, types.int64)
        options: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
        return numba.cfunc(signature, cache=True, **options)(self._clone())

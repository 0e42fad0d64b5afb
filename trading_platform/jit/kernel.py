"""The `kernel` decorator: compile a function with numba at its first call; explicit signature, on-disk cache.

numba is imported and the function compiled at its first call. Kernels may call other kernels by their global names.
fastmath is never used: batch, stream and resume must give the same bits.

warm.py fills the cache at install. numba chooses the cache's place: ``NUMBA_CACHE_DIR``, else ``__pycache__`` beside
the source, else the user's cache directory.
"""

from __future__ import annotations

import hashlib
import threading
import types
from collections.abc import Callable
from typing import Any

REGISTRY: dict[str, Kernel] = {}
"""Every kernel with a signature, by qualified name: what `warm` compiles."""

_BUILD = threading.RLock()

# Inlined by numba, not left to LLVM: a call that is not inlined counts references of its arrays, atomically, and
# made SMA and rolling VWAP five and three times slower (53 against 11, 56 against 19 ns a bar).
_INNER: dict[str, Any] = {"error_model": "numpy", "inline": "always"}

# A block is compiled once by itself, inlined by LLVM and counts no references. Sixty indicators share some thirty
# blocks: inlined by numba each would compile all of its blocks again (0.36 against 0.06 s for RSI).
_BLOCK: dict[str, Any] = {"error_model": "numpy", "forceinline": True, "_nrt": False}
_CALLED: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
_INNERS = {None: _INNER, True: _BLOCK, False: _CALLED}


class Kernel:
    """A function that numba compiles when it is first called.

    Parameters
    ----------
    function : its body, in the subset of Python that numba compiles.
    signature : ``"result(argument, …)"`` in numba's notation (``f8``, ``f8[::1]``), ``const`` before a read-only array.
        None for an inner kernel: it is compiled only into its callers; called from Python it runs as Python.
    bound : kernels that replace globals of the same name in this copy of the function.
    shared : an inner kernel that many others call, a `block`: compiled once, by itself. False: LLVM may call it.
    allocates : whether it creates arrays. If not, reference counting of arrays is off: each inlined call with an array
        cost an atomic increment and decrement, two fifths of the frame scanner's time (166 against 95 ns a frame).
    """

    def __init__(
        self,
        function: Callable[..., Any],
        signature: str | None,
        *,
        bound: dict[str, Kernel] | None = None,
        name: str | None = None,
        allocates: bool = True,
        shared: bool | None = None,
    ) -> None:
        self.function = function
        self.shared = shared
        self.signature = signature
        self.allocates = allocates
        self.name = name or f"{function.__module__}.{function.__qualname__}"
        self._bound = bound or {}
        self._dispatcher: Any = None
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__module__ = function.__module__
        self.__wrapped__ = function
        if signature is not None:
            REGISTRY[self.name] = self

    def __call__(self, *args: Any) -> Any:
        """Run the kernel: compiled if it has a signature, else as plain Python."""
        if self.signature is None:
            return self.function(*args)
        return (self._dispatcher or self.dispatcher())(*args)

    def __repr__(self) -> str:
        return f"Kernel({self.name})"

    def callees(self) -> dict[str, Kernel]:
        """Return the kernels that this one calls, by the names it uses for them."""
        scope = {**self.function.__globals__, **self._bound}
        names = self.function.__code__.co_names
        return {name: scope[name] for name in names if isinstance(scope.get(name), Kernel)}

    def digest(self) -> str:
        """Return a hash of the code of this kernel and of everything it calls.

        The hash is part of the cache file's name: numba itself checks only the source file of the outermost
        function, so after a change in a callee it would load stale machine code.
        """
        hasher = hashlib.sha256()
        self._feed(hasher.update, set())
        return hasher.hexdigest()[:12]

    def _feed(self, update: Callable[[bytes], None], seen: set[str]) -> None:
        code = self.function.__code__
        scope = self.function.__globals__
        constants = [(n, scope[n]) for n in code.co_names if isinstance(scope.get(n), int | float)]
        update(
            repr((_INNERS[self.shared], self.name, self.signature, self.allocates, code.co_consts, constants)).encode()
        )
        update(code.co_code)
        for name, callee in sorted(self.callees().items()):
            if callee.name not in seen:
                seen.add(callee.name)
                update(name.encode())
                callee._feed(update, seen)

    def dispatcher(self) -> Any:
        """Return numba's dispatcher, compiled or loaded from the cache on the first call."""
        with _BUILD:
            if self._dispatcher is None:
                self._dispatcher = self._build()
            return self._dispatcher

    def _build(self) -> Any:
        import numba

        clone = self._clone()
        if self.signature is None:
            return numba.njit(clone, **_INNERS[self.shared])
        uncounted: dict[str, Any] = {} if self.allocates else {"_nrt": False}
        return numba.njit([_parse(self.signature)], cache=True, nogil=True, error_model="numpy", **uncounted)(clone)

    def _clone(self) -> types.FunctionType:
        """Return a copy of the function that calls the compiled callees, named by its digest."""
        scope = {**self.function.__globals__, **self._bound}
        scope.update({name: callee.dispatcher() for name, callee in self.callees().items()})
        clone = types.FunctionType(self.function.__code__, scope, self.function.__name__, self.function.__defaults__)
        clone.__module__ = self.function.__module__
        clone.__qualname__ = f"{self.name.rpartition('.')[2]}_{self.digest()}"
        return clone

    def compiled(self) -> int:
        """Return how often this process compiled the kernel: 0 if it was in the cache, else 1.

        >>> from trading_platform.analytics.folding.exact import two_words_sum
        >>> two_words_sum.compiled() in (0, 1)
        True
        """
        return int(sum(self.dispatcher().stats.cache_misses.values()))


def kernel(signature: str | None = None, *, allocates: bool = True) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a function a kernel; the arguments are those of `Kernel`.

    Examples
    --------
    >>> @kernel()
    ... def halve(x):
    ...     return 0.5 * x
    >>> halve(3.0)
    1.5
    """

    def decorate(function: Callable[..., Any]) -> Kernel:
        return Kernel(function, signature, allocates=allocates)

    return decorate


def block(*, inline: bool = True) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a function an inner kernel that many kernels share: a step of an indicator, or a part of one.

    It creates no arrays. From Python it runs as Python.

    Parameters
    ----------
    inline : whether LLVM must inline it. What runs seldom need not: inlined three times, the reordering of HMA's
        windows took 5 s to compile. What is called is given no `state`, for that would leave the registers.

    Examples
    --------
    >>> @block()
    ... def double(x):
    ...     return 2.0 * x
    >>> double(3.0)
    6.0
    """

    def decorate(function: Callable[..., Any]) -> Kernel:
        return Kernel(function, None, shared=inline)

    return decorate


def specialise(
    template: Callable[..., Any], signature: str, name: str, *, allocates: bool = True, **bound: Kernel
) -> Kernel:
    """Return a copy of `template` that calls the given kernels under its own names.

    Not a closure: numba hashes a closure's content for its on-disk cache, and the hash of a dispatcher differs in
    every process.
    """
    return Kernel(template, signature, bound=bound, name=name, allocates=allocates)


def _parse(signature: str) -> Any:
    """Translate ``"void(f8[::1], const f8[::1])"`` to a numba signature."""
    from numba import types as nb

    result, _, rest = signature.partition("(")
    arguments = [_type(text.strip()) for text in rest.rstrip(") ").split(",") if text.strip()]
    return (nb.void if result.strip() == "void" else _type(result.strip()))(*arguments)


_SCALARS = {"f8": "float64", "i8": "int64", "i1": "int8", "u1": "uint8", "u8": "uint64"}


def _type(text: str) -> Any:
    from numba import types as nb

    constant = text.startswith("const ")
    base, _, shape = text.removeprefix("const ").partition("[")
    scalar = getattr(nb, _SCALARS[base])
    if not shape:
        return scalar
    return nb.Array(scalar, 1, "C", readonly=constant)

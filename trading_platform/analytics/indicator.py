"""The definition of an indicator: parameters, columns, lookback and one step. The table of all is indicators/.

Light: importing this imports neither numpy nor numba. Running a step over rows is analytics/driver.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from trading_platform.analytics import loops
from trading_platform.domain.errors import UsageError
from trading_platform.jit.kernel import Kernel
from trading_platform.jit.native import Native

Number = int | float


class Parameter(NamedTuple):
    """One number in an indicator's name, with its bounds (both included)."""

    name: str
    default: Number
    low: Number
    high: Number

    @property
    def whole(self) -> bool:
        """Tell whether only whole numbers are allowed."""
        return isinstance(self.low, int)


_NAME = re.compile(r"[a-z]+(?:_[a-z]+)*")
_OUTPUT = re.compile(r"(?:[a-z][a-z0-9]*(?:_[a-z0-9]+)*)?")


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def nothing(*_: Number) -> int:
    """Return 0: the size of a window that is not there."""
    return 0


def no_constants(*_: Number) -> tuple[float, ...]:
    """Return no constants."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """An indicator as data.

    Attributes
    ----------
    name : first part of its names: ``rsi`` of ``rsi_14``.
    title, source : what it is called, and whose convention it follows.
    parameters : the numbers of its name, in order.
    inputs : bar columns that a step takes. An indicator of one input can be taken of another indicator.
    outputs : what is appended to the name for each output, "" for the name itself.
    lookback : parameters → rows without a value before the first one.
    step : ``step(state, window, constants, *inputs) -> value or tuple of values``, a `block`.
    words : float64 numbers of `state`, the same for all parameters, indexed by literals: they live in registers.
    window : parameters → float64 numbers of `window`: what is indexed by a variable. Zeros are the state before the
        first row.
    constants : parameters → what the step reads beside its inputs.
    restarts_daily : begins anew at 00:00 UTC when it stands alone and the rows have times.
    needs_times : means nothing without ``ts_open``.
    day_boundary : ``day_boundary(state, window, constants)``, run at 00:00 UTC: rewrites the state into the one form
        that depends only on the values it holds, so that a repaired day stops mattering once its values have left the
        window. Only for what forgets: an exponential mean never does.
    """

    name: str
    title: str
    source: str
    parameters: tuple[Parameter, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    lookback: Callable[..., int]
    step: Kernel
    words: int = 0
    window: Callable[..., int] = nothing
    constants: Callable[..., tuple[float, ...]] = no_constants
    restarts_daily: bool = False
    needs_times: bool = False
    day_boundary: Kernel | None = None

    def __post_init__(self) -> None:
        if not self.inputs or not self.outputs:
            raise UsageError(f"the indicator {self.name!r} has no input or no output")

    @cached_property
    def run(self) -> Native:
        """The loop that applies the step to rows; its text is made when it is first needed."""
        source = loops.run_source(len(self.inputs), len(self.outputs), self.words, self._constants)
        return loops.native(source, f"{self.step.__module__}_run", step=self.step)

    @cached_property
    def at_midnight(self) -> Native | None:
        """What runs `day_boundary`, None if there is none."""
        if self.day_boundary is None:
            return None
        source = loops.boundary_source(self.words, self._constants)
        return loops.native(source, f"{self.step.__module__}_day_boundary", day_boundary=self.day_boundary)

    @property
    def _constants(self) -> int:
        return len(self.constants(*self.defaults))

    def check(self, origin: str) -> None:
        """Refuse what cannot be named or driven.

        Raises
        ------
        UsageError : naming what is wrong, and `origin`.
        """
        numbers = self.constants(*self.defaults)
        wrong = {
            f"its name {self.name!r} is not of small letters and _": not _NAME.fullmatch(self.name),
            "a default is out of its bounds": not all(p.low <= p.default <= p.high for p in self.parameters),
            "an output is not of small letters, digits and _": not all(_OUTPUT.fullmatch(o) for o in self.outputs),
            "its lookback is no whole number of rows": not _is_size(self.lookback(*self.defaults)),
            "its window is no whole number": not _is_size(self.window(*self.defaults)),
            "its words are no whole number": not _is_size(self.words),
            "its constants are no tuple of numbers": not all(isinstance(x, int | float) for x in numbers),
        }
        for text, so in wrong.items():
            if so:
                raise UsageError(f"{origin}: the indicator {self.name!r} cannot be used: {text}")

    @property
    def defaults(self) -> tuple[Number, ...]:
        """The parameters' defaults."""
        return tuple(p.default for p in self.parameters)

    def spelled(self, values: tuple[Number, ...] = (), output: str = "") -> str:
        """Return the name with these parameters (default: the defaults) and this output.

        >>> from trading_platform.analytics.indicators import INDICATORS
        >>> INDICATORS["bbands"].spelled((20, 2.5), "upper")
        'bbands_20_2p5_upper'
        """
        numbers = values or self.defaults
        return "_".join([self.name, *map(spell, numbers), *([output] if output else [])])


def spell(number: Number) -> str:
    """Return a parameter as it stands in a name.

    >>> spell(20), spell(2.0), spell(0.02)
    ('20', '2', '0p02')
    """
    return str(int(number)) if float(number).is_integer() else repr(float(number)).replace(".", "p")

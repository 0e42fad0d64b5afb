"""The definition of an indicator: parameters, columns, lookback and one step. The table of all is indicators/.

Light: importing this imports neither numpy nor numba. Running a step over rows is analytics/driver.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from trading_platform.analytics import loops
from trading_platform.jit.kernel import Kernel, specialise

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


@dataclass(frozen=True)
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
    state_size : parameters → float64 numbers of state; all zeros is the state before the first row.
    constants : parameters → what the step reads beside its inputs.
    step : ``step(state, constants, *inputs) -> value or tuple of values``.
    restarts_daily : begins anew at 00:00 UTC when it stands alone.
    day_boundary : ``day_boundary(state, constants)``, run at 00:00 UTC: rewrites the state into the one form that
        depends only on the values it holds, so that a repaired day
        stops mattering once its values have left the window.
    """

    name: str
    title: str
    source: str
    parameters: tuple[Parameter, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    lookback: Callable[..., int]
    state_size: Callable[..., int]
    constants: Callable[..., tuple[float, ...]]
    step: Kernel
    restarts_daily: bool = False
    day_boundary: Kernel | None = None
    run: Kernel = field(init=False)

    def __post_init__(self) -> None:
        template = loops.LOOPS[len(self.inputs), len(self.outputs)]
        signature = loops.signature(len(self.inputs), len(self.outputs))
        module = self.step.__module__
        object.__setattr__(self, "run", specialise(template, signature, f"{module}_run", step=self.step))
        if self.day_boundary is not None:
            object.__setattr__(
                self,
                "day_boundary",
                specialise(
                    loops.day_boundary_once,
                    loops.DAY_BOUNDARY,
                    f"{module}_day_boundary",
                    day_boundary=self.day_boundary,
                ),
            )

    def spelled(self, values: tuple[Number, ...] = (), output: str = "") -> str:
        """Return the name with these parameters (default: the defaults) and this output.

        >>> from trading_platform.analytics.indicators import INDICATORS
        >>> INDICATORS["bbands"].spelled((20, 2.5), "upper")
        'bbands_20_2p5_upper'
        """
        numbers = values or tuple(p.default for p in self.parameters)
        return "_".join([self.name, *map(spell, numbers), *([output] if output else [])])


def spell(number: Number) -> str:
    """Return a parameter as it stands in a name.

    >>> spell(20), spell(2.0), spell(0.02)
    ('20', '2', '0p02')
    """
    return str(int(number)) if float(number).is_integer() else repr(float(number)).replace(".", "p")

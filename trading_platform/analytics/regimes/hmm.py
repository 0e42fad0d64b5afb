"""A Gaussian hidden Markov model of a 1-D series: filter, likeliest path, likelihood. Fitting it is fit.py.

States are ordered by volatility: state 0 has the least variance.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_platform.analytics.dataframes import index_ns
from trading_platform.analytics.regimes.kernels import filter_run, viterbi_run
from trading_platform.domain.errors import UsageError, WorkError, shown

Floats = npt.NDArray[np.float64]

MAX_STATES = 5


@dataclass(frozen=True, eq=False)
class GaussianHmm:
    """A Gaussian hidden Markov model.

    Attributes
    ----------
    start : probability of each state at the first observation.
    transition : row r, column s: probability of s after r.
    means, variances : of the observation in each state; variances ascend.

    Examples
    --------
    >>> model = GaussianHmm.of([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], [0.0, 0.0], [1.0, 9.0])
    >>> model.viterbi([0.1, -0.2, 0.3, 0.0, -0.1, 6.0, -5.0]).tolist()
    [0, 0, 0, 0, 0, 1, 1]
    >>> GaussianHmm.from_json(model.to_json()).model_version == model.model_version
    True
    """

    start: Floats
    transition: Floats
    means: Floats
    variances: Floats

    @classmethod
    def of(
        cls, start: npt.ArrayLike, transition: npt.ArrayLike, means: npt.ArrayLike, variances: npt.ArrayLike
    ) -> GaussianHmm:
        """Check the parameters and put the states in order of volatility.

        Raises
        ------
        UsageError : if shapes differ, probabilities do not add up, or a variance is not positive.
        """
        arrays = [np.array(values, dtype=np.float64) for values in (start, transition, means, variances)]
        first, moves, centres, spreads = arrays
        states = len(first) if first.ndim == 1 else 0
        if not 1 <= states <= MAX_STATES:
            raise UsageError(f"a model has 1 to {MAX_STATES} states")
        if moves.shape != (states, states) or centres.shape != (states,) or spreads.shape != (states,):
            raise UsageError(f"the parameters of {states} states have other shapes")
        if not all(np.isfinite(values).all() for values in arrays) or (spreads <= 0).any():
            raise UsageError("means must be finite and variances positive")
        rows = np.vstack([first, moves])
        if (rows < 0).any() or not np.allclose(rows.sum(axis=1), 1.0, atol=1e-9):
            raise UsageError("start and every row of transition must be probabilities that add up to 1")
        order = np.lexsort((centres, spreads))
        ordered = (first[order], moves[np.ix_(order, order)], centres[order], spreads[order])
        for values in ordered:
            values.flags.writeable = False
        return cls(*ordered)

    @property
    def states(self) -> int:
        """How many states there are."""
        return len(self.start)

    def filter(self, x: npt.ArrayLike) -> Floats:
        """Return the probability of each state given the observations so far: one row an observation.

        Causal: row t uses x[:t + 1] only. A value that is not finite does not step; its row is NaN.
        """
        return self._run(series(x))[1]

    def log_likelihood(self, x: npt.ArrayLike) -> float:
        """Return the log of the probability density of the whole series.

        Raises
        ------
        UsageError : if a value is not finite.
        """
        return self._run(finite(x))[0]

    def viterbi(self, x: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the likeliest path of states. Not causal: every entry depends on all of x.

        Raises
        ------
        UsageError : if a value is not finite.
        """
        values = finite(x)
        back = np.zeros(len(values) * self.states, dtype=np.int8)
        path = np.zeros(len(values), dtype=np.int8)
        viterbi_run(*self.flat, values, back, path)
        return path.astype(np.int64)

    def _run(self, x: Floats) -> tuple[float, Floats]:
        probabilities, change = np.empty(len(x) * self.states), np.empty(len(x))
        likelihood = filter_run(np.zeros(1 + self.states), *self.flat, x, probabilities, change)
        return float(likelihood), probabilities.reshape(len(x), self.states)

    @property
    def flat(self) -> tuple[Floats, Floats, Floats, Floats]:
        """The parameters as kernels take them."""
        return self.start, self.transition.reshape(-1), self.means, self.variances

    def to_json(self) -> bytes:
        """Return the model as JSON, every number exactly."""
        fields = {"start": self.start, "transition": self.transition, "means": self.means, "variances": self.variances}
        content: dict[str, Any] = {"model": "gaussian_hmm", **{k: v.tolist() for k, v in fields.items()}}
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> GaussianHmm:
        """Return the model that `to_json` wrote.

        Raises
        ------
        WorkError : if it is no such model.
        """
        try:
            content = json.loads(data)
            return cls.of(content["start"], content["transition"], content["means"], content["variances"])
        except (ValueError, TypeError, KeyError, UsageError) as error:
            raise WorkError(f"not a gaussian_hmm: {error}") from error

    @cached_property
    def model_version(self) -> str:
        """A name that only this content has."""
        return "gaussian_hmm-" + hashlib.sha256(self.to_json()).hexdigest()[:12]


def series(x: npt.ArrayLike) -> Floats:
    """Return x, an array, list or series of any library, as a 1-D float64 array; what is missing as NaN.

    Raises
    ------
    UsageError : if it is not one: texts, truth values and times are no numbers. Or if it has an index of times that
        is not in order.
    """
    if type(x).__module__.partition(".")[0] == "pandas" and hasattr(x, "index") and hasattr(x.index, "dtype"):
        times = index_ns(x.index)
        if times is not None and (falls := np.flatnonzero(np.diff(times) < 0)).size:
            raise UsageError(
                f"x[{int(falls[0]) + 1}] is out of order: its index lies before x[{int(falls[0])}]'s; sort x"
            )
    try:
        values = np.asarray(x)
        if values.dtype.kind == "O" and values.ndim == 1:
            values = np.array([_number(one) for one in values.tolist()], dtype=np.float64)
    except Exception as error:  # ragged lists, odd objects: numpy has many words for them
        raise UsageError(f"x holds no numbers: {' '.join(str(error).split())[:120]}") from error
    if values.ndim != 1:
        raise UsageError(f"x is {type(x).__name__} of {values.ndim} dimensions; a model is of one series of numbers")
    if values.dtype.kind not in "iuf":
        raise UsageError(f"x holds no numbers: its type is {values.dtype}")
    return np.ascontiguousarray(values, dtype=np.float64)


def _number(value: Any) -> float:
    if value is None or type(value).__name__ == "NAType":
        return float("nan")
    if type(value) is not bool and isinstance(value, Real | Decimal):
        return float(value)
    raise TypeError(f"{shown(value)} is none")


def finite(x: npt.ArrayLike) -> Floats:
    """Return x as a 1-D array of finite numbers, else raise a UsageError naming the first row that is not."""
    values = series(x)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise UsageError(f"x[{int(wrong[0])}] is {values[wrong[0]]}; drop what is missing first")
    return values

"""Fit a Gaussian hidden Markov model by expectation maximisation: ``tp.fit_regimes``.

Several beginnings (by size of moves, by level, and random ones from the seed) run a few rounds each; the likeliest
goes on to convergence. The same x and seed give the same model.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.analytics.regimes.hmm import MAX_STATES, Floats, GaussianHmm, finite
from trading_platform.analytics.regimes.kernels import expectation
from trading_platform.domain.errors import UsageError, shown

MODELS = ("gaussian_hmm",)

ALIKE, STILL = 1e-10, 1e-14
"""Values that agree in ten digits, or lie within 1e-14, differ by rounding: a return is a difference of logarithms
around ten, each of which is off by 1e-15, and no market's tick is a price's eleventh digit."""

FEWEST = 5
"""So many values a state must differ from the others by more than rounding."""

_WIDEST = 1e140
_VARIANCE_FLOOR = 1e-6
_WEIGHT_FLOOR = 1e-10
_SCOUT_ROUNDS = 20
_RANDOM_BEGINNINGS = 4


class _Guess(NamedTuple):
    start: Floats
    transition: Floats
    means: Floats
    variances: Floats


def fit_regimes(
    x: npt.ArrayLike,
    model: str = "gaussian_hmm",
    states: int = 2,
    seed: int = 0,
    *,
    rounds: int = 500,
    tolerance: float = 1e-8,
) -> GaussianHmm:
    """Fit a regime model to a 1-D series, returns for example.

    Parameters
    ----------
    x : finite numbers in order of time, at least ten a state.
    model : ``"gaussian_hmm"``.
    states : 1 to 5; state 0 is the calmest.
    seed : of the random beginnings.
    rounds : at most so many rounds of expectation maximisation.
    tolerance : ends when a round gains less log-likelihood than this an observation.

    Returns
    -------
    GaussianHmm : with ``filter viterbi log_likelihood start transition means variances``.

    Raises
    ------
    UsageError : an argument is of another kind, the model is unknown, x is too short, constant (up to rounding and a
        handful of values), too wide for a variance, or holds what is not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> found = fit_regimes(np.concatenate([rng.normal(0, 1, 500), rng.normal(0, 5, 500)]))
    >>> np.sqrt(found.variances).round(0).tolist()
    [1.0, 5.0]
    """
    if not isinstance(model, str) or model not in MODELS:
        raise UsageError(f"{shown(model)} is no regime model; known: {', '.join(MODELS)}")
    states = _whole("states", states, 1, MAX_STATES)
    seed, rounds = _whole("seed", seed, 0, 2**64 - 1), _whole("rounds", rounds, 1, 10**9)
    tolerance = _positive("tolerance", tolerance)
    values = finite(x)
    if len(values) < 10 * states:
        raise UsageError(f"{states} states need at least {10 * states} values, not {len(values)}")
    _refuse_constant(values, states)
    centre, width = float(values.mean()), float(values.std())
    fitted = _Fit(np.ascontiguousarray((values - centre) / width), states)
    best = fitted.search(np.random.default_rng(seed), rounds, tolerance * len(values))
    return GaussianHmm.of(best.start, best.transition, best.means * width + centre, best.variances * width**2)


def _positive(name: str, value: Any) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, float | int | np.floating | np.integer)
        or not 0 <= float(value) < np.inf
    ):
        raise UsageError(f"{name} must be a number from 0 on, not {shown(value)}")
    return float(value)


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) <= most:
        raise UsageError(f"{name} must be a whole number from {least} to {most}, not {shown(value)}")
    return int(value)


def _refuse_constant(values: Floats, states: int) -> None:
    """Refuse a series in which there is nothing but rounding to tell apart, and one whose variance is no float64."""
    usual = float(np.partition(values, len(values) // 2)[len(values) // 2])
    with np.errstate(over="ignore"):
        away = np.abs(values - usual)
    apart = int(np.count_nonzero(away > max(ALIKE * abs(usual), STILL)))
    if apart < FEWEST * states:
        others = f"all but {apart} of its {len(values)} values are" if apart else "all its values are"
        raise UsageError(f"x is constant: {others} {usual:.6g} up to rounding; there are no regimes to tell apart")
    if away.max() > _WIDEST:
        raise UsageError(f"x spans more than {_WIDEST:g}, too much for a variance; divide it by a power of ten first")


class _Fit:
    """Rounds of expectation maximisation on one standardised series, with room for the recursions."""

    def __init__(self, z: Floats, states: int) -> None:
        self.z = z
        self.states = states
        self._density = np.empty(len(z) * states)
        self._alpha = np.empty(len(z) * states)
        self._sums = np.empty(states * (states + 4))

    def search(self, rng: np.random.Generator, rounds: int, tolerance: float) -> _Guess:
        """Return the best model found."""
        beginnings = [self._by_size(), self._by_level()]
        beginnings += [self._random(rng) for _ in range(_RANDOM_BEGINNINGS)]
        scouted = [self._climb(guess, min(rounds, _SCOUT_ROUNDS), tolerance) for guess in beginnings]
        return self._climb(max(scouted, key=lambda pair: pair[1])[0], rounds, tolerance)[0]

    def _climb(self, guess: _Guess, rounds: int, tolerance: float) -> tuple[_Guess, float]:
        """Improve a guess until nothing is gained; return it with the log-likelihood it had one round before."""
        before = -np.inf
        for _ in range(rounds):
            better, likelihood = self._round(guess)
            if not np.isfinite(likelihood):
                return guess, -np.inf
            if likelihood - before < tolerance:
                return guess, likelihood
            guess, before = better, likelihood
        return guess, before

    def _round(self, guess: _Guess) -> tuple[_Guess, float]:
        k = self.states
        likelihood = expectation(
            guess.start, guess.transition.reshape(-1), guess.means, guess.variances,
            self.z, self._density, self._alpha, self._sums,
        )  # fmt: skip
        start, pairs, weight, total, squares = np.split(self._sums, np.cumsum([k, k * k, k, k]))
        weight = np.maximum(weight, _WEIGHT_FLOOR)
        means = total / weight
        variances = np.maximum(squares / weight - means**2, _VARIANCE_FLOOR)
        return _Guess(_normal(start), _normal(pairs.reshape(k, k)), means, variances), float(likelihood)

    def _guess(self, means: npt.ArrayLike, variances: npt.ArrayLike) -> _Guess:
        k = self.states
        moves = np.full((k, k), 0.05 / max(k - 1, 1))
        np.fill_diagonal(moves, 0.95)
        spread = np.maximum(np.asarray(variances, dtype=np.float64), _VARIANCE_FLOOR)
        return _Guess(np.full(k, 1.0 / k), _normal(moves), np.array(means, dtype=np.float64), spread)

    def _by_size(self) -> _Guess:
        """One centre, variances from the small moves to the large ones."""
        parts = np.array_split(np.sort(self.z**2), self.states)
        return self._guess(np.zeros(self.states), [part.mean() for part in parts])

    def _by_level(self) -> _Guess:
        """One part of the sorted values a state."""
        parts = np.array_split(np.sort(self.z), self.states)
        return self._guess([part.mean() for part in parts], [part.var() for part in parts])

    def _random(self, rng: np.random.Generator) -> _Guess:
        """Centres drawn from the values, variances over two decades."""
        return self._guess(rng.choice(self.z, self.states, replace=False), 10.0 ** rng.uniform(-1.5, 0.5, self.states))


def _normal(weights: Floats) -> Floats:
    """Return probabilities: no row of zeros, no exact zero that would never be left again."""
    floored = np.maximum(weights, _WEIGHT_FLOOR)
    return np.ascontiguousarray(floored / floored.sum(axis=-1, keepdims=True))

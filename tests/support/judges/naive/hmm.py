"""Oracle of hidden Markov models: every path of states, one by one. Only for a handful of observations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple


class Model(NamedTuple):
    start: Sequence[float]
    transition: Sequence[Sequence[float]]
    means: Sequence[float]
    variances: Sequence[float]


def density(x: float, mean: float, variance: float) -> float:
    return math.exp(-((x - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def paths(model: Model, x: Sequence[float]) -> dict[tuple[int, ...], float]:
    """The probability density of the observations together with each path."""
    weights = {}
    for path in itertools.product(range(len(model.start)), repeat=len(x)):
        weight = model.start[path[0]]
        for before, after in itertools.pairwise(path):
            weight *= model.transition[before][after]
        for state, value in zip(path, x, strict=True):
            weight *= density(value, model.means[state], model.variances[state])
        weights[path] = weight
    return weights


def log_likelihood(model: Model, x: Sequence[float]) -> float:
    return math.log(sum(paths(model, x).values()))


def filtered(model: Model, x: Sequence[float]) -> list[list[float]]:
    """The probability of each state at t given x[:t + 1]."""
    rows = []
    for t in range(len(x)):
        weights = paths(model, x[: t + 1])
        total = sum(weights.values())
        rows.append([sum(w for p, w in weights.items() if p[-1] == s) / total for s in range(len(model.start))])
    return rows


def changed(model: Model, x: Sequence[float]) -> list[float]:
    """The probability that the state at t is not the one at t - 1, given x[:t + 1]; 0 at the first."""
    out = [0.0]
    for t in range(1, len(x)):
        weights = paths(model, x[: t + 1])
        out.append(sum(w for p, w in weights.items() if p[-1] != p[-2]) / sum(weights.values()))
    return out


def viterbi(model: Model, x: Sequence[float]) -> list[int]:
    weights = paths(model, x)
    return list(max(weights, key=lambda path: weights[path]))

"""The recursions of a Gaussian hidden Markov model: filter, Viterbi, one round of expectation maximisation.

Matrices come flat, row by row. Densities are taken relative to the largest of a row, so an outlier of a hundred
deviations does not underflow.
"""

from __future__ import annotations

from math import exp, log, nan
from typing import Any

import numpy as np

from trading_platform.jit.kernel import kernel

HALF_LOG_TWO_PI = 0.9189385332046727


@kernel()
def prepare(variances: Any, precision: Any, offset: Any) -> None:
    """Compute once what every density needs: -1 / 2 variance, and half the log of it."""
    for s in range(len(variances)):
        precision[s] = -0.5 / variances[s]
        offset[s] = -0.5 * log(variances[s])


@kernel()
def relative_density(x: float, means: Any, precision: Any, offset: Any, out: Any, at: int) -> float:
    """Write each state's density over the largest one; return the log of that largest."""
    states = len(means)
    top = -np.inf
    for s in range(states):
        away = x - means[s]
        value = away * away * precision[s] + offset[s]
        out[at + s] = value
        top = max(top, value)
    for s in range(states):
        out[at + s] = exp(out[at + s] - top)
    return top - HALF_LOG_TWO_PI


@kernel()
def filter_step(carried: Any, start: Any, transition: Any, density: Any) -> tuple[float, float]:
    """Advance the filter by one observation; return its likelihood and the probability that the state changed.

    carried: 0 before the first observation and 1 after it, then the probability of each state.
    """
    states = len(start)
    total = 0.0
    stayed = 0.0
    new = np.empty(states)
    for s in range(states):
        if carried[0] == 0.0:
            expected = start[s]
            stay = expected
        else:
            expected = 0.0
            for r in range(states):
                expected += carried[1 + r] * transition[r * states + s]
            stay = carried[1 + s] * transition[s * states + s]
        new[s] = expected * density[s]
        total += new[s]
        stayed += stay * density[s]
    if total > 0.0:
        for s in range(states):
            carried[1 + s] = new[s] / total
        stayed /= total
    else:
        # Impossible under the model: begin anew, as nothing is known.
        for s in range(states):
            carried[1 + s] = start[s]
        stayed = 1.0
    carried[0] = 1.0
    return total, min(max(1.0 - stayed, 0.0), 1.0)


_MODEL = "const f8[::1], const f8[::1], const f8[::1], const f8[::1]"


@kernel(f"f8(f8[::1], {_MODEL}, const f8[::1], f8[::1], f8[::1])")
def filter_run(
    carried: Any, start: Any, transition: Any, means: Any, variances: Any, x: Any, out: Any, change: Any
) -> float:
    """Filter a series; return its log-likelihood. A value that is not finite does not step and gives NaN."""
    states = len(start)
    density = np.empty(states)
    precision = np.empty(states)
    offset = np.empty(states)
    prepare(variances, precision, offset)
    likelihood = 0.0
    for i in range(len(x)):
        if x[i] - x[i] != 0.0:
            change[i] = nan
            for s in range(states):
                out[i * states + s] = nan
            continue
        top = relative_density(x[i], means, precision, offset, density, 0)
        total, change[i] = filter_step(carried, start, transition, density)
        likelihood += top + (log(total) if total > 0.0 else -np.inf)
        for s in range(states):
            out[i * states + s] = carried[1 + s]
    return likelihood


@kernel(f"void({_MODEL}, const f8[::1], i1[::1], i1[::1])")
def viterbi_run(start: Any, transition: Any, means: Any, variances: Any, x: Any, back: Any, path: Any) -> None:
    """Find the likeliest path. `back` is room for a state per observation and state."""
    states = len(start)
    best = np.empty(states)
    new = np.empty(states)
    precision = np.empty(states)
    offset = np.empty(states)
    prepare(variances, precision, offset)
    moves = np.log(transition)
    for i in range(len(x)):
        for s in range(states):
            away = x[i] - means[s]
            value = away * away * precision[s] + offset[s]
            if i == 0:
                new[s] = value + log(start[s])
                continue
            top = -np.inf
            chosen = 0
            for r in range(states):
                candidate = best[r] + moves[r * states + s]
                if candidate > top:
                    top = candidate
                    chosen = r
            back[i * states + s] = chosen
            new[s] = value + top
        for s in range(states):
            best[s] = new[s]
    last = 0
    for s in range(1, states):
        if best[s] > best[last]:
            last = s
    for i in range(len(x) - 1, -1, -1):
        path[i] = last
        last = back[i * states + last]


@kernel(f"f8({_MODEL}, const f8[::1], f8[::1], f8[::1], f8[::1])")
def expectation(  # noqa: C901, PLR0912  compiled loop: a call in it costs time
    start: Any, transition: Any, means: Any, variances: Any, x: Any, density: Any, alpha: Any, sums: Any
) -> float:
    """Gather what a round of expectation maximisation needs; return the log-likelihood of the given model.

    sums, flat: state of the first observation k, transitions k·k, weight k, weighted x k, weighted x² k.
    """
    states = len(start)
    rows = len(x)
    scale = np.empty(rows)
    precision = np.empty(states)
    offset = np.empty(states)
    prepare(variances, precision, offset)
    likelihood = 0.0
    product = 1.0
    for i in range(rows):
        at = i * states
        likelihood += relative_density(x[i], means, precision, offset, density, at)
        total = 0.0
        for s in range(states):
            expected = 0.0
            if i == 0:
                expected = start[s]
            else:
                for r in range(states):
                    expected += alpha[at - states + r] * transition[r * states + s]
            alpha[at + s] = expected * density[at + s]
            total += alpha[at + s]
        inverse = 1.0 / total
        for s in range(states):
            alpha[at + s] *= inverse
        scale[i] = inverse
        # One logarithm for many observations: a factor is at least the least transition, 1e-10 in fit.py.
        product *= total
        if product < 1e-200:
            likelihood += log(product)
            product = 1.0
    likelihood += log(product)
    sums[:] = 0.0
    beta = np.ones(states)
    carried = np.empty(states)
    pairs = states
    weight = states + states * states
    for i in range(rows - 1, -1, -1):
        at = i * states
        for s in range(states):
            gamma = alpha[at + s] * beta[s]
            sums[weight + s] += gamma
            sums[weight + states + s] += gamma * x[i]
            sums[weight + 2 * states + s] += gamma * x[i] * x[i]
            if i == 0:
                sums[s] = gamma
            carried[s] = density[at + s] * beta[s] * scale[i]
        if i > 0:
            for r in range(states):
                total = 0.0
                for s in range(states):
                    flow = transition[r * states + s] * carried[s]
                    sums[pairs + r * states + s] += alpha[at - states + r] * flow
                    total += flow
                beta[r] = total
    return likelihood

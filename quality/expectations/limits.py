"""How far a number may lie from those of the days before: a robust band, both sides. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

TRAILING_DAYS, LEAST_DAYS = 30, 7
"""A day is compared with the thirty before it; with less than seven it is not compared."""

Scale = Literal["ratio", "difference"]
"""Whether numbers are compared by their ratio (counts, waits) or by their difference (shares)."""

_TINY = 1e-12
"""Stands for zero where ratios are compared."""


class Band(NamedTuple):
    """The least and the greatest value that is still usual, and what they were derived from."""

    low: float
    high: float
    middle: float
    days: int


def band(history: Sequence[float], scale: Scale, *, deviations: float, least: float) -> Band:
    """Return the band around the median: `deviations` robust standard deviations, at least `least`, to either side.

    Parameters
    ----------
    history : of the days before, at least `LEAST_DAYS`.
    least : in the scale's unit: 0.7 of a ratio is a factor of two.

    Examples
    --------
    >>> found = band([90, 100, 110, 95, 105, 100, 100], "ratio", deviations=6, least=0.5)
    >>> round(found.low), round(found.middle), round(found.high)
    (61, 100, 165)
    >>> band([0.5] * 7, "difference", deviations=6, least=0.1)
    Band(low=0.4, high=0.6, middle=0.5, days=7)
    """
    values = np.asarray(history, np.float64)
    if scale == "ratio":
        values = np.log(np.maximum(values, _TINY))
    middle = float(np.median(values))
    half = max(deviations * 1.4826 * float(np.median(np.abs(values - middle))), least)
    ends = (middle - half, middle + half, middle)
    low, high, at = (float(np.exp(end)) for end in ends) if scale == "ratio" else ends
    return Band(low, high, at, len(values))

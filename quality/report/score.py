"""One number for the quality of a symbol's day, from 0 to 100, and the parts that it is made of. Pure.

A part that cannot be told (no history, no live trade) is left out and counts neither way; it is shown as unknown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

GOOD, FAIR = 99.0, 95.0
_STEADY = 3.0
"""A day with a third to three times the usual number of trades is steady."""


class ScorePart(NamedTuple):
    """One part: its share of what it could be (0 to 1, None if unknown), its weight, and the reason in words."""

    name: str
    value: float | None
    weight: int
    reason: str

    @property
    def percent(self) -> float | None:
        """The value in per cent, rounded down: 100 only if nothing is lacking."""
        return None if self.value is None else floored(self.value)


class Score(NamedTuple):
    """The number and its parts; None if no part is known."""

    value: float | None
    parts: tuple[ScorePart, ...]

    @property
    def grade(self) -> str:
        """``good``, ``fair``, ``poor`` or ``unknown``."""
        if self.value is None:
            return "unknown"
        return "good" if self.value >= GOOD else "fair" if self.value >= FAIR else "poor"


def floored(share: float) -> float:
    """Return a share in per cent, rounded down to a tenth: one trade missing of ten million is not 100.

    >>> floored(0.99999999), floored(1.0)
    (99.9, 100.0)
    """
    return math.floor(min(max(share, 0.0), 1.0) * 1000 + 1e-9) / 10 if share < 1 else 100.0


def score(parts: Sequence[ScorePart]) -> Score:
    """Return the weighted mean of the known parts.

    >>> score([ScorePart("a", 1.0, 3, ""), ScorePart("b", 0.5, 1, ""), ScorePart("c", None, 9, "")]).value
    87.5
    """
    known = [(part.value, part.weight) for part in parts if part.value is not None]
    if not known:
        return Score(None, tuple(parts))
    share = sum(value * weight for value, weight in known) / sum(weight for _, weight in known)
    return Score(floored(share) if all(value >= 1 for value, _ in known) else min(floored(share), 99.9), tuple(parts))


def steadiness(ratio: float) -> float:
    """Return how steady a day is that has `ratio` times the usual number of trades: too much counts like too little.

    >>> steadiness(1.0), steadiness(3.0), round(steadiness(30.0), 6), round(steadiness(1 / 30), 6)
    (1.0, 1.0, 0.1, 0.1)
    """
    if ratio <= 0:
        return 0.0
    return min(1.0, _STEADY * min(ratio, 1 / ratio))

"""How long to wait before what has failed is tried again: twice as long after each failure, up to a longest wait. Pure.

Jitter is for the caller: it takes any time below this one (`rng.uniform(0, wait)`), so that many do not march in step.
"""

from __future__ import annotations

from typing import TypeVar

Number = TypeVar("Number", int, float)
_MOST_DOUBLINGS = 64
"""Beyond any use; a float overflows at the 1,024th."""


def doubled(first: Number, times: int, longest: Number) -> Number:
    """Return `first` doubled so many times, `longest` at most.

    >>> [doubled(0.5, times, 30.0) for times in (0, 1, 5, 6, 5000)]
    [0.5, 1.0, 16.0, 30.0, 30.0]
    """
    return min(longest, first * (1 << min(times, _MOST_DOUBLINGS)))

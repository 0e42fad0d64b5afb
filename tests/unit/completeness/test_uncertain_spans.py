"""Doubt lies between the nearest held trades around a missing id, and nowhere else."""

from __future__ import annotations

import numpy as np

from trading_platform.completeness.uncertain_spans import Spans, touched, uncertain_spans


def spans(ts: list[int], missing: list[int], start: int = 100, end: int = 200) -> list[tuple[int, int]]:
    flags = np.zeros(len(ts) + 1, np.bool_)
    flags[missing] = True
    found = uncertain_spans(np.array(ts, np.int64), flags, start_ns=start, end_ns=end)
    return list(zip(found.first.tolist(), found.last.tolist(), strict=True))


def test_a_missing_id_leaves_doubt_between_its_neighbours() -> None:
    """From the trade before to the trade after, both included: the missing one may lie in either's interval."""
    assert spans([110, 120, 130], [1]) == [(110, 120)]


def test_doubt_at_the_edges_reaches_to_midnight() -> None:
    """An id missing across midnight touches the day up to its first held trade, or from its last on."""
    assert spans([110, 190], [0, 2]) == [(100, 110), (190, 199)]
    assert spans([], [0]) == [(100, 199)]


def test_doubt_on_other_days_is_not_ours() -> None:
    """What is missing between two trades of other days touches this day only if they lie on either side of it."""
    assert spans([99, 99, 150, 200, 200], [1]) == []
    assert spans([99, 99, 150, 200, 200], [4]) == []
    assert spans([99, 200], [1]) == [(100, 199)]


def test_times_that_fall_with_the_id_widen_the_doubt() -> None:
    """Where the trade before a missing id is later than the one after it, doubt covers both."""
    assert spans([110, 150, 130, 160], [2]) == [(130, 150)]
    assert spans([150, 110, 160], [2]) == [(150, 160)]


def test_intervals_are_touched_as_a_naive_loop_says() -> None:
    """Every interval that shares an instant with a span is touched, one beyond the edge is none."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        width, count = int(rng.integers(1, 12)), int(rng.integers(1, 20))
        first = rng.integers(-20, 220, 4)
        last = first + rng.integers(0, 60, 4)
        expected = [
            any(f < (k + 1) * width and e >= k * width for f, e in zip(first, last, strict=True)) for k in range(count)
        ]
        found = touched(Spans(first, last), start_ns=0, width_ns=width, count=count)
        assert found.tolist() == expected

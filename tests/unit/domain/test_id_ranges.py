"""Sets of ids as ranges say what sets of single ids say."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from trading_platform.domain.id_ranges import IdRanges, id_runs

LEAST, GREATEST = int(np.iinfo(np.int64).min), int(np.iinfo(np.int64).max)
IDS = st.lists(st.integers(-30, 30) | st.sampled_from([LEAST, LEAST + 1, GREATEST - 1, GREATEST]))
RANGES = st.lists(st.tuples(st.integers(-30, 30), st.integers(-30, 30)))


def members(ranges: list[tuple[int, int]]) -> set[int]:
    """Return the single ids of ranges."""
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(IDS)
def test_runs_are_the_maximal_ranges_of_ids(ids: list[int]) -> None:
    """Runs are what adding each id by itself gives, at the ends of the type too, however often an id is repeated."""
    expected = IdRanges((number, number) for number in ids)
    assert id_runs(np.sort(np.array(ids, np.int64))) == list(expected)


@given(RANGES, IDS)
def test_ids_among_ranges_are_its_members(ranges: list[tuple[int, int]], ids: list[int]) -> None:
    """Membership of many ids at once, in any order, is that of each."""
    held = IdRanges(ranges)
    assert held.among(np.array(ids, np.int64)).tolist() == [number in members(ranges) for number in ids]


@given(RANGES, RANGES)
def test_common_ids_are_the_intersection(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    """What both hold is the intersection of the sets."""
    assert members(list(IdRanges(one).common(IdRanges(other)))) == members(one) & members(other)

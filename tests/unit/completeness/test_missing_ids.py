"""An id is missing unless it is held or void, also where the venue's ids start again."""

from __future__ import annotations

import numpy as np
import pytest

from trading_platform.completeness.missing_ids import IdAccount, Voids
from trading_platform.completeness.records import SequenceRow


def row(epoch: int, from_id: int, head: int, tail: str = "live") -> SequenceRow:
    return SequenceRow("binance", "BTC-USDT", epoch, from_id, head, tail)  # type: ignore[arg-type]


def test_voids_are_counted_as_a_naive_loop_says() -> None:
    """The count of void ids in any range equals a count by hand."""
    ranges = [(3, 4), (9, 9), (12, 20)]
    ids = {number for first, last in ranges for number in range(first, last + 1)}
    first, last = (grid.ravel() for grid in np.meshgrid(np.arange(0, 24), np.arange(0, 24)))
    counted = Voids(ranges).count(first, last).tolist()
    assert counted == [len(ids & set(range(a, b + 1))) for a, b in zip(first.tolist(), last.tolist(), strict=True)]


@pytest.mark.parametrize(("low", "high", "missing"), [(10, 11, False), (10, 12, True), (10, 14, False), (10, 15, True)])
def test_void_ids_are_not_missing(low: int, high: int, missing: bool) -> None:
    """A hole that is void through and through hides no trade; one id more and it may."""
    account = IdAccount.of([row(0, 1, 20)], {0: [(11, 11), (12, 13)] if high != 12 else []})
    assert account.missing((0, low), (0, high)) is missing


@pytest.mark.parametrize("tail", ["closed", "open"])
def test_nothing_is_proved_between_two_numberings(tail: str) -> None:
    """However far the old numbering is held, and the new one from its start, between the two a trade may be missing."""
    account = IdAccount.of([row(0, 1, 100, tail), row(1, 1, 50)], {0: [(100, 100)], 1: []})
    assert account.missing((0, 99), (1, 1)) is True
    assert account.missing((0, 99), (2, 1)) is True
    assert account.missing((1, 1), (1, 2)) is False
    epochs, ids = np.array([0, 0, 1, 1]), np.array([99, 101, 1, 2])
    assert account.missing_between(epochs, ids).tolist() == [False, True, False]


def test_what_lies_within_is_told_by_epoch() -> None:
    """Voids and ends of epochs between two keys are those a day's bars depend on."""
    account = IdAccount.of([row(0, 1, 100, "closed"), row(1, 1, 50)], {0: [(5, 9)], 1: [(3, 3), (40, 45)]})
    assert list(account.voids_within((0, 7), (1, 41))) == [(0, 7, 9), (1, 3, 3), (1, 40, 41)]
    assert account.resets_within((0, 7), (1, 41)) == [0]
    assert account.resets_within((1, 1), (1, 41)) == []

"""Wrong frames, read many at a time and one by one: the same trades, the same account, the same kept apart."""

from __future__ import annotations

import pytest

from tests.support.fuzz.frames import both_ways, corpus, fuzz
from tests.support.fuzz.harness import MOST_GROWTH, Mutator, values
from trading_platform.ingest.decoder import trade_scanner

COUNT = 100_000


@pytest.mark.timeout(600)
def test_many_at_a_time_is_one_by_one() -> None:
    """To the last bit of every column; and peeking tells of a frame that is taken no other id."""
    found = fuzz(COUNT, 2, both_ways)
    print(found)
    assert found["frames read both ways"] == COUNT
    assert found["most growth"] <= MOST_GROWTH


def test_a_scanner_of_another_mind_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: with the powers of ten off by one the two ways differ."""
    monkeypatch.setattr(trade_scanner, "FLOAT_TENS", trade_scanner.FLOAT_TENS * 10)
    with pytest.raises((AssertionError, KeyError)):  # a scanned trade may also be of no frame at all
        both_ways(Mutator(corpus(), values, 1).make(2000))

"""Wrong answers of REST, and wrong bytes in the log: kept apart row by row, noticed record by record, never served."""

from __future__ import annotations

import pytest

from tests.support.fuzz import pages as fuzz_pages
from tests.support.fuzz.harness import MOST_GROWTH
from tests.support.fuzz.segments import Fuzzer, fuzz
from trading_platform.store.log import segment_format
from trading_platform.venues.binance.history import BinanceHistory

PAGES, SEGMENTS = 20_000, 40_000


@pytest.mark.timeout(600)
def test_wrong_pages_are_read_row_by_row() -> None:
    """Good rows are what a strict reader finds, bad ones are told with their bytes, all else is a FrameError."""
    fuzz_pages.sound()
    found = fuzz_pages.fuzz(PAGES, 3)
    print(found)
    assert found["pages"] + found["others"] == PAGES
    assert found["rows kept"] > PAGES // 4
    assert found["rows refused"] > PAGES // 20
    assert found["most growth"] <= MOST_GROWTH


def test_a_reader_that_drops_bad_rows_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge of pages can fail: a reader that says nothing of a bad row does not pass."""
    whole = BinanceHistory.read
    monkeypatch.setattr(BinanceHistory, "read", lambda *told: whole(*told)._replace(refused=[]))
    with pytest.raises(AssertionError):
        fuzz_pages.fuzz(2000, 3)


@pytest.mark.timeout(600)
def test_wrong_bytes_of_the_log_are_never_served() -> None:
    """Open and sealed segments, marks, whole lanes, and records that lie under a right checksum."""
    found = fuzz(SEGMENTS, 4)
    print(found)
    assert found["open segments"] + found["sealed segments"] + found["liars"] == SEGMENTS
    assert found["records served"] > SEGMENTS // 2
    assert found["whole lanes"] > SEGMENTS // 400
    assert found["most growth"] <= MOST_GROWTH


class _Whatever(int):
    """A checksum that equals every other."""

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


def test_a_reader_without_checksums_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge of segments can fail: a reader that believes every record does not pass."""
    fuzzer = Fuzzer(4)
    monkeypatch.setattr(segment_format, "_extend", lambda seed, body: _Whatever(0))
    with pytest.raises(AssertionError):
        fuzzer.batch(0, 2000)

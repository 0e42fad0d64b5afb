"""Attempts to connect outlive the process that made them, for as long as they count."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from trading_platform.ingest.rate_limits.connect_history import ConnectHistory
from trading_platform.ingest.rate_limits.connect_policy import Address, ConnectLimits

S = 10**9


def test_what_one_notes_the_next_recalls(tmp_path: Path) -> None:
    """Ages come back the oldest first, from several writers; what is older than the window does not count."""
    path = tmp_path / "connects"
    for at in (10, 400, 500):
        ConnectHistory(path, 300.0).note(at * S)
    assert ConnectHistory(path, 300.0).recall(600 * S) == [200 * S, 100 * S]
    assert ConnectHistory(tmp_path / "none", 300.0).recall(600 * S) == []


def test_a_clock_set_back_counts_as_now_and_no_longer_than_the_window(tmp_path: Path) -> None:
    """An attempt a little ahead of the clock was made now; one far ahead would count for ever and does not."""
    book = ConnectHistory(tmp_path / "connects", 300.0)
    book.note(1000 * S)
    assert book.recall(900 * S) == [0]
    assert book.recall(600 * S) == []


def test_a_torn_or_long_file_is_written_anew(tmp_path: Path) -> None:
    """Half a time at the end is dropped; a file of many attempts shrinks to those that count."""
    path = tmp_path / "connects"
    book = ConnectHistory(path, 300.0)
    for at in range(5000):
        book.note(at * S)
    assert len(book.recall(5000 * S)) == 299
    assert path.stat().st_size == 299 * 12
    path.write_bytes(path.read_bytes() + b"abc")
    assert len(book.recall(5000 * S)) == 299
    book.note(5000 * S)
    assert book.recall(5000 * S)[-1] == 0


def test_a_full_disk_keeps_nobody_from_connecting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be written down is said, and that is all."""
    ConnectHistory(tmp_path, 300.0).note(1)


@given(st.integers(0, 2**32), st.lists(st.integers(1, 40), max_size=20))
def test_no_window_holds_more_however_often_it_is_killed(seed: int, lives: list[int]) -> None:
    """Each life connects as often as it may until it dies; the next one knows, and no window holds too many."""
    limits = ConnectLimits(connects=10, connects_window_s=60.0)
    rng = random.Random(seed)
    now, attempts = 0, []
    for connects in lives:
        now += rng.randrange(5 * S)
        address = Address(limits, rng)
        address.recall([now - at for at in attempts if now - at < 60 * S], now)
        for _ in range(connects):
            now = address.ready_ns(now)
            address.connecting(now)
            attempts.append(now)
    for at in attempts:
        assert sum(at <= other < at + 60 * S for other in attempts) <= 10

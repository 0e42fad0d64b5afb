"""Stretches of time: proved between held trades, open or lost around missing ids."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.builders.fakes import DAY, NOON, Copy, MemoryLedger, ticks
from trading_platform.completeness.records import DayRow, SequenceRow, SequenceState
from trading_platform.domain.id_ranges import IdRanges
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import pass_all
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import coverage, publish as lake, staging

SECOND = 10**9
NEXT = "2024-08-09"
DAY_S = 86_400


class Account:
    """A ledger that holds exactly the given ids, at one second each from noon."""

    def __init__(self, data, held, *, lost=(), void=(), tail="closed"):
        self.held, self.tail = sorted(held), tail
        self.lost, self.void = IdRanges(lost), IdRanges(void)
        ledger = MemoryLedger()
        self._days = []
        for day, offset in ((DAY, 0), (NEXT, DAY_S)):
            ids = [i for i in self.held if offset <= i - 100 < offset + DAY_S // 2]
            if ids:
                table = ticks(Copy(i, ts_event=NOON + (i - 100) * SECOND) for i in ids)
                ends = Position(0, 0), Position(0, 1)
                staging.write_part(data, "binance", "BTC-USDT", day, "live", *ends, table)
                lake.publish(data, Leaf("ticks", "binance", "BTC-USDT", day), ledger=ledger, gate=pass_all)
                self._days.append(DayRow(day, 0, ids[0], ids[-1], len(ids)))

    def text_days(self, venue=None, symbol=None):
        return []

    def sequences(self, venue=None, symbol=None):
        return [SequenceRow("binance", "BTC-USDT", 0, self.held[0], self.held[-1], self.tail)] if self.held else []

    def state(self, venue, symbol, epoch=0):
        stored = IdRanges((number, number) for number in self.held)
        return SequenceState(self.held[0], self.held[-1], stored=stored, void=self.void, unrecoverable=self.lost)

    def days(self, venue, symbol):
        return self._days


@pytest.fixture
def data(tmp_path):
    return DataDir(tmp_path).create()


def rows(data, account, start=None, end=None):
    at = [None if x is None else NOON + x * SECOND for x in (start, end)]
    table = coverage.coverage(data, account, "binance", "BTC-USDT", *at)
    times = [table.column(n).cast("int64").to_pylist() for n in ("ts_from", "ts_to")]
    in_s = [[None if t is None else (t - NOON) / SECOND for t in column] for column in times]
    return [
        (round(a, 3), b if b is None else round(b, 3), s)
        for a, b, s in zip(*in_s, table["state"].to_pylist(), strict=True)
    ]


def test_without_a_gap_all_is_proved(data):
    """From the first held trade to the last everything is proved."""
    assert rows(data, Account(data, range(100, 111))) == [(0, 10, "proved")]


def test_nothing_recorded_has_no_rows(data):
    """A symbol that nobody has recorded has no stretch."""
    assert rows(data, Account(data, [])) == []


def test_a_missing_id_opens_the_stretch_between_its_neighbours(data):
    """Open and lost ids make doubt from the trade before to the trade after; used-up ids none."""
    held = {*range(100, 131)} - {105, 110, 111, 120}
    account = Account(data, held, lost=[(110, 111)], void=[(120, 120)])
    assert rows(data, account) == [
        *((0, 4, "proved"), (4, 6, "open"), (6, 9, "proved"), (9, 12, "lost"), (12, 30, "proved")),
    ]


def test_neighbouring_doubts_take_the_worse(data):
    """Where an open and a lost stretch meet there is no row between them, and what both touch is lost."""
    held = {*range(100, 121)} - {105, 107}
    assert rows(data, Account(data, held, lost=[(107, 107)])) == [
        *((0, 4, "proved"), (4, 6, "open"), (6, 8, "lost"), (8, 20, "proved")),
    ]


def test_the_asked_for_time_clips(data):
    """Rows are clipped to [start, end), and an open tail reaches to its end, or to nobody knows when."""
    account = Account(data, {*range(100, 121)} - {105}, tail="open")
    assert rows(data, account, 5, 100) == [(5, 6, "open"), (6, 20, "proved"), (20, 100, "open")]
    assert rows(data, account)[-1] == (20, None, "open")
    assert rows(data, account, 200, 300) == [(200, 300, "open")]
    assert rows(data, account, -50, 0) == []


def test_a_gap_across_midnight_spans_both_days(data):
    """A gap between two days reaches from the last trade of one to the first of the next."""
    held = {*range(100, 110), *range(100 + DAY_S, 110 + DAY_S)}
    assert rows(data, Account(data, held)) == [
        *((0, 9, "proved"), (9, DAY_S, "open"), (DAY_S, DAY_S + 9, "proved")),
    ]


def test_painting_agrees_with_asking_every_instant():
    """For random doubts every instant has the worst state of those that cover it."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        doubts = [
            ((int(a), int(a + w)), state)
            for a, w, state in zip(
                rng.integers(-5, 40, 6), rng.integers(1, 9, 6), rng.choice(["open", "lost"], 6), strict=True
            )
        ]
        painted = coverage._paint((0, 30), doubts)
        assert all(a[1] == b[0] and a[2] != b[2] for a, b in zip(painted, painted[1:], strict=False))
        for t in range(30):
            states = {state for (a, b), state in doubts if a <= t < b}
            worst = "lost" if "lost" in states else "open" if states else "proved"
            assert [s for a, b, s in painted if a <= t < b] == [worst]

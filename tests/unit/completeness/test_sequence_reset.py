"""When a venue's ids start again, and what looks like it and is not."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tests.support.judges.naive import numbering as naive
from trading_platform.completeness.records import EpochReset, Reach
from trading_platform.completeness.sequence_reset import (
    HERE,
    SUSPECT,
    Numbering,
    contradicts,
    epoch_of,
    extended,
)
from trading_platform.domain.trades.sequencing import Contiguous
from trading_platform.domain.trades.trade_columns import TradeColumns

MS = 1_000_000
FACTS = Contiguous()
Stream = list[tuple[int, int]]


def trades(stream: Stream, begin: int = 0) -> TradeColumns:
    """Return the columns of trades given as (id, ms), received one ns after the other."""
    ids, times = np.array(stream, np.int64).reshape(-1, 2).T
    rows = len(stream)
    received = np.arange(begin, begin + rows, dtype=np.int64)
    side, source = np.ones(rows, np.int8), np.zeros(rows, np.int8)
    return TradeColumns(ids.copy(), times * MS, received, np.ones(rows), np.ones(rows), side, source)


def judge(stream: Stream, cuts: tuple[int, ...] = ()) -> tuple[list[int], Numbering]:
    """Return the epoch of each trade, and what is remembered; cut into stretches, each with a new process."""
    numbering, told = Numbering(), [SUSPECT] * len(stream)
    for begin, end in zip((0, *cuts), (*cuts, len(stream)), strict=True):
        if begin == end:
            continue
        judged = numbering.judge(trades(stream[begin:end], begin), FACTS)
        told[begin:end] = [numbering.epoch] * (end - begin) if judged.epochs is None else judged.epochs.tolist()
        for epoch, suspect in judged.readmitted:
            assert suspect.segment != HERE
            told[suspect.item] = epoch
        numbering.locate({row: (0, 0, begin + row) for row in range(end - begin)})
        numbering = msgspec.json.decode(msgspec.json.encode(numbering), type=Numbering)
    return told, numbering


def rising(first: int, count: int, ms: int, every: int = 10) -> Stream:
    """Return trades with ids from `first` on, one every few ms."""
    return [(first + n, ms + every * n) for n in range(count)]


OLD = rising(1000, 50, 0)
"""Ids 1000 to 1049, until ms 490."""


@pytest.mark.parametrize("first", [1, 990, 1000, 1020, 1047, 10**12], ids=str)
def test_ids_that_start_again_are_a_new_epoch(first: int) -> None:
    """Wherever a numbering starts again, all its trades are of the next epoch, none of the old one is touched."""
    new = rising(first, 30, 1000)
    told, numbering = judge(OLD + new)
    assert told == [0] * 50 + [1] * 30
    assert numbering.resets == [EpochReset(1049, 490 * MS, first, 1000 * MS, 51)]


@pytest.mark.parametrize("cut", range(48, 54))
def test_where_a_stretch_ends_does_not_matter(cut: int) -> None:
    """The first trade of a numbering counts although a stretch, and a process, ends right behind it."""
    told, numbering = judge(OLD + rising(1, 30, 1000), (cut,))
    assert told == [0] * 50 + [1] * 30
    assert numbering.head == 30


@pytest.mark.parametrize("stray", [1, 990, 1020, 3_000_000, 10**12], ids=str)
def test_one_stray_id_begins_nothing(stray: int) -> None:
    """A single trade with an impossible id is set apart, and the numbering goes on."""
    told, numbering = judge([*OLD, (stray, 495), *rising(1050, 20, 500)])
    assert told == [0] * 50 + [SUSPECT] + [0] * 20
    assert (numbering.epoch, numbering.head, numbering.suspects) == (0, 1069, [])


def test_a_stray_id_delivered_twice_begins_nothing() -> None:
    """Two connections may bring the same stray trade: it confirms nothing."""
    told, _ = judge([*OLD, (1, 495), (1, 495), *rising(1050, 5, 500)])
    assert told == [0] * 50 + [SUSPECT] * 2 + [0] * 5


def test_a_stray_id_a_little_ahead_is_a_gap_that_fills() -> None:
    """An id a few thousand ahead counts; what follows is the numbering going on, not a new one."""
    told, numbering = judge([*OLD, (6000, 495), *rising(1050, 20, 500)])
    assert told == [0] * 71
    assert numbering.head == 6000


def test_a_real_jump_counts_once_two_trades_show_it() -> None:
    """Three million ids left out are a gap, if two trades lie behind it."""
    told, numbering = judge(OLD + rising(3_000_000, 5, 500))
    assert told == [0] * 55
    assert (numbering.epoch, numbering.hole) == (0, (1050, 2_999_999))


def test_a_month_away_is_no_new_numbering() -> None:
    """The longer nobody listened, the further ahead an id may be."""
    told, _ = judge(OLD + rising(10**10, 5, 30 * 86_400_000))
    assert told == [0] * 55


@pytest.mark.parametrize(
    "echo",
    [OLD, OLD[::-1], OLD[-1:] * 3, [(1003, 30), (1049, 490), (1048, 480)], [(900, 0), (901, 0)]],
    ids=["history", "backwards", "the newest again", "disorder", "older than the first"],
)
def test_what_is_old_is_of_the_old_numbering(echo: Stream) -> None:
    """Repeats, history and disorder bear old times: they are no new numbering, before a reset nor after it."""
    told, _ = judge(OLD + echo + rising(1050, 3, 500))
    assert set(told) == {0}
    told, _ = judge(OLD + rising(1, 5, 1000) + echo + rising(6, 5, 1100))
    assert told == [0] * 50 + [1] * 5 + [0] * len(echo) + [1] * 5


def test_lost_frames_at_the_reset() -> None:
    """A new numbering is known by two of its trades, though some between them are lost or out of order."""
    told, numbering = judge([*OLD, (9, 1080), (3, 1020), (10, 1090)])
    assert told == [0] * 50 + [1] * 3
    assert (numbering.resets[0].first_id, numbering.hole) == (3, (4, 8))


def test_a_reset_within_a_millisecond() -> None:
    """Trades of the new numbering in the very ms of the old one's last are part of what it undertakes."""
    told, numbering = judge([*OLD, (1020, 490), (1021, 490), (1022, 495), (1023, 496)])
    assert told == [0] * 52 + [1] * 2
    assert numbering.resets[0].first_id == 1020


def test_two_resets() -> None:
    """Ids may start again more than once."""
    told, numbering = judge(OLD + rising(1, 30, 1000) + rising(1, 30, 2000) + OLD[:2] + rising(4, 1, 1030))
    assert told == [0] * 50 + [1] * 30 + [2] * 30 + [0] * 2 + [1]
    assert numbering.epoch == 2


def test_voids_are_judged_too() -> None:
    """An id that was used up without a trade is believed where a trade would be."""
    _, numbering = judge(OLD + rising(1, 5, 1000))
    assert [numbering.believes(number, ms * MS, FACTS) for number, ms in [(6, 1050), (1050, 495), (10**12, 1060)]] == [
        1,
        0,
        SUSPECT,
    ]


def test_epoch_of_other_copies() -> None:
    """A page's trade belongs to the numbering of its time, and between two to the one whose ids are near."""
    resets = judge(OLD + rising(500, 5, 1000))[1].resets
    wanted = {(1049, 490): 0, (1060, 700): 0, (499, 700): 1, (1060, 1001): 1, (500, 1000): 1, (5, 300): 0}
    assert {key: epoch_of(resets, key[0], key[1] * MS) for key in wanted} == wanted


def test_what_is_held_contradicts() -> None:
    """What is held says which trades cannot be of the same numbering."""
    held = Reach(100, 200, 5 * MS, 90 * MS)
    odd = [(50, 20), (150, 95), (10**9, 91)]
    fine = [(50, 5), (150, 92), (201, 95), (10**7, 91)]
    assert all(contradicts(held, number, ms * MS, FACTS) for number, ms in odd)
    assert all(
        contradicts(held, number, ms * MS, FACTS, asked=True) for number, ms in [(50, 91), (150, 95), (10**9, 91)]
    )
    assert not any(contradicts(held, number, ms * MS, FACTS, asked=True) for number, ms in [(50, 90), (50, 20), *fine])
    assert not any(contradicts(held, number, ms * MS, FACTS) for number, ms in fine)
    assert extended(held, 300, 99 * MS) == Reach(100, 300, 5 * MS, 99 * MS)
    assert extended(None, 7, 5) == Reach(7, 7, 5, 5)


def test_a_lane_that_remembers_nothing_begins_with_what_is_on_record() -> None:
    """A reset before a lane's first trade is found out by what is held from other lanes."""
    numbering = Numbering.after([], Reach(1000, 1049, 0, 490 * MS))
    judged = numbering.judge(trades(rising(1, 3, 1000)), FACTS)
    assert judged.epochs is not None and judged.epochs.tolist() == [1, 1, 1]
    assert Numbering.after([], None).head is None


def test_the_rule_has_teeth() -> None:
    """Negative control: a rule that never sets anything apart differs from the naive twin at the first reset."""
    assert naive.epochs(OLD + rising(1, 3, 1000)) != [0] * 53


def test_how_far_is_far_is_the_venues_fact() -> None:
    """The same ids are a gap for one venue and a new start for another; so are times that disagree."""
    jump = rising(1049 + 3000, 5, 500)
    for facts, epochs in ((FACTS, 1), (Contiguous(stray_ahead=100, reset_ahead=1000, fastest=1), 2)):
        numbering = Numbering()
        for part in (OLD, jump):
            numbering.judge(trades(part), facts)
        assert numbering.epoch + 1 == epochs
    held = Reach(100, 200, 5 * MS, 9 * MS)
    assert [contradicts(held, 150, 14 * MS, Contiguous(disorder_ms=ms)) for ms in (2, 5)] == [True, False]

"""Properties of the merge: whatever the order and grouping, one row per trade, the same as the naive twin's."""

from __future__ import annotations

import itertools
import json
import random

import pyarrow as pa
from hypothesis import example, given, settings, strategies as st

from tests.support.builders.fakes import NOON, Copy, copies, ticks
from tests.support.judges.naive import merge as naive
from trading_platform.domain.position import Position
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import merge, merge_slices as slices, staging
from trading_platform.store.lake.schema import TICKS

OFFSETS = (0, 1_000_000, 234_000_000, 234_566_900, 234_567_000, 234_999_000, 234_567_891, 235_000_000)
TIMES = [NOON + offset for offset in OFFSETS]

COPIES = st.lists(
    st.builds(
        Copy,
        trade_id=st.integers(1, 3),
        ts_event=st.sampled_from(TIMES),
        ts_recv=st.integers(NOON, NOON + 3),
        source=st.sampled_from(["ws", "rest", "archive"]),
        price=st.sampled_from([1.5, 2.5]),
        quantity=st.sampled_from([1.0, 2.0]),
        side=st.sampled_from(["buy", "sell", None]),
        epoch=st.integers(0, 1),
        trade_uid=st.none(),
    ),
    min_size=1,
    max_size=14,
)
SAME_TERMS = st.lists(
    st.builds(
        Copy,
        trade_id=st.just(7),
        ts_event=st.sampled_from(TIMES),
        ts_recv=st.integers(NOON, NOON + 6),
        source=st.sampled_from(["ws", "archive"]),
        price=st.sampled_from([1.5, 1.5, 1.5, 2.5]),
        quantity=st.just(1.0),
        side=st.just("buy"),
        epoch=st.just(0),
        trade_uid=st.none(),
    ),
    min_size=1,
    max_size=8,
)


def publish(state: tuple[pa.Table, pa.Table], part: list[Copy]) -> merge.Merged:
    """Merge a part into what was published and remembered, as the lake does."""
    rows, remembered = state
    both = [merge.mark(rows, merge.PUBLISHED), merge.mark(remembered, merge.REMEMBERED)]
    return merge.merge(pa.concat_tables([merge.mark(ticks(part), merge.NEW), *both]))


def in_groups(parts: list[list[Copy]]) -> tuple[pa.Table, set[tuple[object, ...]]]:
    """Publish after every part; return the rows, and the disputes told in the last publish."""
    state, told = (TICKS.empty_table(), TICKS.empty_table()), set()
    for part in parts:
        merged = publish(state, part)
        state = merged.rows, merged.remembered
        told = {
            (d.epoch, d.trade_id, p["ts_event"], p["price"], p["quantity"], p["side"])
            for d in merged.disputes
            for p in [json.loads(d.other)]
        }
    return state[0], told


def cut(items: list[Copy], borders: set[int]) -> list[list[Copy]]:
    at = [0, *sorted(b for b in borders if b < len(items)), len(items)]
    return [items[a:b] for a, b in itertools.pairwise(at)]


@given(copies_=COPIES | SAME_TERMS, order=st.randoms(use_true_random=False), borders=st.sets(st.integers(1, 13)))
@example(
    copies_=[
        Copy(7, ts_event=TIMES[2], ts_recv=NOON),
        Copy(7, ts_event=TIMES[5], ts_recv=NOON + 2),
        Copy(7, ts_event=TIMES[4], ts_recv=NOON + 1),
    ],
    order=random.Random(0),
    borders={2},
)
def test_merge_is_associative(copies_, order, borders):
    """Copies published in any order and grouping give the rows that the naive twin makes of the whole set."""
    rows, disputes = naive.publish(copies_)
    shuffled = list(copies_)
    order.shuffle(shuffled)
    for arrival in (copies_, shuffled):
        merged, told = in_groups(cut(arrival, borders))
        assert copies(merged) == rows
        assert told <= disputes
    assert in_groups([shuffled])[1] == disputes


@given(copies_=COPIES)
def test_merge_is_idempotent(copies_):
    """Publishing everything again changes no row."""
    once = in_groups([copies_])[0]
    assert in_groups([copies_, copies_, copies_[:3]])[0].equals(once)


@given(copies_=COPIES)
def test_remembering_survives_a_stop_before_the_rename(copies_):
    """If the remembered copies are already new and the rows still old, publishing again gives the same rows."""
    half = len(copies_) // 2
    old = publish((TICKS.empty_table(), TICKS.empty_table()), copies_[:half])
    stopped = publish((old.rows, old.remembered), copies_[half:])
    again = publish((old.rows, stopped.remembered), copies_[half:])
    assert again.rows.equals(stopped.rows)
    late = [c._replace(ts_recv=c.ts_recv - 5, ts_event=TIMES[2]) for c in copies_]
    assert copies(publish((again.rows, again.remembered), late).rows) == naive.publish(copies_ + late)[0]


@settings(max_examples=20)  # each writes files and syncs them
@given(
    parts=st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=60), min_size=1, max_size=8),
    rows=st.integers(1, 200),
)
def test_slices_hold_everything_once_and_in_order(tmp_path_factory, parts, rows):
    """Whatever the size of slices, a key's copies are in one slice and slices ascend."""
    data = DataDir(tmp_path_factory.mktemp("slices")).create()
    for at, part in enumerate(parts):
        table = ticks(Copy(i % 300, epoch=i // 300) for i in part)
        staging.write_part(
            data, "binance", "BTC-USDT", "2024-08-08", "live", Position(0, at), Position(0, at + 1), table
        )
    sources = [slices.Source(p) for p in staging.parts_of(data, Leaf("ticks", "binance", "BTC-USDT", "2024-08-08"))]
    seen = [copies(t.drop_columns([merge.ORIGIN])) for t in slices.slices(sources, rows=rows)]
    keys = [[(c.epoch, c.trade_id) for c in part] for part in seen]
    assert sorted(k for part in keys for k in part) == sorted((i // 300, i % 300) for part in parts for i in part)
    assert all(max(a) < min(b) for a, b in itertools.pairwise(keys))


def test_without_remembered_copies_the_order_would_show():
    """Forgetting what was remembered makes the winner's time depend on what arrived first: the reason for it."""
    coarse, early, late = (
        Copy(7, ts_event=TIMES[2], ts_recv=NOON),
        Copy(7, ts_event=TIMES[4], ts_recv=NOON + 1),
        Copy(7, ts_event=TIMES[5], ts_recv=NOON + 2),
    )
    forgetful = []
    for order in ([coarse, late, early], [coarse, early, late]):
        rows = TICKS.empty_table()
        for copy in order:
            rows = publish((rows, TICKS.empty_table()), [copy]).rows
        forgetful.append(copies(rows))
    assert forgetful[0] != forgetful[1]

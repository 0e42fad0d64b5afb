"""Stored bars are what the contract says, whatever is missing, void or empty."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings, strategies as st

from quality.schemas import GATES
from tests.support.builders.lakes import SYMBOL, VENUE, Market, Trades, ticks_table
from tests.support.judges.naive.stored_bars import DAY, Bar, Held, stored_bars, touched
from trading_platform.completeness.records import LeafRecord, SequenceRow, TextDay
from trading_platform.domain.days import day_of, day_start
from trading_platform.domain.timeframe import timeframe_ns
from trading_platform.pipeline.bar_rows import day_bars, trades_of
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.pipeline.tick_days import Chain
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake

HOUR = 3600 * 10**9
START = 19_900 * DAY
FRAMES = ("1h", "4h", "1d")
Ranges = list[tuple[int, int]]


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[Held], Ranges]:
    """Draw held trades whose time never falls, with ids left out, some of them void."""
    pauses = st.sampled_from([0, 1, 60 * 10**9, HOUR, 3 * HOUR, 20 * HOUR, 30 * HOUR, 60 * HOUR])
    ts, trade_id, held, voids = START + draw(st.integers(0, 23)) * HOUR, 100, [], []
    for pause in draw(st.lists(pauses, min_size=2, max_size=30)):
        ts += pause
        price, quantity = draw(st.sampled_from(["0.1", "61837.63", "3"])), draw(st.sampled_from(["0.00001", "7"]))
        held.append(Held(trade_id, ts, price, quantity, draw(st.sampled_from([True, True, False, False, None]))))
        skipped = draw(st.sampled_from([0, 0, 0, 1, 3]))
        if skipped and draw(st.booleans()):
            voids.append((trade_id + 1, trade_id + draw(st.integers(1, skipped))))
        trade_id += 1 + skipped
    return held, [pair for pair in voids if pair[1] < held[-1].trade_id]


@given(markets(), st.sampled_from([100, 98]), st.sampled_from([[], [(98, 98)], [(97, 99)]]))
def test_bars_are_those_of_the_contract(market: tuple[list[Held], Ranges], begin: int, first: Ranges) -> None:
    """Days, rows, sums, prices and `complete` equal a naive reading of the contract, wherever our promise begins."""
    held, voids = market
    by_day, voids = _by_day(held), [*first, *voids]
    chain = Chain.load(DataDir(Path("nowhere")), _Book(by_day, voids, begin), VENUE, SYMBOL)
    for frame in FRAMES:
        found = {day: _rows(_bars(chain, day, by_day.get(day, []), frame)) for day in chain.days}
        expected = stored_bars(held, _each(voids), timeframe_ns(frame), begin)
        assert found == {day_of(day * DAY): rows for day, rows in expected.items()}


@settings(max_examples=8)
@given(markets())
def test_the_lake_holds_these_bars(market: tuple[list[Held], Ranges]) -> None:
    """The same is in the files, and there is no file more."""
    held, voids = market
    held = held[:8]
    voids = [pair for pair in voids if pair[1] < held[-1].trade_id]
    with tempfile.TemporaryDirectory() as root:
        there = Market.open(Path(root))
        there.hold(_trades(held), voids=voids)
        pipeline = Pipeline(there.data, there.ledger, gates=GATES, timeframes=["4h"])
        assert all(done.ok for done in pipeline.refresh_range(["bars"], day_of(held[0].ts), day_of(held[-1].ts)))
        leaves = lake.leaves(there.data, "bars", venue=VENUE, symbol=SYMBOL)
        expected = stored_bars(held, _each(voids), timeframe_ns("4h"), held[0].trade_id)
        assert {leaf.day: _rows(lake.read_leaf(there.data, leaf)) for leaf in leaves} == {
            day_of(day * DAY): rows for day, rows in expected.items()
        }
        there.ledger.close()


@settings(max_examples=15)
@given(st.permutations(range(12)), st.sets(st.integers(1, 10), max_size=3), st.sampled_from([6, 12, 23]))
def test_times_that_fall_with_the_id_make_doubt_wider(order: list[int], lost: set[int], from_hour: int) -> None:
    """Where ids and times disagree, also across midnight, doubt reaches over both; and never less far."""
    ids = [100 + k for k in range(12) if k not in lost]
    times = [START + from_hour * HOUR + order[k] * HOUR // 4 for k in range(12) if k not in lost]
    held = [Held(i, ts, "1", "1", buy=True) for i, ts in zip(ids, times, strict=True)]
    missing = [100 + k for k in lost]
    width = timeframe_ns("15m")
    with tempfile.TemporaryDirectory() as root:
        there = Market.open(Path(root))
        there.hold(_trades(held))
        chain = Chain.load(there.data, there.ledger, VENUE, SYMBOL)
        for day in chain.days:
            bars = _bars(chain, day, _by_day(held).get(day, []), "15m")
            complete = {row.ts_open for row in _rows(bars) if row.complete}
            doubtful = {row.ts_open for row in _rows(bars) if not row.complete}
            grid = range(day_start(day), day_start(day) + DAY, width)
            expected = {at for at in grid if touched(held, missing, at, at + width)}
            oldest, newest = (end // width * width for end in (min(times), max(times)))
            assert doubtful == {at for at in expected if oldest <= at <= newest}
            assert complete == {ts // width * width for ts in times if day_of(ts) == day} - doubtful
        there.ledger.close()


class _Book:
    """A ledger of one symbol, in memory."""

    def __init__(self, by_day: dict[str, list[Held]], voids: Ranges, begin: int) -> None:
        self._by_day, self._voids, self._begin = by_day, voids, begin

    def leaves(
        self,
        dataset: str,
        venue: str | None = None,
        symbol: str | None = None,
        day: str | None = None,
        timeframe: str | None = None,
    ) -> dict[Leaf, LeafRecord]:
        return {
            Leaf(dataset, VENUE, SYMBOL, day): LeafRecord(
                len(held), "hash", "sha", first_id=held[0].trade_id, last_id=held[-1].trade_id
            )
            for day, held in self._by_day.items()
        }

    def sequences(self, venue: str | None = None, symbol: str | None = None) -> list[SequenceRow]:
        return [SequenceRow(VENUE, SYMBOL, 0, self._begin, 0, "live")]

    def voids(self, venue: str, symbol: str, epoch: int = 0) -> Ranges:
        return self._voids

    def text_days(self, venue: str | None = None, symbol: str | None = None) -> list[TextDay]:
        return []


def _bars(chain: Chain, day: str, held: list[Held], frame: str) -> pa.Table:
    ticks = ticks_table(_trades(held))
    facts = chain.facts(day)
    spans = chain.uncertain(day, facts, ticks)
    return day_bars(trades_of(ticks), spans, day=day, timeframe=frame, running=facts.running, proof="ids")


def _by_day(held: list[Held]) -> dict[str, list[Held]]:
    days = defaultdict(list)
    for trade in held:
        days[day_of(trade.ts)].append(trade)
    return dict(days)


def _each(ranges: Ranges) -> list[int]:
    return [number for first, last in ranges for number in range(first, last + 1)]


def _trades(held: list[Held]) -> Trades:
    return Trades(
        np.array([t.trade_id for t in held], np.int64),
        np.array([t.ts for t in held], np.int64),
        np.array([float(t.price) for t in held]),
        np.array([float(t.quantity) for t in held]),
        np.array([t.buy for t in held], np.object_),
    )


def _rows(table: pa.Table | None) -> list[Bar]:
    assert table is not None
    table = table.set_column(0, "ts_open", table["ts_open"].cast(pa.int64()))
    return [Bar(**{name: row[name] for name in Bar._fields}) for row in table.to_pylist()]

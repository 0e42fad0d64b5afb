"""Which days have bars, and what decides them besides their own trades."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.builders.lakes import SYMBOL, VENUE, Market, Trades, at, ticks_table
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.days import day_start
from trading_platform.domain.position import Position
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.pipeline.tick_days import Chain
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake import publish as lake, staging
from trading_platform.store.lake.schema import TICKS

HOUR = 3600 * 10**9
D1, D2, D3, D4 = (f"2024-08-0{number}" for number in range(1, 5))


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    there = Market.open(tmp_path)
    yield there
    there.ledger.close()


def chain(market: Market) -> Chain:
    return Chain.load(market.data, market.ledger, VENUE, SYMBOL)


def on(*pairs: tuple[int, str, int]) -> Trades:
    """Make trades of (id, day, hour)."""
    return at(*((number, day_start(day) + hour * HOUR) for number, day, hour in pairs))


def test_nothing_held_has_no_day(market: Market) -> None:
    """A symbol without a trade has no days, and asking around is no error."""
    empty = chain(market)
    assert (empty.days, empty.previous(D1), empty.next(D1), empty.has(D1)) == ([], None, None, False)


def test_a_quiet_day_is_passed_over_unless_a_gap_lies_across(market: Market) -> None:
    """Days without a trade exist exactly if an id is missing between the days around them."""
    market.hold(on((1, D1, 5), (2, D4, 5)))
    assert chain(market).days == [D1, D4]
    market.hold(on((4, "2024-08-08", 5)))
    assert chain(market).days == [D1, *(f"2024-08-0{day}" for day in range(4, 9))]
    market.declare_void((3, 3))
    assert chain(market).days == [D1, D4, "2024-08-08"]


def test_facts_change_only_where_something_changes(market: Market) -> None:
    """A trade more at the end changes nothing but its own day and the one that was running."""
    market.hold(on((1, D1, 1), (2, D1, 2), (3, D2, 1), (4, D3, 1)))
    before = {day: chain(market).facts(day) for day in (D1, D2, D3)}
    market.hold(on((6, D4, 1)))
    after = {day: chain(market).facts(day) for day in (D1, D2, D3)}
    assert after[D1] == before[D1]
    assert after[D2] == before[D2]
    assert before[D3].running
    assert not after[D3].running
    assert after[D3].missing_after


def test_rows_begin_with_the_first_trade_that_we_undertook(market: Market) -> None:
    """Before it nothing is promised, so nothing is shown; the interval that it lies in is not complete."""
    market.hold(on((7, D1, 5), (8, D1, 7), (9, D2, 1)))
    pipeline = Pipeline(market.data, market.ledger, gates=dict.fromkeys(DATASETS, market.gate), timeframes=["1h"])
    pipeline.refresh_range(["bars", "indicators", "regimes"], D1, D2)
    assert shown(market, D1) == [5, 7]
    assert doubtful(market, D1) == [5]
    assert shown(market, D2) == doubtful(market, D2) == [1]
    for leaf in (Leaf("indicators", VENUE, SYMBOL, D1, "1h"), Leaf("regimes", VENUE, SYMBOL, D1, "1h", "gaussian_hmm")):
        table = lake.read_leaf(market.data, leaf)
        assert table is not None
        assert table.num_rows == 2


def test_a_promise_that_begins_earlier_shows_what_it_lacks(market: Market) -> None:
    """Once ids before the first trade are promised the day's rows begin at 00:00; once they are void, no longer."""
    market.hold(on((7, D1, 5), (8, D1, 7)))
    pipeline = Pipeline(market.data, market.ledger, gates={"bars": market.gate}, timeframes=["1h"])
    pipeline.refresh("bars", D1)
    assert shown(market, D1) == [5, 7]
    market.undertake(5)
    assert pipeline.refresh("bars", D1).counts["computed"] == 1
    assert shown(market, D1) == [0, 1, 2, 3, 4, 5, 7]
    assert doubtful(market, D1) == [0, 1, 2, 3, 4, 5, 7]
    market.declare_void((5, 6))
    assert pipeline.refresh("bars", D1).counts["computed"] == 1
    assert shown(market, D1) == [5, 7]


def test_a_promise_that_is_kept_moves_the_beginning(market: Market) -> None:
    """With the promised trades in hand the rows begin with the first of them, on whatever day it is."""
    market.hold(on((7, D2, 5), (8, D2, 7)))
    pipeline = Pipeline(market.data, market.ledger, gates={"bars": market.gate}, timeframes=["1h"])
    pipeline.refresh("bars", D2)
    market.undertake(5)
    market.hold(on((6, D2, 3)))
    pipeline.refresh("bars", D2)
    assert (shown(market, D2), doubtful(market, D2)) == ([0, 1, 2, 3, 5, 7], [0, 1, 2, 3, 7])
    market.hold(on((5, D1, 20)))
    pipeline.refresh_range(["bars"], D1, D2)
    assert (shown(market, D1), doubtful(market, D1)) == ([20], [20])
    assert (shown(market, D2), doubtful(market, D2)) == ([3, 5, 7], [7])


def test_without_ids_rows_begin_with_the_first_trade_too(market: Market) -> None:
    """Where ids prove nothing no bar is complete, and none stands before the first trade."""
    trades = ticks_table(on((1, D1, 5), (2, D1, 7)))
    uids = pa.array(["a", "b"])
    trades = trades.set_column(0, TICKS.field(0), pa.nulls(2, pa.int64())).set_column(1, TICKS.field(1), uids)
    staging.write_part(market.data, VENUE, SYMBOL, D1, "live", Position(0, 0), Position(0, 1), trades)
    lake.publish(market.data, Leaf("ticks", VENUE, SYMBOL, D1), ledger=market.ledger, gate=market.gate)
    Pipeline(market.data, market.ledger, gates={"bars": market.gate}, timeframes=["1h"]).refresh(
        "bars", D1, [(VENUE, SYMBOL)]
    )
    assert shown(market, D1) == doubtful(market, D1) == [5, 6, 7]


def test_numbering_that_starts_again_leaves_doubt(market: Market) -> None:
    """Where ids start again within a day, doubt lies around the reset, whatever is known of the old end."""
    market.hold(on((100, D1, 1), (101, D1, 5)))
    market.hold(on((1, D1, 9), (2, D2, 9)), epoch=1)
    days = chain(market)
    assert days.days == [D1, D2]
    assert not days.facts(D1).missing_after
    pipeline = Pipeline(market.data, market.ledger, gates={"bars": market.gate}, timeframes=["1h"])
    pipeline.refresh("bars", D1)
    assert doubtful(market, D1) == [1, 5, 6, 7, 8, 9]
    market.hold(on((101, D1, 5)), tail="closed", lane="fetch-0")
    pipeline.refresh("bars", D1)
    assert doubtful(market, D1) == [1, 5, 6, 7, 8, 9]


def doubtful(market: Market, day: str) -> list[int]:
    table = lake.read_leaf(market.data, Leaf("bars", VENUE, SYMBOL, day, "1h"))
    assert table is not None
    return [row["ts_open"].hour for row in table.to_pylist() if not row["complete"]]


def shown(market: Market, day: str) -> list[int]:
    table = lake.read_leaf(market.data, Leaf("bars", VENUE, SYMBOL, day, "1h"))
    assert table is not None
    return [row["ts_open"].hour for row in table.to_pylist()]

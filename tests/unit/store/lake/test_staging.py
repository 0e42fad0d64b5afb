"""Parts: named by lane and place, checked when written, listed by leaf."""

from __future__ import annotations

import pytest

from tests.support.builders.fakes import DAY, NOON, Copy, copies, ticks
from trading_platform.domain.errors import SymbolError, UsageError, WorkError
from trading_platform.domain.position import Position
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import parquet, staging

LEAF = Leaf("ticks", "binance", "BTC-USDT", DAY)


@pytest.fixture
def data(tmp_path):
    return DataDir(tmp_path).create()


def write(data, trades, *, lane="live-binance", start=0, end=1, symbol="BTC-USDT", day=DAY):
    return staging.write_part(data, "binance", symbol, day, lane, Position(0, start), Position(0, end), ticks(trades))


def test_a_part_is_written_again_over_itself(data):
    """The same stretch of a lane gives the same name and the same bytes."""
    first = write(data, [Copy(2), Copy(1)])
    before = first.read_bytes()
    assert write(data, [Copy(1), Copy(2)]) == first
    assert first.read_bytes() == before
    assert staging.parts(data) == {LEAF: [first]}
    assert not list(staging.temporary(data).iterdir())


def test_a_part_holds_its_rows_in_the_order_of_ids(data):
    """A part's rows are sorted by epoch and id, whatever order they came in."""
    rows = copies(parquet.read(write(data, [Copy(5), Copy(1, epoch=1), Copy(3)])))
    assert [(c.epoch, c.trade_id) for c in rows] == [(0, 3), (0, 5), (1, 1)]


def test_parts_are_listed_by_leaf(data):
    """Parts are found by venue and symbol, days ascending."""
    day_after = NOON + 86_400 * 10**9
    late = write(data, [Copy(9, ts_event=day_after)], day="2024-08-09")
    early = write(data, [Copy(1)])
    other = write(data, [Copy(1)], symbol="ETH-USDT")
    assert list(staging.parts(data, symbol="BTC-USDT").values()) == [[early], [late]]
    assert list(staging.parts(data, "binance").values()) == [[early], [late], [other]]
    assert staging.parts(data, "kraken") == {}


@pytest.mark.parametrize(
    ("trade", "message"),
    [
        (Copy(1, ts_event=NOON + 86_400 * 10**9), "another day"),
        (Copy(1, side="bought"), "none of buy sell"),
        (Copy(1, source="fax"), "none of ws rest archive"),
        (Copy(1, price=None), "without price"),
    ],
)
def test_a_part_that_is_wrong_is_refused(data, trade, message):
    """A trade of another day, of an unknown side or channel, or without a price never becomes a part."""
    with pytest.raises(WorkError, match=message):
        write(data, [trade])
    assert staging.parts(data) == {}


@pytest.mark.parametrize("name", ["../x", "a/b", "", "A", "a" * 60])
def test_names_from_outside_never_become_paths(data, name):
    """A lane's or symbol's name that is no name is refused before any path is made of it."""
    with pytest.raises(UsageError):
        write(data, [Copy(1)], lane=name)
    with pytest.raises(SymbolError):
        write(data, [Copy(1)], symbol=name)
    assert not (data.staging / "parts").exists()

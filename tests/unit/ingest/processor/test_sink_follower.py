"""A second sink lags, fails and catches up by itself; staging and the account do not notice, and the log waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.builders.platform_in_process import BOUNDS, LANE, SmallPlatform
from trading_platform.completeness.records import SequenceKey
from trading_platform.domain.errors import LockHeld, StorageError, UsageError, WorkError
from trading_platform.domain.position import START, Position
from trading_platform.domain.trades.trade_columns import TradeColumns
from trading_platform.ingest.processor.sink_follower import SinkFollower
from trading_platform.store.ledger import tables as t
from trading_platform.venues import VENUES

NAME = "shelf"
Trade = tuple[str, int]


class Shelf:
    """Keeps trades in a set, so that writing one again changes nothing; may be out of order for a while."""

    def __init__(self, start: Position = START) -> None:
        self.name = NAME
        self.durable: set[Trade] = set()
        self.written: list[Trade] = []
        self.broken = False
        self._pending: list[tuple[Position, list[Trade]]] = [(start, [])]

    def write(self, columns: Mapping[SequenceKey, TradeColumns], position: Position) -> None:
        """Take a batch."""
        if self.broken:
            raise StorageError("the shelf is broken")
        trades = [(key.symbol, int(number)) for key, mine in columns.items() for number in mine.trade_id]
        self.written += trades
        self._pending.append((position, trades))

    def flush(self) -> Position:
        """Put all but the newest batch on the shelf."""
        if self.broken:
            raise StorageError("the shelf is broken")
        while len(self._pending) > 2:
            self._pending.pop(0)
            self.durable |= set(self._pending[0][1])
        return self._pending[0][0]

    def flush_all(self) -> Position:
        """Put everything on it."""
        for _, trades in self._pending:
            self.durable |= set(trades)
        del self._pending[:-1]
        return self._pending[-1][0]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[SmallPlatform]:
    """Eighty-four trades of two symbols in many segments, staged and published."""
    platform = SmallPlatform(tmp_path / "data")
    platform.start()
    for start in range(70, 130, 5):
        platform.record(range(start, start + 5))
        platform.record(range(start, start + 2), venue_symbol="ETHUSDT")
    platform.stop()
    platform.process()
    platform.publish()
    yield platform
    platform.close()


def follower(platform: SmallPlatform, shelf: Shelf) -> SinkFollower:
    return SinkFollower(platform.data, LANE, platform.ledger, VENUES, BOUNDS, shelf, batch_bytes=1500)


def test_a_sink_that_fails_is_waited_for_and_catches_up(platform: SmallPlatform) -> None:
    """It fails for a while, and then holds every trade; staging never waits; the log waits for it."""
    staged, lake = platform.ledger.lane(LANE), platform.lake_bytes()
    shelf = Shelf()
    one = follower(platform, shelf)
    while one.step() and len(shelf.written) < 30:
        one.flush()
    reached, shelf.broken = platform.ledger.sink(LANE, NAME)[0], True
    assert START < reached < staged[0]
    for _ in range(3):
        for act in (one.step, one.flush):
            with pytest.raises(StorageError):
                act()
        assert one.position == reached == platform.ledger.sink(LANE, NAME)[0]
    kept = platform.keep(retention_ns=0)
    assert [number for _, number in kept.retired] == list(range(reached.segment))
    assert kept.objections == [f"{LANE}: segment {reached.segment}: sink {NAME} holds the lane only up to {reached}"]
    assert platform.ledger.lane(LANE) == staged and platform.lake_bytes() == lake

    shelf.broken, shelf.flush = False, shelf.flush_all  # type: ignore[method-assign]
    while one.step():
        one.flush()
    assert one.flush() == staged[0]
    assert sorted(shelf.durable) == sorted(platform.held())
    assert len(shelf.written) > len(set(shelf.written)), "what was not flushed was written again"
    assert platform.keep(retention_ns=0).objections == []
    one.close()


def test_a_killed_sink_goes_on_from_what_it_held(platform: SmallPlatform) -> None:
    """However often the process dies between write and flush, the trades are those of the lake."""
    durable: set[Trade] = set()
    for _ in range(200):
        shelf = Shelf(platform.ledger.sink(LANE, NAME)[0])
        one = follower(platform, shelf)
        steps = [one.step() for _ in range(3)]
        one.flush() if any(steps) else None
        durable |= shelf.durable
        if not steps[1]:
            durable |= set(shelf.written)
            one.close()
            break
        one.close()
    assert sorted(durable) == sorted(platform.held())


def test_a_sink_that_was_never_begun_is_waited_for_until_it_is_forgotten(platform: SmallPlatform) -> None:
    """Not by silence: it goes by name, once, on record; staging cannot go."""
    platform.ledger.add_sink(NAME)
    platform.ledger.add_sink(NAME)
    kept = platform.keep(retention_ns=0)
    assert kept.retired == [] and f"sink {NAME} holds the lane only up to {START}" in kept.objections[0]
    for name in ("staging", "shelve"):
        with pytest.raises(UsageError, match="no sink that can be forgotten; sinks besides staging: shelf"):
            platform.ledger.forget_sink(name, at_ns=1, actor="test")
    platform.ledger.forget_sink(NAME, at_ns=1, actor="test")
    assert platform.ledger.sinks() == ["staging"]
    kept = platform.keep(retention_ns=0)
    assert kept.retired and kept.objections == []
    with platform.ledger.database.reading() as db:
        (row,) = db.execute(t.audit_log.select()).all()
    assert (row.action, row.subject, row.actor) == ("forget sink", NAME, "test")


def test_a_position_that_was_never_given_is_refused(platform: SmallPlatform) -> None:
    """Nothing is remembered of it: there is no knowing what the sink holds."""
    shelf = Shelf()
    one = follower(platform, shelf)
    with pytest.raises(LockHeld):
        follower(platform, shelf)
    assert one.step()
    shelf.flush = lambda: Position(7, 7)  # type: ignore[method-assign]
    with pytest.raises(WorkError, match="was not given live-binance up to 7:7"):
        one.flush()
    assert platform.ledger.sink(LANE, NAME)[0] == START
    one.close()


def test_nothing_is_given_before_the_ledger_accounts_for_it(platform: SmallPlatform) -> None:
    """What is durable and not decoded yet waits, also within a batch."""
    accounted = platform.ledger.lane(LANE)[0]
    platform.start()
    platform.record(range(130, 140))
    platform.stop()
    shelf = Shelf()
    one = follower(platform, shelf)
    while one.step():
        pass
    assert one.position == accounted
    assert {number for symbol, number in shelf.written if symbol == "BTC-USDT"} == set(range(70, 130))
    platform.process()
    while one.step():
        pass
    assert {number for symbol, number in shelf.written if symbol == "BTC-USDT"} == set(range(70, 140))
    one.close()

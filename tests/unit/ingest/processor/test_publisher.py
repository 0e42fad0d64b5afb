"""When the publisher publishes, and when it lets the log be kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.builders.platform_in_process import SmallPlatform
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import Verdict, pass_all
from trading_platform.ingest.processor.publisher import EVERY_S, publish_staged, publish_until
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake import publish as lake, schema, staging
from trading_platform.store.ledger import Ledger


def test_the_log_is_kept_after_each_publish_but_the_last(tmp_path: Path) -> None:
    """Sealing comes behind publishing and never delays the end; the last publish takes what came meanwhile."""
    platform = SmallPlatform(tmp_path)
    platform.start()
    events: list[object] = []
    ids = iter(range(100, 200))

    def wait(seconds: float) -> bool:
        events.append(seconds)
        platform.record([next(ids)])
        platform.process()
        return len(events) > 4

    publish_until(
        platform.data,
        platform.ledger,
        pass_all,
        monotonic=lambda: 0.0,
        wait=wait,
        afterwards=lambda: events.append(len(platform.held())),
    )
    assert events == [EVERY_S, 1, EVERY_S, 2, EVERY_S]
    assert platform.held() == platform.acknowledged
    platform.stop()
    platform.close()


SYMBOLS = [f"{letter}A-USDT" for letter in "ABCDEF"]
DAY = "2024-08-08"


class Shop:
    """A data directory in which each of some symbols has a staged trade; its publisher is stopped after so many."""

    def __init__(self, root: Path) -> None:
        self.data = DataDir(root).create()
        self.ledger = Ledger.open(self.data)
        self.gated = 0
        self.stop_after, self.over_after = 10**9, 10**9
        self.parts = 0

    def stage(self) -> None:
        """Stage one trade more of each symbol."""
        self.parts += 1
        start = 1_723_075_200_000_000_000
        for symbol in SYMBOLS:
            row = {"trade_id": self.parts, "epoch": 0, "ts_event": start, "ts_recv": start, "price": 1.0}
            row |= {"quantity": 1.0, "side": "buy", "source": "ws", "trade_uid": None}
            table = pa.Table.from_pylist([row], schema=schema.TICKS)
            span = Position(0, self.parts), Position(0, self.parts + 1)
            staging.write_part(self.data, "binance", symbol, DAY, "live-binance", *span, table)

    def gate(self, table: pa.Table) -> Verdict:
        """Let all pass, and count."""
        self.gated += 1
        return pass_all(table)

    def publish(self) -> int:
        """Run a publisher until it ends; return how much it left."""
        waits = iter([False])
        return publish_until(
            self.data,
            self.ledger,
            self.gate,
            monotonic=lambda: 0.0,
            wait=lambda seconds: next(waits, True),
            stopping=lambda: self.gated >= self.stop_after,
            over=lambda: self.gated >= self.over_after,
        )

    def held(self) -> list[str]:
        """Return the published symbols."""
        return [leaf.symbol for leaf in lake.leaves(self.data, "ticks")]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path)
    made.stage()
    return made


def test_a_stop_breaks_off_the_round_and_the_last_one_goes_on_from_there(shop: Shop) -> None:
    """Each symbol-day is published once, not some of them twice: a stop of 500 symbols has no time for that."""
    shop.stop_after = 2
    assert shop.publish() == 0
    assert shop.gated == len(SYMBOLS)
    assert shop.held() == SYMBOLS


def test_what_came_meanwhile_of_those_published_before_the_stop_is_published_last(shop: Shop) -> None:
    """The last round begins with those that waited longest."""
    shop.stop_after = 2
    gate: Callable[[pa.Table], Verdict] = shop.gate
    order: list[int] = []

    def counting(table: pa.Table) -> Verdict:
        if shop.gated == 1:
            shop.stage()
        order.append(table.num_rows)
        return gate(table)

    shop.gate = counting  # type: ignore[method-assign]
    assert shop.publish() == 0
    assert order == [1, 1, 2, 2, 2, 2, 2, 2]  # the first two have a row more since, and come last


def test_a_stop_ends_when_its_time_is_over_and_leaves_the_rest_to_the_next_start(
    shop: Shop, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is left is durable in staging and counted; nothing is lost, nothing is there twice."""
    shop.stop_after, shop.over_after = 1, 4
    assert shop.publish() == 2
    assert shop.held() == SYMBOLS[:4]
    assert len(staging.parts(shop.data)) == 2
    shop.stop_after = shop.over_after = 10**9
    assert shop.publish() == 0
    assert shop.held() == SYMBOLS
    assert [lake.read_leaf(shop.data, leaf).num_rows for leaf in lake.leaves(shop.data, "ticks")] == [1] * 6  # type: ignore[union-attr]


def test_an_id_that_holds_no_trade_waits_for_the_round_that_reaches_its_day(shop: Shop) -> None:
    """A round that breaks off settles no withdrawn id of a day that it left."""
    publish_staged(shop.data, shop.ledger, shop.gate, enough=lambda: True)
    assert not shop.held()
    assert len(staging.parts(shop.data)) == len(SYMBOLS)

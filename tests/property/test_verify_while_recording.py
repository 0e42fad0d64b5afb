"""verify while others write: no false alarm wherever a write falls between its reads, and no real one missed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from quality.schemas import GATES
from tests.support.builders.lakes import Market, Trades, made_up, ticks_table
from trading_platform.domain.days import DAY_NS, day_of
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake import leaf_files as files, parquet, publish as lake, schema, staging
from trading_platform.store.ledger import LeafRecord, tables as t
from trading_platform.store.ledger.database import Database
from trading_platform.store.verify import verify_store

DAY, NEXT = "2024-08-08", "2024-08-09"
CHECKED = {"ticks": GATES["ticks"], "bars": pass_all}
PIECE = 30


class Recorder:
    """What an ingest does to a data directory, a small step at a time; of each 10 trades one comes later, refetched."""

    def __init__(self, market: Market, per_day: int = 800) -> None:
        self.market = market
        self.trades = made_up(DAY, 2, per_day)
        self._steps = self._all()

    def go_on(self, steps: int) -> bool:
        """Take some steps; tell whether there are more."""
        if self._steps.gi_running:  # asked for by what it does itself
            return True
        return all(next(self._steps, False) for _ in range(steps))

    def _all(self) -> Generator[bool]:
        number = np.arange(len(self.trades)) // PIECE
        for at in range(int(number[-1]) + 1):
            piece = self.trades.where(number == at)
            dropped = piece.ids % 10 == 7
            for lane, mine in (("live", piece.where(~dropped)), ("fetch-0", piece.where(dropped))):
                yield from self._tell(lane, mine)
            if at % 3 == 1:
                for leaf in sorted(staging.parts(self.market.data, symbol="BTC-USDT")):
                    lake.publish(self.market.data, leaf, ledger=self.market.ledger, gate=CHECKED["ticks"])
                    yield True

    def _tell(self, lane: str, trades: Trades) -> Generator[bool]:
        market = self.market
        market.hold(trades, lane=lane, stage=False)
        yield True
        end = market.ledger.lane(lane)[0]
        write_parts(market, trades, lane, end)
        yield True
        market.ledger.mark_staged(lane, end, "")
        yield True


def write_parts(market: Market, trades: Trades, lane: str, end: Position, symbol: str = "BTC-USDT") -> None:
    """Stage trades by day."""
    days = trades.ts // DAY_NS
    for number in np.unique(days).tolist():
        table = ticks_table(trades.where(days == number))
        start = Position(end.segment, end.offset - 100)
        staging.write_part(market.data, "binance", symbol, day_of(number * DAY_NS), lane, start, end, table)


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    made = Market.open(tmp_path / "data", GATES["ticks"])
    yield made
    made.ledger.close()


def interpose(patch: pytest.MonkeyPatch, act: Callable[[], object]) -> set[str]:
    """Act before each thing that verify reads, of the ledger and of files alike; return the names of what was read.

    Not while a leaf's lock is held: who acts would have to wait for it.
    """
    seen: set[str] = set()
    busy = False

    @contextmanager
    def quiet() -> Iterator[None]:
        nonlocal busy
        busy = True
        try:
            yield
        finally:
            busy = False

    def before(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if not busy:
                seen.add(name)
                with quiet():
                    act()
            return original(*args, **kwargs)

        return wrapped

    locked = files.locked

    @contextmanager
    def locked_quietly(*args: Any, **kwargs: Any) -> Iterator[None]:
        with locked(*args, **kwargs):
            if busy:
                yield
                return
            with quiet():
                yield

    patch.setattr(files, "locked", before("locked", locked_quietly))
    for owner, name in (
        (Database, "reading"),
        (parquet, "read"),
        (lake, "leaves"),
        (lake, "read_leaf"),
        (staging, "parts"),
        (staging, "parts_of"),
    ):
        patch.setattr(owner, name, before(name, getattr(owner, name)))
    return seen


@pytest.mark.parametrize("steps", [1, 6])
def test_a_write_between_any_two_reads_is_no_violation(
    steps: int, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between each two reads recording goes on: trades, gaps, fills, parts and leaves come, parts and gaps go."""
    recorder = Recorder(market)
    recorder.go_on(50)
    with monkeypatch.context() as patch:
        seen = interpose(patch, lambda: recorder.go_on(steps))
        for _ in range(2):
            found = verify_store(market.data, market.ledger, CHECKED, wait=lambda _: recorder.go_on(steps))
            assert found.violations == ()
            assert found.trades
    assert seen >= {"reading", "read", "leaves", "read_leaf", "parts", "parts_of", "locked"}


def test_verify_in_a_loop_beside_a_recorder(market: Market) -> None:
    """However the two fall together, nothing is violated, and at the end everything is there."""
    recorder = Recorder(market, 400)
    recorder.go_on(20)

    def record() -> None:
        while recorder.go_on(1):
            pass
        publish_staged(market.data, market.ledger, CHECKED["ticks"])

    thread = threading.Thread(target=record)
    thread.start()
    while thread.is_alive():
        assert verify_store(market.data, market.ledger, CHECKED, wait=lambda _: thread.join(0.02)).violations == ()
    assert verify_store(market.data, market.ledger, CHECKED).trades == len(recorder.trades)


def other(market: Market) -> Leaf:
    """Hold trades of another symbol, all published, and return the leaf of its first day."""
    held = made_up(DAY, 2, 20, seed=7)
    market.hold(held.without(1003), "ETH-USDT", lane="other", publish=True)
    market.ledger.mark_staged("other", market.ledger.lane("other")[0], "")
    return Leaf("ticks", "binance", "ETH-USDT", DAY)


def change(market: Market, table: Any, **values: object) -> None:
    """Change every row of the other symbol in a table of the ledger."""
    with market.ledger.database.writing() as db:
        assert db.execute(table.update().where(table.c.symbol == "ETH-USDT").values(**values)).rowcount


def overlap(market: Market, leaf: Leaf) -> None:
    key = {"venue": "binance", "symbol": "ETH-USDT", "epoch": 0, "kind": "void"}
    with market.ledger.database.writing() as db:
        db.execute(t.ranges.insert().values(**key, first_id=1005, last_id=1005))


def replace(market: Market, leaf: Leaf, table: pa.Table, **about: Any) -> None:
    """Put another file in a leaf's place, with a record that says so."""
    path = market.data.lake / leaf.path
    path.parent.mkdir(parents=True, exist_ok=True)
    written = parquet.write(path, table)
    record = LeafRecord(written.rows, written.content_hash, parquet.file_sha256(path))
    market.ledger.intend(leaf, record._replace(**about))
    market.ledger.confirm(leaf)


def stray_trade(market: Market, leaf: Leaf) -> None:
    write_parts(market, made_up(DAY, 1, 1, first_id=9000), "stray", Position(0, 100), "ETH-USDT")
    lake.publish(market.data, leaf, ledger=market.ledger, gate=pass_all)


def lost_part(market: Market, leaf: Leaf) -> None:
    market.hold(made_up(NEXT, 1, 5, first_id=2000), "ETH-USDT", lane="other", stage=False)
    market.ledger.mark_staged("other", market.ledger.lane("other")[0], "")


def twice(market: Market, leaf: Leaf) -> None:
    write_parts(market, made_up(NEXT, 1, 1, first_id=1001), "stray", Position(0, 100), "ETH-USDT")
    stray = lake.DueLeaf(leaf._replace(day=NEXT))
    lake.rebuild(market.data, [stray], ledger=market.ledger, gate=pass_all)  # leaves it to its caller to settle


def torn_part(market: Market, leaf: Leaf) -> None:
    write_parts(market, made_up(NEXT, 1, 5, first_id=1030), "stray", Position(0, 100), "ETH-USDT")
    (part,) = staging.parts(market.data, "binance", "ETH-USDT")[leaf._replace(day=NEXT)]
    part.write_bytes(part.read_bytes()[:-20])


def turned_around(market: Market, leaf: Leaf) -> None:
    table = lake.read_leaf(market.data, leaf)
    assert table is not None
    replace(market, leaf, table.take(pa.array(range(table.num_rows - 1, -1, -1))))


def flipped_bit(market: Market, leaf: Leaf) -> None:
    path = market.data.lake / leaf.path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def wrong_count(market: Market, leaf: Leaf) -> None:
    table = lake.read_leaf(market.data, leaf)
    assert table is not None
    replace(market, leaf, table, rows=table.num_rows + 1)


def bars_of_more(market: Market, leaf: Leaf) -> None:
    row = {"ts_open": [0], "ts_close": [60], "trade_count": [10_000], "complete": [True]}
    columns = [pa.array(row.get(field.name, [None]), field.type) for field in schema.BARS]
    bars = Leaf("bars", "binance", "ETH-USDT", DAY, "1d")
    replace(market, bars, pa.Table.from_arrays(columns, schema=schema.BARS))


VIOLATED: dict[str, tuple[str, Callable[[Market, Leaf], object]]] = {
    "an id of two kinds": ("identity", overlap),
    "a gap row of other ids": ("gaps", lambda m, _: change(m, t.gaps, last_missing=1004)),
    "a day that counts wrongly": ("coverage", lambda m, _: change(m, t.coverage, stored=7)),
    "a published trade that nobody stored": ("lake", stray_trade),
    "stored trades in no file": ("lake", lost_part),
    "a trade on two days": ("duplicates", twice),
    "a part cut short": ("checksum", torn_part),
    "a flipped bit": ("checksum", flipped_bit),
    "ids that fall": ("order", turned_around),
    "a record of other content": ("content", wrong_count),
    "a leaf that the ledger forgot": ("unknown file", lambda m, leaf: m.ledger.forget(leaf)),
    "a leaf that is gone": ("lost file", lambda m, leaf: (m.data.lake / leaf.path).unlink()),
    "bars of more trades than there are": ("sums", bars_of_more),
}


@pytest.mark.parametrize(("check", "violate"), VIOLATED.values(), ids=VIOLATED.keys())
def test_what_is_violated_is_found_while_others_record(
    check: str, violate: Callable[[Market, Leaf], object], market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind of violation is told, by its name and of the right symbol, with writes between all reads."""
    recorder = Recorder(market, 300)
    recorder.go_on(8)
    violate(market, other(market))
    with monkeypatch.context() as patch:
        interpose(patch, lambda: recorder.go_on(1))
        found = verify_store(market.data, market.ledger, CHECKED, wait=lambda _: recorder.go_on(1)).violations
    assert check in {violation.check for violation in found}
    assert all("ETH-USDT" in violation.subject for violation in found)


def test_a_file_whose_writer_stopped_before_it_confirmed_is_that_of_its_intent(market: Market) -> None:
    """Between rename and confirmation the ledger knows the file as intended: the next call settles it."""
    leaf = other(market)

    class Stopped(Exception):
        pass

    def stop(step: str) -> None:
        if step == "renamed":
            raise Stopped

    market.hold(made_up(NEXT, 1, 3, first_id=1040), "ETH-USDT", lane="other", publish=False)
    late = leaf._replace(day=NEXT)
    with pytest.raises(Stopped):
        lake.publish(market.data, late, ledger=market.ledger, gate=pass_all, step=stop)
    assert market.ledger.intent(late) is not None
    assert verify_store(market.data, market.ledger, CHECKED).violations == ()

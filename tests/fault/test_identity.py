"""The judge of this folder can tell: a data directory that was tampered with is named as such, in every way."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.builders.ingest_in_process import SmallIngest
from tests.support.builders.venue_thread import Simulator, synthetic
from tests.support.judges.identity import accounts, judge
from trading_platform.simulate.faults import Event, FaultPlan

Truth = list[dict[str, Any]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Truth]]:
    """Record a market with faults, recover some of it, and give directory and truth."""
    folder = tmp_path_factory.mktemp("judged")
    never = [Event(kind=kind, at_id=FORGOTTEN) for kind in ("drop", "rest_forget")]
    plan = FaultPlan(drop=0.02, duplicate=0.05, reorder=0.1, events=never)
    with Simulator(synthetic(60, symbols=["BTC-USDT"]), folder / "truth.jsonl", plan=plan, speed=None) as venue:
        ingest = SmallIngest(folder / "data", venue.ws_url, venue.rest_url)
        ingest.record(lambda: venue.wait_ended(0))
        ingest.process()
        ingest.recover()
        ingest.close()
        yield folder / "data", venue.truth()


FORGOTTEN = 5_000_000_101
LEAF = "lake/ticks/venue=binance/symbol=BTC-USDT/date=2024-03-14/ticks.parquet"


@pytest.fixture
def copy(recorded: tuple[Path, Truth], tmp_path: Path) -> tuple[Path, Truth]:
    """Give a copy to be tampered with."""
    import shutil

    data_dir, truth = recorded
    shutil.copytree(data_dir, tmp_path / "data")
    return tmp_path / "data", truth


def rewrite(data_dir: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    table = pq.ParquetFile(data_dir / LEAF).read()
    pq.write_table(change(table), data_dir / LEAF)


def sql(data_dir: Path, *statements: str) -> None:
    with closing(sqlite3.connect(data_dir / "ledger.sqlite")) as db, db:
        for statement in statements:
            assert db.execute(statement).rowcount, statement


def only(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]


def test_an_honest_directory_has_nothing_wrong(recorded: tuple[Path, Truth]) -> None:
    """Drops, repeats, disorder, and recovery: every id is in one set, and log and lake agree."""
    data_dir, truth = recorded
    assert judge(data_dir, truth) == []
    assert sum(not line["sent"] for line in truth) > 10
    assert len(accounts(data_dir)["BTC-USDT"].stored) >= len(truth) - 1


def test_a_row_that_the_lake_lost_is_named(copy: tuple[Path, Truth]) -> None:
    """One row less than the log holds."""
    data_dir, truth = copy
    rewrite(data_dir, lambda table: pa.concat_tables([table.slice(0, 7), table.slice(8)]))
    assert "in the log, not so in the lake" in only(judge(data_dir, truth))


def test_a_row_that_the_lake_holds_twice_is_named(copy: tuple[Path, Truth]) -> None:
    """The same trade again, at the same place."""
    data_dir, truth = copy
    rewrite(data_dir, lambda table: pa.concat_tables([table.slice(0, 8), table.slice(7)]))
    assert any("more than once in the lake" in text for text in judge(data_dir, truth))


def test_a_row_that_says_something_else_is_named(copy: tuple[Path, Truth]) -> None:
    """A price that nobody printed."""
    data_dir, truth = copy

    def change(table: pa.Table) -> pa.Table:
        prices = table["price"].to_pylist()
        prices[3] += 0.01
        return table.set_column(table.column_names.index("price"), table.field("price"), pa.array(prices))

    rewrite(data_dir, change)
    assert len(judge(data_dir, truth)) == 2


def test_a_gap_that_the_ledger_forgot_is_named(copy: tuple[Path, Truth]) -> None:
    """An open gap without its row."""
    data_dir, truth = copy
    stored = accounts(data_dir)["BTC-USDT"]
    number = next(iter(stored.open), None)
    assert number is not None, "nothing is open"
    sql(data_dir, f"DELETE FROM gaps WHERE first_missing = {number}")
    assert "in no set of the account" in only(judge(data_dir, truth))


def test_ids_that_are_claimed_twice_are_named(copy: tuple[Path, Truth]) -> None:
    """Stored and void at once."""
    data_dir, truth = copy
    number = min(accounts(data_dir)["BTC-USDT"].stored)
    sql(data_dir, f"INSERT INTO ranges VALUES ('binance', 'BTC-USDT', 0, 'void', {number}, {number})")
    assert "in more than one set" in only(judge(data_dir, truth))


def test_ids_that_are_claimed_without_bytes_are_named(copy: tuple[Path, Truth]) -> None:
    """Stored, says the ledger; the log knows nothing of it."""
    data_dir, truth = copy
    head = accounts(data_dir)["BTC-USDT"].head
    sql(
        data_dir,
        f"UPDATE ranges SET last_id = {head + 1} WHERE last_id = {head}",
        "UPDATE sequences SET head = head + 1",
    )
    assert "stored and not in the log" in only(judge(data_dir, truth))


def test_a_closed_tail_that_hides_trades_is_named(copy: tuple[Path, Truth]) -> None:
    """The venue issued one more than the probe is said to have shown."""
    data_dir, truth = copy
    later = truth[-1] | {"trade_id": truth[-1]["trade_id"] + 1}
    assert "beyond the head of a closed tail" in only(judge(data_dir, [*truth, later]))


def test_a_trade_that_was_never_issued_is_named(copy: tuple[Path, Truth]) -> None:
    """The log holds what the venue does not know of."""
    data_dir, truth = copy
    assert "never issued so" in only(judge(data_dir, truth[:-1]))

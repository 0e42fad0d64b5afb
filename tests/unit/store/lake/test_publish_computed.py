"""Leaves published together: all steps may be the last, and what the gate refuses harms no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from trading_platform.domain.errors import StorageError
from trading_platform.domain.verdict import Failure, Verdict, pass_all
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake, publish_computed as computed, schema, staging
from trading_platform.store.lake.publish_computed import STEPS, LeafRows, write_leaves
from trading_platform.store.ledger import Ledger

LEAVES = [Leaf("indicators", "binance", "BTC-USDT", "2024-08-08", frame) for frame in ("1m", "1h", "1d")]
START = 1_723_075_200_000_000_000


class Crash(Exception):
    """The process ends here."""


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path).create()


@pytest.fixture
def ledger(data: DataDir) -> Iterator[Ledger]:
    opened = Ledger.open(data)
    yield opened
    opened.close()


def table(value: float) -> pa.Table:
    times = pa.array([START]).cast(schema.TIME)
    columns = {"ts_open": times, "ts_close": times, "complete": [True], "rsi_14": [value]}
    return pa.table(columns, schema=schema.indicators(["rsi_14"]))


def fresh(value: float) -> list[LeafRows]:
    return [LeafRows(leaf, table(value), f"input of {value}", f"end of {value}") for leaf in LEAVES]


def values(data: DataDir) -> list[float | None]:
    tables = [lake.read_leaf(data, leaf) for leaf in LEAVES]
    return [None if found is None else found["rsi_14"][0].as_py() for found in tables]


def test_leaves_are_published_with_their_records(data: DataDir, ledger: Ledger) -> None:
    """Files, records and verdicts are there afterwards; a second time nothing changes."""
    done = write_leaves(data, fresh(1.0), ledger=ledger, gate=pass_all)
    assert [(each.leaf, each.rows, each.added, each.changed) for each in done] == [(x, 1, 1, True) for x in LEAVES]
    record = ledger.leaf(LEAVES[0])
    assert record is not None
    assert (record.input_hash, record.end_state, record.rows) == ("input of 1.0", "end of 1.0", 1)
    assert ledger.verdict(LEAVES[1]) == Verdict()
    again = write_leaves(data, fresh(1.0), ledger=ledger, gate=pass_all)
    assert [each.changed for each in again] == [False] * 3
    assert write_leaves(data, [], ledger=ledger, gate=pass_all) == []
    assert not list(staging.temporary(data).iterdir())


def test_the_same_bytes_as_one_by_one(data: DataDir, ledger: Ledger, tmp_path: Path) -> None:
    """A leaf published with others has the bytes, and the record, of one published alone."""
    write_leaves(data, fresh(1.0), ledger=ledger, gate=pass_all)
    other = DataDir(tmp_path / "other").create()
    ledger_of_other = Ledger.open(other)
    first = fresh(1.0)[0]
    lake.write_leaf(
        other,
        first.leaf,
        first.table,
        ledger=ledger_of_other,
        gate=pass_all,
        input_hash=first.input_hash,
        end_state=first.end_state,
    )
    assert (data.lake / first.leaf.path).read_bytes() == (other.lake / first.leaf.path).read_bytes()
    assert ledger.leaf(first.leaf) == ledger_of_other.leaf(first.leaf)
    ledger_of_other.close()


def test_what_the_gate_refuses_stays_as_it_was(data: DataDir, ledger: Ledger) -> None:
    """The refused leaf keeps file and record and gets its verdict; the others are published."""
    write_leaves(data, fresh(1.0), ledger=ledger, gate=pass_all)
    no = Verdict((Failure("made up", 1, "row 0"),))
    mixed = [each._replace(table=table(2.0 if at else -1.0)) for at, each in enumerate(fresh(2.0))]
    done = write_leaves(
        data, mixed, ledger=ledger, gate=lambda frame: no if frame["rsi_14"][0].as_py() < 0 else Verdict()
    )
    assert values(data) == [1.0, 2.0, 2.0]
    assert [each.verdict.passed for each in done] == [False, True, True]
    assert ledger.verdict(LEAVES[0]) == no
    record = ledger.leaf(LEAVES[0])
    assert record is not None
    assert record.input_hash == "input of 1.0"


@pytest.mark.parametrize("last", STEPS)
def test_any_step_may_be_the_last(data: DataDir, ledger: Ledger, last: str) -> None:
    """After a crash at any step every file is the old or the new one, and the next call makes all new."""
    write_leaves(data, fresh(1.0), ledger=ledger, gate=pass_all)

    def crash(step: str) -> None:
        if step == last:
            raise Crash

    with pytest.raises(Crash):
        write_leaves(data, fresh(2.0), ledger=ledger, gate=pass_all, step=crash)
    assert set(values(data)) <= {1.0, 2.0}
    write_leaves(data, fresh(3.0), ledger=ledger, gate=pass_all)
    assert values(data) == [3.0] * 3
    assert [ledger.intent(leaf) for leaf in LEAVES] == [None] * 3
    hashes = [record.content_hash for leaf in LEAVES if (record := ledger.leaf(leaf))]
    assert hashes == [lake.content_hash(table(3.0))] * 3


def test_a_disk_that_refuses_leaves_everything(data: DataDir, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a file cannot be written, nothing of the day is published and nothing is left behind."""
    write_leaves(data, fresh(1.0), ledger=ledger, gate=pass_all)
    written: list[Path] = []

    def write(path: Path, rows: pa.Table) -> object:
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        return real(path, rows)

    real = computed.parquet.write
    monkeypatch.setattr(computed.parquet, "write", write)
    with pytest.raises(StorageError, match="No space left"):
        write_leaves(data, fresh(2.0), ledger=ledger, gate=pass_all)
    assert values(data) == [1.0] * 3
    assert not list(staging.temporary(data).iterdir())

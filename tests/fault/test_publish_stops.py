"""A publisher that stops anywhere: nothing lost, nothing twice, and the next one finishes its work."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.builders.fakes import DAY, NOON, Copy, copies, ticks
from tests.support.judges.naive import merge as naive
from trading_platform.domain.errors import StorageError
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import pass_all
from trading_platform.store.fs.disk import REAL_DISK
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake, staging
from trading_platform.store.lake.parquet import file_sha256
from trading_platform.store.ledger import Ledger

LEAF = Leaf("ticks", "binance", "BTC-USDT", DAY)
OLD = [Copy(i, ts_recv=NOON + 10**9) for i in range(20)]
NEW = [
    *(Copy(i, ts_recv=NOON + 2 * 10**9) for i in range(15, 30)),
    Copy(3, ts_recv=NOON, source="rest"),  # an earlier copy
    Copy(4, ts_recv=NOON, price=1.0),  # one that differs and wins
    Copy(5, ts_event=NOON + 123_456, source="archive", ts_recv=NOON + 3 * 10**9),  # a finer time
]
EXPECTED = naive.publish(OLD + NEW)[0]


class Stopped(BaseException):
    """The process ends here."""


class StopAt:
    """Raise at the n-th call; count them all."""

    def __init__(self, number: int, error: BaseException) -> None:
        self.number, self.error, self.seen = number, error, 0

    def __call__(self, *what: object) -> None:
        self.seen += 1
        if self.seen == self.number:
            raise self.error


class Watched:
    """Anything whose methods are counted before they are called, and may fail instead."""

    def __init__(self, inner: object, before: StopAt) -> None:
        self.inner, self.before = inner, before

    def __getattr__(self, name: str):
        method = getattr(self.inner, name)

        def call(*args, **more):
            self.before(name)
            return method(*args, **more)

        return call


def prepare(root: Path) -> DataDir:
    """Make a published leaf, with parts staged that add, improve, contradict and refine."""
    data = DataDir(root).create()
    ledger = Ledger.open(data)
    stage(data, OLD, 0)
    lake.publish(data, LEAF, ledger=ledger, gate=pass_all)
    ledger.close()
    stage(data, NEW[:10], 1)
    stage(data, NEW[10:], 2)
    return data


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def data(prepared, tmp_path):
    """Give a copy of the prepared data directory."""
    return DataDir(shutil.copytree(prepared.root, tmp_path / "data"))


def stage(data, trades, at):
    staging.write_part(data, "binance", "BTC-USDT", DAY, "live", Position(0, at), Position(0, at + 1), ticks(trades))


def look(data):
    """What a reader sees now: the old rows or the new ones, whole."""
    rows = copies(lake.read_leaf(data, LEAF))
    assert rows in (OLD, EXPECTED)
    return rows


def finish(data):
    """Publish again, twice, and check that all is as if nothing had happened."""
    ledger = Ledger.open(data)
    lake.publish(data, LEAF, ledger=ledger, gate=pass_all)
    again = lake.publish(data, LEAF, ledger=ledger, gate=pass_all)
    assert not again.changed
    assert look(data) == EXPECTED
    assert ledger.leaf(LEAF).file_sha256 == file_sha256(data.lake / LEAF.path)
    assert ledger.intent(LEAF) is None
    assert [(c.trade_id, '"price":1.0' in c.kept) for c in ledger.conflicts("binance", "BTC-USDT")] == [(4, True)]
    ledger.close()
    assert staging.parts(data) == {}
    assert [p.name for p in data.lake.rglob("*") if p.is_file()] == ["ticks.parquet"]
    assert not [p for p in data.staging.rglob("*") if p.is_file()]


@pytest.mark.parametrize("step", lake.STEPS)
def test_stopping_after_any_step(data, step):
    """A publisher that ends right after a step leaves the old or the new rows, and the next one completes."""
    ledger = Ledger.open(data)

    def stop(name):
        if name == step:
            raise Stopped

    with pytest.raises(Stopped):
        lake.publish(data, LEAF, ledger=ledger, gate=pass_all, step=stop)
    ledger.close()
    assert look(data) == (EXPECTED if step in {"renamed", "confirmed", "resolved", "removed"} else OLD)
    finish(data)


def test_the_ledger_failing_at_every_call(data):
    """Whichever call to the ledger fails, the parts stay until then, and the next publish completes."""
    number = 1
    while True:
        ledger = Ledger.open(data)
        before = StopAt(number, Stopped())
        try:
            lake.publish(data, LEAF, ledger=Watched(ledger, before), gate=pass_all)
        except Stopped:
            look(data)
            assert staging.parts(data)
        ledger.close()
        if before.seen < number:
            break
        number += 1
    assert number > 6
    finish(data)


def test_the_disk_failing_at_every_operation(data):
    """Whichever operation the disk refuses, the error says so, nothing is lost, and the next publish completes."""
    number = 1
    while True:
        ledger = Ledger.open(data)
        before = StopAt(number, StorageError("no space left"))
        try:
            lake.publish(data, LEAF, ledger=ledger, gate=pass_all, disk=Watched(REAL_DISK, before))
        except StorageError:
            look(data)
        ledger.close()
        if before.seen < number:
            break
        number += 1
        stage(data, NEW, 1)
    assert number > 10
    finish(data)


def test_a_full_disk_while_writing_is_a_storage_error(data, monkeypatch):
    """What the disk refuses in the middle of a file is named, and the half file is gone."""

    def full(*args, **more):
        raise OSError(28, "No space left on device")

    ledger = Ledger.open(data)
    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
        with pytest.raises(StorageError, match="No space left"):
            lake.publish(data, LEAF, ledger=ledger, gate=pass_all)
    ledger.close()
    assert look(data) == OLD
    assert not [p for p in staging.temporary(data).iterdir() if p.is_file()]
    finish(data)


def test_kill_9_at_every_step(prepared, tmp_path):
    """A publisher killed at each step, in a process of its own, leaves what the next one completes."""
    script = Path(__file__).with_name("publish_and_die.py")
    words = [sys.executable, str(script), str(prepared.root), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == [f"{step} -9" for step in lake.STEPS]
    for step in lake.STEPS:
        data = DataDir(tmp_path / step)
        assert look(data) == (EXPECTED if step in {"renamed", "confirmed", "resolved", "removed"} else OLD)
        finish(data)

"""A replay that stops anywhere while it replaces leaves: each is old or new, and the next one finishes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fault.test_publish_stops import EXPECTED, LEAF, NEW, OLD, StopAt, Stopped, Watched, finish, prepare, stage
from tests.support.builders.fakes import Copy, copies, ticks
from trading_platform.domain.errors import CorruptionError, StorageError
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import Failure, Verdict, pass_all
from trading_platform.store.fs.disk import REAL_DISK
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake import leaf_files as files, merge_slices as slices, publish as lake, schema, staging
from trading_platform.store.ledger import Ledger

OTHER = LEAF._replace(symbol="ETH-USDT")
STRAY = [Copy(900)]
"""What the lake holds though the log does not: it was changed by somebody."""


def group(trades: list[Copy]) -> slices.Group:
    """Return trades as a replay has them."""
    table = schema.lean(ticks(sorted(trades, key=lambda trade: trade.trade_id)))
    return slices.Group((0, table.column("trade_id")[0].as_py()), lambda: table)


def rebuild(data: DataDir, ledger, **more) -> list[lake.Published]:
    """Publish both leaves anew; what lies in staging is in the log, too."""
    news = [group(NEW), group(OLD[10:]), group(OLD[:10])]
    anew = [lake.DueLeaf(OTHER, [group(OLD)], into=False), lake.DueLeaf(LEAF, news, into=False)]
    return lake.rebuild(data, anew, **({"ledger": ledger, "gate": pass_all} | more))


def look(data: DataDir) -> tuple[bool, bool]:
    """Return for each leaf whether it is new; each is whole."""
    first, other = copies(lake.read_leaf(data, LEAF)), copies(lake.read_leaf(data, OTHER))
    assert first in (OLD, EXPECTED)
    assert other in (STRAY, OLD)
    return first == EXPECTED, other == OLD


def complete(data: DataDir) -> None:
    """Rebuild again and check that all is as if nothing had happened."""
    ledger = Ledger.open(data)
    rebuild(data, ledger)
    assert not any(published.changed for published in rebuild(data, ledger))
    assert ledger.intent(OTHER) is None
    lake.remove_leaf(data, OTHER, ledger=ledger)
    ledger.close()
    finish(data)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    """Two published leaves: new trades of the one lie in staging, the other holds what the log does not."""
    data = prepare(tmp_path_factory.mktemp("prepared"))
    ledger = Ledger.open(data)
    stretch = Position(0, 0), Position(0, 1)
    staging.write_part(data, "binance", "ETH-USDT", OTHER.day, "live", *stretch, ticks(STRAY))
    lake.publish(data, OTHER, ledger=ledger, gate=pass_all)
    ledger.close()
    return data


@pytest.fixture
def data(prepared: DataDir, tmp_path: Path) -> DataDir:
    """Give a copy of the prepared data directory."""
    return DataDir(shutil.copytree(prepared.root, tmp_path / "data"))


@pytest.mark.parametrize("step", sorted(set(lake.STEPS) - {"resolved"}))
@pytest.mark.parametrize("last", [False, True], ids=["first time", "last time"])
def test_stopping_after_any_step(data: DataDir, step: str, *, last: bool) -> None:
    """Whoever stops right after a step leaves whole leaves, old or new, and the next replay completes."""
    count = 0

    def stop(name: str) -> None:
        nonlocal count
        count += name == step
        if name == step and (not last or count == len(often)):
            raise Stopped

    often = [1, 2] if step in {"merged", "verified", "renamed"} else [1]
    ledger = Ledger.open(data)
    with pytest.raises(Stopped):
        rebuild(data, ledger, step=stop)
    ledger.close()
    news = look(data)
    assert all(news) == (step in {"confirmed", "removed"} or (step == "renamed" and last))
    assert any(news) == (step in {"renamed", "confirmed", "removed"})
    complete(data)


def test_the_disk_failing_at_every_operation(data: DataDir) -> None:
    """Whichever operation the disk refuses, the error says so, nothing is lost, and the next replay completes."""
    number = 1
    while True:
        ledger = Ledger.open(data)
        before = StopAt(number, StorageError("no space left"))
        try:
            rebuild(data, ledger, disk=Watched(REAL_DISK, before))
        except StorageError:
            look(data)
        ledger.close()
        if before.seen < number:
            break
        number += 1
        stage(data, NEW, 1)
    assert number > 10
    complete(data)


def test_the_ledger_failing_at_every_call(data: DataDir) -> None:
    """Whichever call to the ledger fails, parts stay until then, and the next replay completes."""
    number = 1
    while True:
        ledger = Ledger.open(data)
        before = StopAt(number, Stopped())
        try:
            rebuild(data, Watched(ledger, before))
        except Stopped:
            look(data)
            assert staging.parts(data)
        ledger.close()
        if before.seen < number:
            break
        number += 1
    assert number > 4
    complete(data)


def test_what_the_gate_refuses_stays_and_the_others_come(data: DataDir) -> None:
    """A refused leaf keeps its file and its parts; the other one is published."""
    ledger = Ledger.open(data)
    no = Verdict((Failure("too many", 1, "row 0"),))
    told = rebuild(data, ledger, gate=lambda table: no if table.num_rows > len(OLD) else Verdict())
    assert {published.leaf: published.verdict.passed for published in told} == {LEAF: False, OTHER: True}
    assert look(data) == (False, True)
    assert staging.parts(data)
    ledger.close()
    complete(data)


def test_a_damaged_leaf_is_replaced_and_a_pinned_one_is_not(data: DataDir) -> None:
    """What is only in the log's place may be damaged; what is merged into may not."""
    ledger = Ledger.open(data)
    path = data.lake / OTHER.path
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CorruptionError):
        lake.rebuild(data, [lake.DueLeaf(OTHER, [group(OLD)])], ledger=ledger, gate=pass_all)
    rebuild(data, ledger)
    assert look(data) == (True, True)
    ledger.close()
    complete(data)


def test_memory_of_copies_follows_the_log(data: DataDir) -> None:
    """Copies remembered of trades that the log does not dispute are forgotten; those it does are remembered."""
    ledger = Ledger.open(data)
    rebuild(data, ledger)
    assert files.copies_path(data, LEAF).exists()
    lake.rebuild(data, [lake.DueLeaf(LEAF, [group(OLD)], into=False)], ledger=ledger, gate=pass_all)
    assert not files.copies_path(data, LEAF).exists()
    ledger.close()

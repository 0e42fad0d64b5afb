"""What a data directory is outlives its ledger."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from trading_platform.domain.errors import CorruptionError, MarketMismatch, UsageError
from trading_platform.ingest.recovery.simulated_market import HEADER, MarketName
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger


def without_ledger(data: DataDir) -> Ledger:
    """Remove the ledger's files, and open a new one."""
    path = Path(data.ledger_path)
    for file in path.parent.glob(path.name + "*"):
        file.unlink() if file.is_file() else shutil.rmtree(file)
    return Ledger.open(data)


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    """Give a directory of a simulated market."""
    made = DataDir(tmp_path).create()
    ledger = Ledger.open(made)
    ledger.mark_kind("simulated")
    MarketName(ledger, "binance").heed({HEADER: "synthetic, seed 0"})
    ledger.close()
    return made


def test_a_rebuilt_ledger_knows_what_the_directory_holds(data: DataDir) -> None:
    """Removed and begun again, as `replay --ledger` finds it: the other kind and another market stay refused."""
    ledger = without_ledger(data)
    assert ledger.kind() == "simulated"
    with pytest.raises(UsageError, match="holds simulated data and cannot take live data"):
        ledger.mark_kind("live")
    with pytest.raises(MarketMismatch, match="seed 0"):
        MarketName(ledger, "binance").heed({HEADER: "synthetic, seed 1"})
    ledger.mark_kind("simulated")
    ledger.close()


def test_a_ledger_of_older_code_gets_its_mark_when_it_is_used(data: DataDir) -> None:
    """The file may be missing; the next start writes it."""
    (data.state / "marks").unlink()
    ledger = Ledger.open(data)
    ledger.mark_kind("simulated")
    ledger.close()
    ledger = without_ledger(data)
    assert ledger.kind() == "simulated"
    ledger.close()


def test_a_damaged_mark_is_not_guessed(data: DataDir) -> None:
    """While the ledger knows, nobody asks the file; without it no flipped bit is believed."""
    path = data.state / "marks"
    path.write_bytes(path.read_bytes().replace(b"simulated", b"simulatee"))
    ledger = Ledger.open(data)
    assert ledger.kind() == "simulated"
    ledger.close()
    ledger = without_ledger(data)
    with pytest.raises(CorruptionError, match="marks is damaged"):
        ledger.mark_kind("live")
    ledger.close()


def test_a_damaged_mark_is_written_again_from_a_ledger_that_knows(data: DataDir) -> None:
    """It keeps nobody from recording."""
    path = data.state / "marks"
    path.write_bytes(path.read_bytes()[:-3])
    ledger = Ledger.open(data)
    ledger.mark_kind("simulated")
    ledger.close()
    ledger = without_ledger(data)
    assert ledger.kind() == "simulated"
    ledger.close()

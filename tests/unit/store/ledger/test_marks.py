"""What a data directory is outlives its ledger."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from tests.support.builders.platform_in_process import SmallPlatform
from trading_platform import cli
from trading_platform.domain.errors import CorruptionError, MarketMismatch, UsageError
from trading_platform.ingest.recovery.simulated_market import HEADER, MarketName
from trading_platform.store.fs.checked_file import write_checked
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
    MarketName(ledger, "binance").check_headers({HEADER: "synthetic, seed 0"})
    ledger.close()
    return made


def test_a_rebuilt_ledger_knows_what_the_directory_holds(data: DataDir) -> None:
    """Removed and begun again, as `replay --ledger` finds it: the other kind and another market stay refused."""
    ledger = without_ledger(data)
    assert ledger.kind() == "simulated"
    with pytest.raises(UsageError, match="holds simulated data and cannot take live data"):
        ledger.mark_kind("live")
    with pytest.raises(MarketMismatch, match="seed 0"):
        MarketName(ledger, "binance").check_headers({HEADER: "synthetic, seed 1"})
    ledger.mark_kind("simulated")
    ledger.close()


@pytest.mark.parametrize("left", [None, {"kind": "simulated"}])
def test_a_directory_of_older_code_gets_its_marks_when_it_is_opened(data: DataDir, left: dict[str, str] | None) -> None:
    """The file may be missing, or lack the market; a reader that opens the ledger writes both."""
    path = data.state / "marks"
    path.unlink()
    if left is not None:
        write_checked(path, msgspec.json.encode(left))
    Ledger.open(data).close()
    ledger = without_ledger(data)
    assert ledger.kind() == "simulated"
    assert MarketName(ledger, "binance").known() == "synthetic, seed 0"
    ledger.close()


def test_a_reader_that_may_not_write_reads_all_the_same(data: DataDir) -> None:
    """Where no file can be made, as on a medium that is read only, the marks stay out."""
    shutil.rmtree(data.state)
    data.state.write_text("in the way")
    ledger = Ledger.open(data)
    assert ledger.kind() == "simulated"
    ledger.close()


@pytest.mark.parametrize("kind", ["simulated", "live"])
def test_replay_of_a_removed_ledger_keeps_what_the_directory_is(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command itself: afterwards the ledger bears kind and market, and refuses the others."""
    platform = SmallPlatform(tmp_path / "data")
    platform.ledger.mark_kind(kind)
    if kind == "simulated":
        MarketName(platform.ledger, "binance").check_headers({HEADER: "synthetic, seed 0"})
    platform.start()
    platform.record(range(90, 110))
    platform.stop()
    platform.process()
    platform.publish()
    platform.close()
    without_ledger(platform.data).close()
    words = ["replay", "--ledger", "--processes", "1", "--data-dir", str(platform.data.root)]
    assert cli.main(words) == 0, capsys.readouterr().err
    ledger = Ledger.open(platform.data)
    assert ledger.kind() == kind
    assert ledger.state("binance", "BTC-USDT").stored
    with pytest.raises(UsageError, match=f"holds {kind} data"):
        ledger.check_kind({"live": "simulated", "simulated": "live"}[kind])
    if kind == "simulated":
        with pytest.raises(MarketMismatch, match="seed 0"):
            MarketName(ledger, "binance").check_headers({HEADER: "synthetic, seed 1"})
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

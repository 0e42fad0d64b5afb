"""A database that is away: recording starts and goes on, `status` answers, live or simulated is marked on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.builders.ingest_process import Ingest, expected, held, rows
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.waiting import wait_until
from trading_platform.cli import main
from trading_platform.store.database.local.server import free_port
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger

SYMBOL = "BTC-USDT"


def newest_id(data: DataDir) -> int:
    """Return the newest id that the ledger knows, 0 while it knows none."""
    ledger = Ledger.open(data)
    try:
        return max((row.head for row in ledger.sequences()), default=0)
    finally:
        ledger.close()


def test_recording_starts_without_its_database(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    simulator: Callable[..., Simulator],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With an address where nothing answers, what is recorded is decoded, published and accounted for."""
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", f"postgresql://u:hunter2@127.0.0.1:{free_port()}/d")
    data = DataDir(tmp_path / "data")
    venue = simulator(synthetic(3600, symbols=[SYMBOL]), speed=10)
    ingest = Ingest(venue, data.root, [SYMBOL])
    try:
        wait_until(lambda: newest_id(data) > 0, every_s=0.2, what="a trade is in the ledger")
        assert main(["status", "--data-dir", str(data.root)]) == 0
        assert SYMBOL in capsys.readouterr().out
        assert ingest.stop() == 0
    finally:
        ingest.end()
    assert b'"kind":"live"' in (data.state / "marks").read_bytes()
    ours = rows(held(data.root)[SYMBOL])
    assert ours == [row for row in expected(venue.truth(), SYMBOL) if ours[0][1] <= row[1] <= ours[-1][1]]
    assert main(["ingest", "--venue", "binance", "--symbols", SYMBOL, "--simulated", "--data-dir", str(data.root)]) == 2
    assert "holds live data" in capsys.readouterr().err
    assert main(["database", "migrate", "--data-dir", str(data.root)]) == 1
    told = capsys.readouterr().err
    assert "does not answer" in told and "hunter2" not in told

"""Where a recording begins, if the settings say so, and where an orderly stop ends it: the real commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import websockets.sync.client

from tests.support.builders.ingest_process import Ingest, held, run
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.waiting import wait_until
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger

SYMBOL = "BTC-USDT"


def begin(venue: Simulator, trades: int) -> None:
    """Let the market run, unheard, until it has issued some trades."""
    with websockets.sync.client.connect(f"{venue.ws_url}/ws/btcusdt@trade", close_timeout=0.1):
        pass
    wait_until(lambda: len(venue.truth()) >= trades, what=f"{trades} trades are issued")


def status(data_dir: Path) -> dict[str, Any]:
    """Return what `status` says of the one symbol."""
    (row,) = json.loads(run("status", "--json", data_dir=data_dir).stdout)
    return row


def holds_something(data_dir: Path, *, since: int | None = None) -> bool:
    """Tell whether a trade is in the ledger, once there is one, and all since that id is undertaken."""
    data = DataDir(data_dir)
    if not data.ledger_path.exists():
        return False
    ledger = Ledger.open(data)
    try:
        rows = [row for row in ledger.sequences() if since is None or row.from_id == since]
        return any(day.stored for row in rows for day in ledger.days(row.venue, row.symbol))
    finally:
        ledger.close()


def recorded_for_a_while(venue: Simulator, data_dir: Path, *, since: int | None = None) -> dict[str, Any]:
    """Record until something is held (and undertaken since that id), stop in order, and return the status."""
    ingest = Ingest(venue, data_dir, [SYMBOL])
    try:
        wait_until(lambda: holds_something(data_dir, since=since), every_s=0.1, what="something is held")
        assert ingest.stop() == 0
    finally:
        ingest.end()
    return status(data_dir)


def test_what_was_traded_since_a_day_is_missing_and_comes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    simulator: Callable[..., Simulator],  # noqa: F811
) -> None:
    """With `record_from` all since that day is undertaken while recording runs; recovery fetches it."""
    monkeypatch.setenv("TRADING_PLATFORM_VENUES__BINANCE__SYMBOLS", SYMBOL)
    monkeypatch.setenv("TRADING_PLATFORM_VENUES__BINANCE__RECORD_FROM", "2024-03-14")
    venue = simulator(synthetic(1200, symbols=[SYMBOL]), speed=100)
    begin(venue, 3000)
    first = venue.truth()[0]["trade_id"]
    before = recorded_for_a_while(venue, tmp_path / "data", since=first)
    assert before["from_id"] == first
    assert before["open"] > 0
    done = run("recover", "--once", "--venue", "binance", "--rest-url", venue.rest_url, data_dir=tmp_path / "data")
    assert done.returncode == 0, done.stdout + done.stderr
    ids = held(tmp_path / "data")[SYMBOL]["trade_id"].to_pylist()
    assert ids == list(range(first, ids[-1] + 1))
    assert run("verify", data_dir=tmp_path / "data").returncode == 0


def test_a_quiet_stop_leaves_nothing_open(
    tmp_path: Path,
    simulator: Callable[..., Simulator],  # noqa: F811
) -> None:
    """Trades between the last delivery and the probe at the end are fetched before the command ends."""
    venue = simulator(synthetic(1200, symbols=[SYMBOL]), speed=10)
    begin(venue, 100)
    after = recorded_for_a_while(venue, tmp_path / "data")
    assert (after["open"], after["tail"]) == (0, "closed")
    ids = held(tmp_path / "data")[SYMBOL]["trade_id"].to_pylist()
    assert ids == list(range(after["from_id"], after["head"] + 1))

"""A listing in any script goes the whole way: address, frames, log, ledger, lake, SQL, Python, command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import pytest

import trading_platform as tp
from tests.support.builders.ingest_in_process import SmallIngest
from tests.support.builders.venue_thread import Simulator, simulator  # noqa: F401  the fixture
from trading_platform.cli import main
from trading_platform.ingest.transport import fast_websocket as fast_transport, websocket as websocket_client
from trading_platform.ingest.transport.protocol import Transport
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.synthetic_market import DEMO_START_NS, Profile, SyntheticMarket

# ruff: noqa: F811  fixtures are handed in under their own names

SYMBOL = "币安É人生ß-USDT"
PROFILE = Profile(SYMBOL, 4_400_000_001, 0.25, 4, 100.0, 1, 1_036_800, 1.0, pauses=False)
DAY = "2024-03-14"


@pytest.mark.parametrize(
    "transport", [websocket_client.open_stream, fast_transport.open_stream], ids=["ordinary", "fast"]
)
def test_a_listing_of_any_script_is_recorded_and_repaired(
    transport: Transport,
    tmp_path: Path,
    simulator: Callable[..., Simulator],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Recorded with a hole, fetched, published under its own name, computed, asked for as a keyboard may compose it."""
    market = SyntheticMarket(start_ns=DEMO_START_NS, end_ns=DEMO_START_NS + 60 * 10**9, profiles=[PROFILE])
    hole = FaultPlan(events=[Event(kind="drop", at_id=PROFILE.first_id + 30, count=20)])
    venue = simulator(market, plan=hole)
    root = tmp_path / "data"
    small = SmallIngest(root, venue.ws_url, venue.rest_url, [SYMBOL], transport=transport)
    small.ledger.mark_kind("simulated")
    small.record(lambda: venue.wait_ended(0))
    small.process()
    assert not small.recover().problems and small.ledger.gaps() == []
    small.close()
    issued = {line["trade_id"] for line in venue.truth() if line["symbol"] == SYMBOL}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADING_PLATFORM_TIMEFRAMES", "1m")
    typed = normalize("NFD", SYMBOL)
    assert typed != SYMBOL
    assert main(["backfill", "--assets", "bars", "--from", DAY, "--to", DAY, "--symbols", typed]) == 0
    assert (root / f"lake/bars/timeframe=1m/venue=binance/symbol={SYMBOL}/date={DAY}/bars.parquet").is_file()
    assert set(tp.read_ticks(typed, DAY, "2024-03-15", data_dir=root).trade_id) == issued
    capsys.readouterr()
    sql = f"SELECT symbol, sum(trade_count) AS n FROM bars WHERE symbol = '{SYMBOL}' GROUP BY 1"
    assert main(["query", sql, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"symbol": SYMBOL, "n": len(issued)}]
    assert main(["status"]) == 0 and SYMBOL in capsys.readouterr().out
    assert main(["verify"]) == 0

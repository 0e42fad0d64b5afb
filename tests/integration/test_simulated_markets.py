"""A data directory holds one simulated market: another one is refused before anything is recorded or fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.builders.ingest_process import run
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  a fixture
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger

BTC = ["BTC-USDT"]


def test_another_market_is_refused(simulator: Callable[..., Simulator], tmp_path: Path) -> None:  # noqa: F811
    """`ingest` names the market at first use; then neither it nor `recover` takes another one, nor the exchange."""
    data_dir = tmp_path / "data"
    first = simulator(synthetic(600, symbols=BTC), speed=1.0)
    other = simulator(synthetic(600, seed=8, symbols=BTC), speed=1.0)

    def ingest(venue: Simulator) -> list[str]:
        urls = ["--ws-url", venue.ws_url, "--rest-url", venue.rest_url]
        return ["ingest", "--venue", "binance", "--symbols", "BTC-USDT", *urls, "--seconds", "3"]

    assert run(*ingest(first), data_dir=data_dir).returncode in (0, 1)
    held = Ledger.open(DataDir(data_dir))
    assert held.fact("market:binance") == "synthetic, seed 7, from 2024-03-14T23:50:00Z"
    held.close()
    for words in (
        ingest(other),
        ["recover", "--once", "--venue", "binance", "--rest-url", other.rest_url],
        ["ingest", "--venue", "binance", "--symbols", "BTC-USDT"],
    ):
        done = run(*words, data_dir=data_dir)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert "holds the simulated market 'synthetic, seed 7" in done.stderr
    assert other.server.connections == type(other.server.connections)()
    assert run("recover", "--once", "--rest-url", first.rest_url, data_dir=data_dir).returncode == 0

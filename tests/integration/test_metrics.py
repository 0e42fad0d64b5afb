"""A recording ingest serves the metrics of all its workers at one address, under the names of the contract."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.builders.ingest_process import Ingest
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.waiting import wait_until


def test_all_workers_are_served_at_one_port(
    simulator: Callable[..., Simulator],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Counts of the processor and gauges of the recorder come from the same page."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("TRADING_PLATFORM_METRICS__PORT", str(port))
    ingest = Ingest(simulator(synthetic(600), speed=20.0), tmp_path / "data", ["BTC-USDT"])

    def page() -> str:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        except httpx.TransportError:
            return ""

    def told(path: str) -> str:
        return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False).text

    try:
        text = wait_until(
            lambda: page() if "market_data_gaps_open{" in page() else "", timeout_s=60, what="gauges are set"
        )
        assert (told("/healthz"), told("/readyz")) == ("ok\n", "ok\n")
        assert ingest.stop() == 0
    finally:
        ingest.end()
    for name in (
        'market_data_ticks_total{source="ws",symbol="BTC-USDT",venue="binance"}',
        'market_data_last_tick_timestamp{symbol="BTC-USDT",venue="binance"}',
        'market_data_gap_seconds{symbol="BTC-USDT",venue="binance"}',
        'market_data_gaps_open{symbol="BTC-USDT",venue="binance"} 0.0',
        "market_data_tick_latency_seconds_bucket",
        "ingest_durable_lag_seconds",
        'circuit_breaker_state{name="stream-binance"} 0.0',
        'sink_lag_seconds{sink="staging"}',
        'ingest_memory_bytes{role="recorder",venue="binance"}',
        'ingest_memory_bytes{role="publisher",venue="binance"}',
        "ingest_commit_seconds_bucket",
        'exchange_clock_offset_seconds{venue="binance"}',
    ):
        assert name in text, name

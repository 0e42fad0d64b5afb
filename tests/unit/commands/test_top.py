"""`top` reads what a running ingest serves, and shows it by symbol."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from trading_platform import cli
from trading_platform.commands import top
from trading_platform.telemetry import metrics_server

PAGE = """
# TYPE market_data_ticks_total counter
market_data_ticks_total{source="ws",symbol="BTC-USDT",venue="v"} %d
market_data_ticks_total{source="rest",symbol="BTC-USDT",venue="v"} 5
# TYPE market_data_gap_seconds gauge
market_data_gap_seconds{symbol="BTC-USDT",venue="v"} 0.25
market_data_gap_seconds{symbol="ETH-USDT",venue="v"} 61.5
# TYPE market_data_gaps_open gauge
market_data_gaps_open{symbol="BTC-USDT",venue="v"} 2
# TYPE market_data_tick_latency_seconds histogram
market_data_tick_latency_seconds_bucket{le="0.1"} 99
market_data_tick_latency_seconds_bucket{le="0.5"} 99
market_data_tick_latency_seconds_bucket{le="1.0"} 100
market_data_tick_latency_seconds_bucket{le="+Inf"} 100
market_data_tick_latency_seconds_count 100
market_data_tick_latency_seconds_sum 3
# TYPE ingest_memory_bytes gauge
ingest_memory_bytes{role="recorder",venue="v"} 64000000
"""


def reading(trades: int, at_s: float, before: top.Reading | None = None) -> top.Reading:
    return top.read(list(text_string_to_metric_families(PAGE % trades)), at_s, before)


def test_each_symbol_has_its_row_and_its_rate() -> None:
    """Trades of all sources are counted together; a symbol without any is shown with its silence."""
    first = reading(95, 10.0)
    later = reading(195, 20.0, first)
    (bitcoin, ether) = later.rows
    assert (bitcoin["trades"], bitcoin["per_s"], bitcoin["gaps"], bitcoin["silent_s"]) == (200, 10.0, 2, 0.2)
    assert (ether["trades"], ether["silent_s"], ether["missing"]) == (0, 61.5, None)
    assert first.rows[0]["per_s"] is None
    assert (later.facts["latency_p50_s"], later.facts["latency_p99_s"]) == (0.1, 0.1)
    assert later.facts["memory v recorder MB"] == 64


def test_one_reading_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a table, and as JSON."""
    port, stop = metrics_server.serve(0, symbols=[("v", "BTC-USDT")])
    try:
        words = ["top", "--once", "--port", str(port), "--data-dir", str(tmp_path)]
        assert cli.main(words) == 0
        assert capsys.readouterr().out.splitlines()[0].split() == list(top.COLUMNS)
        assert cli.main([*words, "--json"]) == 0
        (row,) = [row for row in json.loads(capsys.readouterr().out)["symbols"] if row["venue"] == "v"]
        assert row["symbol"] == "BTC-USDT"
    finally:
        stop()


def test_where_nothing_is_served_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No port is exit 2, a port at which nothing answers exit 1; one line each."""
    where = ["--data-dir", str(tmp_path)]
    assert cli.main(["top", "--once", *where]) == 2
    assert "METRICS__PORT" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert cli.main(["top", "--once", "--port", str(port), *where]) == 1
    assert "no metrics at port" in capsys.readouterr().err
    assert cli.main(["top", "--every", "0", "--port", "1", *where]) == 2

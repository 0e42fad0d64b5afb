"""The metrics have the names and labels that dashboards were promised."""

from __future__ import annotations

import urllib.request

import pytest
from prometheus_client import REGISTRY

from trading_platform.telemetry import metrics

PROMISED = {
    "market_data_tick_latency_seconds": (),
    "market_data_ticks_total": ("venue", "symbol", "source"),
    "market_data_last_tick_timestamp": ("venue", "symbol"),
    "market_data_gap_seconds": ("venue", "symbol"),
    "market_data_gaps_open": ("venue", "symbol"),
    "data_validation_failures_total": ("venue", "symbol", "failure_type"),
    "ingest_durable_lag_seconds": (),
    "ingest_reconnects_total": ("venue", "reason"),
    "sink_lag_seconds": ("sink",),
    "circuit_breaker_state": ("name",),
}
ALL = [
    metrics.TICK_LATENCY,
    metrics.TICKS,
    metrics.LAST_TICK,
    metrics.GAP_SECONDS,
    metrics.GAPS_OPEN,
    metrics.VALIDATION_FAILURES,
    metrics.DURABLE_LAG,
    metrics.RECONNECTS,
    metrics.SINK_LAG,
    metrics.BREAKER_STATE,
]


def exported_name(metric) -> str:
    family = next(iter(metric.describe()))
    return f"{family.name}_total" if family.type == "counter" else family.name


def test_names_and_labels_are_the_promised():
    """Every promised metric exists with exactly its labels, and there is no other."""
    assert {exported_name(m): tuple(m._labelnames) for m in ALL} == PROMISED


@pytest.mark.parametrize("metric", ALL, ids=exported_name)
def test_every_metric_is_registered(metric):
    """A metric that is not registered is never served."""
    assert next(iter(metric.describe())).name in {family.name for family in REGISTRY.collect()}


def test_latency_is_seen_below_100_ms():
    """Half of the buckets lie at 100 ms and below, where the values are."""
    assert sum(bound <= 0.1 for bound in metrics.LATENCY_BUCKETS_S) >= 6


def test_what_is_counted_is_served():
    """A scrape over the loopback shows a counted trade, and nothing listens after the stop."""
    metrics.TICKS.labels("test", "BTC-USDT", "ws").inc(3)
    port, stop = metrics.serve(0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            body = answer.read().decode()
    finally:
        stop()
    assert 'market_data_ticks_total{source="ws",symbol="BTC-USDT",venue="test"} 3.0' in body
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)

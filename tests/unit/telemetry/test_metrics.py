"""The metrics have the names and labels that dashboards were promised, and are served with health beside them."""

from __future__ import annotations

import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from hypothesis import given, strategies as st
from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from trading_platform.telemetry import metrics, metrics_server

PROMISED = {
    "market_data_tick_latency_seconds": (),
    "market_data_ticks_total": ("venue", "symbol", "source"),
    "market_data_last_tick_timestamp": ("venue", "symbol"),
    "market_data_gaps_open": ("venue", "symbol"),
    "data_validation_failures_total": ("venue", "symbol", "failure_type"),
    "ingest_durable_lag_seconds": (),
    "ingest_reconnects_total": ("venue", "reason"),
    "sink_lag_seconds": ("sink",),
    "circuit_breaker_state": ("name",),
}
"""Of the contract; `market_data_gap_seconds` is worked out when asked (test_the_time_since_the_last_tick_…)."""
ALL = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]


def exported_name(metric) -> str:
    family = next(iter(metric.describe()))
    return f"{family.name}_total" if family.type == "counter" else family.name


@pytest.fixture
def served():
    """Serve in this process; return what asks a path for (status, body)."""
    stops = []

    def start(**options):
        port, stop = metrics_server.serve(0, **options)
        stops.append(stop)

        def ask(path: str) -> tuple[int, str]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        return ask

    yield start
    for stop in stops:
        stop()


def test_names_and_labels_are_the_promised():
    """Every promised metric exists with exactly its labels."""
    assert {exported_name(m): tuple(m._labelnames) for m in ALL if exported_name(m) in PROMISED} == PROMISED


def test_labels_are_few():
    """No metric has a label by which its series would grow without end."""
    known = {"venue", "symbol", "source", "reason", "failure_type", "sink", "name", "lane", "role"}
    assert {label for metric in ALL for label in metric._labelnames} <= known


def test_latency_is_seen_below_100_ms():
    """Half of the buckets lie at 100 ms and below, from half a millisecond on."""
    assert sum(bound <= 0.1 for bound in metrics.LATENCY_BUCKETS_S) >= 6
    assert metrics.LATENCY_BUCKETS_S[0] == 0.0005
    assert metrics.LATENCY_BUCKETS_S[-1] == 5.0


@given(values=st.lists(st.one_of(st.floats(0, 20), st.sampled_from(metrics.LATENCY_BUCKETS_S)), max_size=30))
def test_observing_many_equals_observing_each(values):
    """All at once or one by one: the same buckets, count and sum; this holds what is used of the library's inside."""
    registries = CollectorRegistry(), CollectorRegistry()
    each, many = (Histogram("h", "h", buckets=metrics.LATENCY_BUCKETS_S, registry=one) for one in registries)
    for value in values:
        each.observe(value)
    metrics.observe_each(many, np.array(values, dtype=np.float64))

    def samples(registry: CollectorRegistry):
        return {
            (s.name, s.labels.get("le")): s.value
            for family in registry.collect()
            for s in family.samples
            if not s.name.endswith("_created")
        }

    first, second = map(samples, registries)
    assert first.pop(("h_sum", None)) == pytest.approx(second.pop(("h_sum", None)))
    assert first == second


def test_the_time_since_the_last_tick_grows_while_nothing_comes():
    """It is worked out when asked, also of a symbol that never had a trade: that one counts from the start."""
    registry, now = CollectorRegistry(), [1000.0]
    received = Gauge("market_data_last_received_timestamp", "-", ["venue", "symbol"], registry=registry)
    received.labels("v", "A").set(990.0)
    collector = metrics_server.SinceLastTick(registry, [("v", "A"), ("v", "B")], 900.0, clock=lambda: now[0])

    def gaps() -> dict[str, float]:
        (family,) = (f for f in collector.collect() if f.name == "market_data_gap_seconds")
        assert {frozenset(sample.labels) for sample in family.samples} == {frozenset({"venue", "symbol"})}
        return {sample.labels["symbol"]: sample.value for sample in family.samples}

    assert gaps() == {"A": 10.0, "B": 100.0}
    now[0] = 1060.0
    assert gaps() == {"A": 70.0, "B": 160.0}
    now[0] = 980.0  # our clock was put back
    assert gaps() == {"A": 0.0, "B": 80.0}


def test_what_is_counted_is_served(served):
    """A scrape over the loopback shows a counted trade, and which release serves it."""
    metrics.TICKS.labels("test", "BTC-USDT", "ws").inc(3)
    status, body = served()("/metrics")
    assert status == 200
    assert 'market_data_ticks_total{source="ws",symbol="BTC-USDT",venue="test"} 3.0' in body
    assert "trading_platform_build_info{" in body


def test_ready_says_why_not(served):
    """Health answers as long as the process lives; ready only once it does its work."""
    reason: list[str | None] = ["binance: no stream yet of BTC-USDT"]
    ask = served(ready=lambda: reason[0])
    assert ask("/healthz") == (200, "ok\n")
    assert ask("/readyz") == (503, "binance: no stream yet of BTC-USDT\n")
    reason[0] = None
    assert ask("/readyz") == (200, "ok\n")
    assert ask("/elsewhere")[0] == 404


def test_nothing_listens_after_the_stop():
    """The port is free again, and a port in use is refused with what to change."""
    port, stop = metrics_server.serve(0)
    with pytest.raises(metrics_server.UsageError, match="set METRICS__PORT"):
        metrics_server.serve(port)
    stop()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)


def test_a_label_takes_known_words_only():
    """What a venue wrote when it closed a connection makes no series of its own."""
    words = {metrics.word_of(f"{time.time_ns()}-{n} bye", {"closed"}) for n in range(100)}
    assert words == {"other"}

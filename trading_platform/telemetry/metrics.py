"""Prometheus metrics: counters, gauges and the latency histogram; served over HTTP once a command calls `serve`.

The worker processes of one ingest write into a shared folder (`SHARED`: the library's multiprocess mode, an environment
variable that must be set before this module is imported), and their parent serves the sum. The names and labels are
part of the public contract.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from trading_platform.domain.errors import UsageError

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The library's environment variable that names the shared folder of several processes."""

LATENCY_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Buckets where latencies are expected; the library's defaults resolve little below 100 ms."""

TICK_LATENCY = Histogram(
    "market_data_tick_latency_seconds", "Exchange trade time to processed.", buckets=LATENCY_BUCKETS_S
)
TICKS = Counter("market_data_ticks_total", "Trades taken in, each once.", ["venue", "symbol", "source"])
VALIDATION_FAILURES = Counter(
    "data_validation_failures_total", "Records that failed a check.", ["venue", "symbol", "failure_type"]
)
RECONNECTS = Counter("ingest_reconnects_total", "Connections opened again, by reason.", ["venue", "reason"])


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    # When several processes set one gauge, the latest value counts.
    return Gauge(name, meaning, labels, multiprocess_mode="mostrecent")


LAST_TICK = _gauge("market_data_last_tick_timestamp", "Exchange time of the newest trade, Unix s.", "venue", "symbol")
GAP_SECONDS = _gauge("market_data_gap_seconds", "Exchange time covered by open gaps, s.", "venue", "symbol")
GAPS_OPEN = _gauge("market_data_gaps_open", "Open gaps, tails included.", "venue", "symbol")
DURABLE_LAG = _gauge("ingest_durable_lag_seconds", "From receipt of a commit's oldest frame to its fdatasync, s.")
DISK_FULL = _gauge("ingest_disk_full", "1 while a recorder waits for space on its disk.", "lane")
SINK_LAG = _gauge("sink_lag_seconds", "How far a sink is behind the log, s.", "sink")
BREAKER_STATE = _gauge("circuit_breaker_state", "0 closed, 1 half open, 2 open.", "name")


def serve(port: int, host: str = "127.0.0.1", *, shared: Path | None = None) -> tuple[int, Callable[[], None]]:
    """Serve metrics over HTTP; return the port (chosen by the OS if 0) and a function that stops the server.

    Parameters
    ----------
    shared : the folder that several processes write into; without it, this process's own metrics.

    Raises
    ------
    UsageError : if the port is in use.
    """
    registry = REGISTRY
    if shared is not None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(shared))  # type: ignore[no-untyped-call]
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise UsageError(f"metrics port {port}: {error.strerror}; set METRICS__PORT to a free one") from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return int(server.server_port), stop

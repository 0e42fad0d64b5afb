"""Prometheus metrics, with the names and labels of the contract. Nothing is served unless a root calls `serve`.

Each process counts for itself; adding up over processes is Prometheus' work.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram, start_http_server

LATENCY_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Where the values lie; the library's default buckets hide everything under 100 ms."""

TICK_LATENCY = Histogram(
    "market_data_tick_latency_seconds", "Exchange trade time to processed.", buckets=LATENCY_BUCKETS_S
)
TICKS = Counter("market_data_ticks_total", "Trades taken in, each once.", ["venue", "symbol", "source"])
LAST_TICK = Gauge("market_data_last_tick_timestamp", "Exchange time of the newest trade, Unix s.", ["venue", "symbol"])
GAP_SECONDS = Gauge("market_data_gap_seconds", "Exchange time covered by open gaps, s.", ["venue", "symbol"])
GAPS_OPEN = Gauge("market_data_gaps_open", "Open gaps, tails included.", ["venue", "symbol"])
VALIDATION_FAILURES = Counter(
    "data_validation_failures_total", "Records that failed a check.", ["venue", "symbol", "failure_type"]
)
DURABLE_LAG = Gauge("ingest_durable_lag_seconds", "Receipt of the oldest frame of the last commit to its fdatasync, s.")
RECONNECTS = Counter("ingest_reconnects_total", "Connections opened again, by reason.", ["venue", "reason"])
SINK_LAG = Gauge("sink_lag_seconds", "How far a sink is behind the log, s.", ["sink"])
BREAKER_STATE = Gauge("circuit_breaker_state", "0 closed, 1 half open, 2 open.", ["name"])


def serve(port: int, host: str = "127.0.0.1") -> tuple[int, Callable[[], None]]:
    """Serve this process's metrics; return the port (chosen by the OS if 0) and what stops it."""
    server, thread = start_http_server(port, addr=host)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return int(server.server_port), stop

"""Serve metrics and health over HTTP on the loopback: ``/metrics``, ``/healthz``, ``/readyz``.

Health says that the process answers; ready says that it does its work, or in one line why not. What is measured is
metrics.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import REGISTRY, CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from trading_platform.domain.errors import UsageError

Ready = Callable[[], str | None]
"""Returns None if the process does its work, else why not, in one line."""


class SinceLastTick(Collector):
    """`market_data_gap_seconds`: how long ago each symbol's last live trade was received, worked out when asked.

    Parameters
    ----------
    source : gives the families, of which one holds the times of receipt.
    symbols : (venue, symbol) of all that is recorded; one without a trade counts from `since_s`, the start (Unix s).
    """

    def __init__(
        self,
        source: Collector,
        symbols: Iterable[tuple[str, str]] = (),
        since_s: float = 0.0,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source, self._clock = source, clock
        self._first = dict.fromkeys(symbols, since_s)

    def collect(self) -> Iterator[Metric]:
        """Yield all families of the source and that one."""
        last = dict(self._first)
        for family in self._source.collect():
            if family.name == "market_data_last_received_timestamp":
                for sample in family.samples:
                    key = sample.labels["venue"], sample.labels["symbol"]
                    last[key] = max(last.get(key, 0.0), sample.value)
            yield family
        gap = GaugeMetricFamily(
            "market_data_gap_seconds", "Since the last live trade was received, s.", labels=["venue", "symbol"]
        )
        now = self._clock()
        for key, at in last.items():
            gap.add_metric(key, max(0.0, now - at))
        yield gap
        yield _build()


def _build() -> Metric:
    try:
        release = version("trading-platform")
    except PackageNotFoundError:  # run from a tree that was never installed
        release = "unknown"
    info = GaugeMetricFamily("trading_platform_build_info", "Always 1.", labels=["version", "python"])
    info.add_metric([release, python_version()], 1.0)
    return info


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Say nothing: a scrape every few seconds is no news."""


def serve(
    port: int,
    host: str = "127.0.0.1",
    *,
    shared: Path | None = None,
    symbols: Iterable[tuple[str, str]] = (),
    ready: Ready = lambda: None,
) -> tuple[int, Callable[[], None]]:
    """Serve metrics and health; return the port (chosen by the OS if 0) and a function that stops the server.

    Parameters
    ----------
    shared : the folder that several processes write into; without it, this process's own metrics.
    symbols : (venue, symbol) of all that is recorded.
    ready : answers ``/readyz``.

    Raises
    ------
    UsageError : if the port is in use.
    """
    source: Collector = REGISTRY
    if shared is not None:
        source = MultiProcessCollector(None, path=str(shared))  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    registry.register(SinceLastTick(source, symbols, time.time()))
    app = _app(make_wsgi_app(registry), ready)
    try:
        server = make_server(host, port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise UsageError(f"metrics port {port}: {error.strerror}; set METRICS__PORT to a free one") from error
    thread = Thread(target=server.serve_forever, name="metrics", kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return server.server_port, stop


def _app(metrics: Callable[..., Iterable[bytes]], ready: Ready) -> Callable[..., Iterable[bytes]]:
    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        reason = ready() if path == "/readyz" else None
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            status, text = "405 Method Not Allowed", "read only"
        elif path in ("/metrics", "/"):
            return metrics(environ, start_response)
        elif path not in ("/healthz", "/readyz"):
            status, text = "404 Not Found", "there are /metrics, /healthz and /readyz"
        else:
            status, text = "200 OK" if reason is None else "503 Service Unavailable", reason or "ok"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]

    return answer

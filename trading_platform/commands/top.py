"""``top``: the metrics of a running `ingest` or `up`, live on a terminal. What is measured is telemetry/metrics.py."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from trading_platform.commands.support.arguments import emit
from trading_platform.commands.support.tables import table
from trading_platform.domain.errors import UsageError, WorkError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from trading_platform.settings import Settings

EXAMPLE = "TRADING_PLATFORM_METRICS__PORT=9464 trading-platform top"
ANSWER_WITHIN_S = 5.0
COLUMNS = ("venue", "symbol", "trades", "per_s", "silent_s", "gaps", "missing", "oldest_gap_s")
LATENCY = "market_data_tick_latency_seconds"


class Reading(NamedTuple):
    """One look at the metrics.

    Attributes
    ----------
    at_s : when, on a clock that never goes back.
    rows : a row a symbol, see `COLUMNS`; the rate is None at the first look.
    facts : names and values of the rest, in words.
    """

    at_s: float
    rows: list[dict[str, object]]
    facts: dict[str, object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--once``, ``--every`` and the port."""
    parser.add_argument("--once", action="store_true", help="print one reading and end")
    parser.add_argument("--every", type=float, default=1.0, metavar="S", help="seconds between readings (default: 1)")
    parser.add_argument("--port", type=int, metavar="N", help="of the metrics (default: metrics.port of the settings)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Show readings until stopped, or one.

    Raises
    ------
    UsageError : if no port is known.
    WorkError : if nothing answers there.
    """
    port = settings.metrics.port if args.port is None else args.port
    if not port:
        raise UsageError(
            "no metrics are served: start ingest or up with TRADING_PLATFORM_METRICS__PORT=9464, or --port"
        )
    if not 0.1 <= args.every <= 3600:
        raise UsageError(f"--every {args.every:g} is not between 0.1 and 3600 seconds")
    reading = read(_fetched(port), time.monotonic(), None)
    if args.once or args.json:
        payload = {"symbols": reading.rows, **reading.facts}
        emit(args, payload, "\n".join([table(reading.rows, COLUMNS), *_lines(reading.facts)]))
        return 0
    return _show(port, reading, args.every)


def _show(port: int, reading: Reading, every_s: float) -> int:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from trading_platform.commands.support import runtime

    stop = runtime.stop_event()

    def drawn(now: Reading) -> Group:
        return Group(Text(table(now.rows, COLUMNS)), Text(""), *map(Text, _lines(now.facts)), Text("Ctrl-C ends."))

    with Live(drawn(reading), auto_refresh=False, screen=False) as live:
        while not stop.wait(every_s):
            reading = read(_fetched(port), time.monotonic(), reading)
            live.update(drawn(reading), refresh=True)
    return 0


def _fetched(port: int) -> list[Metric]:
    """Return the families that are served on this port of the loopback."""
    import httpx
    from prometheus_client.parser import text_string_to_metric_families

    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=ANSWER_WITHIN_S, trust_env=False)
        answer.raise_for_status()
        return list(text_string_to_metric_families(answer.text))
    except (httpx.HTTPError, ValueError) as error:
        raise WorkError(f"no metrics at port {port}: {error}; is an ingest or up running with metrics.port?") from None


def read(families: Iterable[Metric], at_s: float, before: Reading | None) -> Reading:
    """Return what the families say, with rates since the reading before."""
    values = {family.name: family for family in families}
    trades: dict[tuple[str, str], float] = {}
    for sample in _samples(values, "market_data_ticks"):
        if sample[0].endswith("_total"):
            key = sample[1]["venue"], sample[1]["symbol"]
            trades[key] = trades.get(key, 0.0) + sample[2]
    silent, gaps, missing, oldest = (
        _by_symbol(values, name)
        for name in (
            "market_data_gap_seconds",
            "market_data_gaps_open",
            "market_data_missing_ids",
            "market_data_open_gap_age_seconds",
        )
    )
    then = {} if before is None else {(row["venue"], row["symbol"]): row["trades"] for row in before.rows}
    rows: list[dict[str, object]] = []
    for key in sorted(trades.keys() | silent.keys()):
        count = int(trades.get(key, 0))
        known = then.get(key)
        rate = None
        if before is not None and isinstance(known, int) and at_s > before.at_s:
            rate = round((count - known) / (at_s - before.at_s), 1)
        row: dict[str, object] = {"venue": key[0], "symbol": key[1], "trades": count, "per_s": rate}
        row["silent_s"] = round(silent[key], 1) if key in silent else None
        row |= {"gaps": _whole(gaps, key), "missing": _whole(missing, key), "oldest_gap_s": _whole(oldest, key)}
        rows.append(row)
    return Reading(at_s, rows, _facts(values))


def _facts(values: Mapping[str, Metric]) -> dict[str, object]:
    """Return what is told of processes, queues and connections."""
    found: dict[str, object] = {}
    for share in (0.5, 0.99):
        if (bound := quantile(_samples(values, LATENCY), share)) is not None:
            found[f"latency_p{round(share * 100)}_s"] = bound
    for name in ("ingest_durable_lag_seconds", "sink_lag_seconds", "ingest_undecoded_seconds", "circuit_breaker_state"):
        for _, labels, value in _samples(values, name):
            found[" ".join([name, *labels.values()])] = round(value, 3)
    for _, labels, value in _samples(values, "ingest_memory_bytes"):
        found[f"memory {labels['venue']} {labels['role']} MB"] = round(value / 1e6)
    for _, labels, value in _samples(values, "exchange_clock_offset_seconds"):
        found[f"clock of {labels['venue']} ahead s"] = round(value, 3)
    return found


def quantile(samples: Iterable[tuple[str, Mapping[str, str], float]], share: float) -> float | None:
    """Return the upper bound of the bucket in which a share of the observations ends, None if there are none.

    >>> quantile([("h_bucket", {"le": "0.1"}, 3.0), ("h_bucket", {"le": "+Inf"}, 4.0)], 0.5)
    0.1
    """
    buckets = sorted((float(labels["le"]), count) for name, labels, count in samples if name.endswith("_bucket"))
    if not buckets or not buckets[-1][1]:
        return None
    return next(bound for bound, count in buckets if count >= share * buckets[-1][1])


def _samples(values: Mapping[str, Metric], name: str) -> list[tuple[str, Mapping[str, str], float]]:
    return [(s.name, s.labels, s.value) for s in values[name].samples] if name in values else []


def _by_symbol(values: Mapping[str, Metric], name: str) -> dict[tuple[str, str], float]:
    return {(labels["venue"], labels["symbol"]): value for _, labels, value in _samples(values, name)}


def _whole(values: Mapping[tuple[str, str], float], key: tuple[str, str]) -> int | None:
    return round(values[key]) if key in values else None


def _lines(facts: Mapping[str, object]) -> list[str]:
    return [f"{name}: {value}" for name, value in facts.items()]

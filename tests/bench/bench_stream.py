"""From the socket to durable: recording at full speed and at 20,000 trades/s

Binance combined `@trade`, one trade a text frame of about 170 B, 50 symbols; the sender is another process on the
other core and writes runs of at most 64 KiB; neither TLS nor deflate unless a line says so. The recorder is the real
one, with log and session; decoding and publishing are other processes, or off. Every trade's id is checked in the log
afterwards. Rounds alternate, the values are medians; rates from the connection to the last durable trade.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from tests.bench.__main__ import Line
from tests.bench.feed import PAUSE
from tests.bench.streams import ROOT, Feed, Measured, bare, feed, fresh_data, recorded, verify, worker

ROUNDS = 3
SLOW, FAST, OTHER = 200_000, 2_000_000, 300_000
RATE, SECONDS = 20_000, 10
CERTIFICATE = ROOT / "tests" / "data" / "localhost.pem"


def measure() -> Iterator[Line]:
    """Measure rates, then what the other conditions cost, then the waits at a steady rate."""
    yield from _default()
    yield from _fast()
    yield from _others()
    yield from _waits()


def _record(source: Feed, transport: str, **options: object) -> Measured:
    with fresh_data() as data:
        return recorded(source, data, transport, **options)  # type: ignore[arg-type]


def _median(measured: list[Measured]) -> Measured:
    return Measured(*(statistics.median(values) for values in zip(*measured, strict=True)))


def _default() -> Iterator[Line]:
    with feed(SLOW) as source:
        pairs = [(bare(source), _record(source, "websockets")) for _ in range(ROUNDS)]
    loop, ours = (_median(list(side)) for side in zip(*pairs, strict=True))
    yield Line("a bare `websockets` receive loop, nothing kept", loop.rate / 1e3, "k trades/s")
    yield Line("recorder, transport `websockets`, durable", ours.rate / 1e3, "k trades/s")
    ratio = statistics.median(mine.rate / other.rate for other, mine in pairs)
    yield Line("ratio, median of rounds (goal: 0.9 or more)", ratio, "×", headline=True)


def _fast() -> Iterator[Line]:
    with feed(FAST) as source:
        pairs = [(_logged(source), _record(source, "fast")) for _ in range(ROUNDS)]
    floor = statistics.median(rate for rate, _ in pairs)
    ours = _median([mine for _, mine in pairs])
    yield Line("floor: a raw socket logged by the same commit rule", floor / 1e3, "k trades/s")
    yield Line("recorder, transport `fast`, durable (goal: 1,000)", ours.rate / 1e3, "k trades/s", headline=True)
    yield Line("the best round", max(mine.rate for _, mine in pairs) / 1e3, "k trades/s")
    yield Line("its process CPU (goal: 1,000 or less)", ours.cpu_ns, "ns a trade", headline=True)
    yield Line("ratio to the floor, median of rounds", statistics.median(m.rate / r for r, m in pairs), "×")


def _others() -> Iterator[Line]:
    with feed(OTHER, "--single") as source:
        one = _record(source, "fast")
    with feed(OTHER, "--tls", str(CERTIFICATE)) as source:
        tls = _record(source, "fast", tls=str(CERTIFICATE))
    with feed(OTHER, "--deflate") as source:
        deflate = _record(source, "fast", compression=True)
    for name, measured in (("one send per message", one), ("TLS", tls), ("deflate", deflate)):
        yield Line(f"`fast`, {name}", measured.rate / 1e3, "k trades/s")
        yield Line(f"`fast`, {name}, process CPU", measured.cpu_ns, "ns a trade")


def _logged(source: Feed) -> float:
    """Return the rate of the reference logger."""
    waits, ended = _reference(source)
    del waits
    return source.count / (ended - source.begun_ns()) * 1e9


def _reference(source: Feed) -> tuple[list[tuple[int, int]], int]:
    with fresh_data() as data:
        command = [sys.executable, "-m", "tests.bench.receive", "logger", source.url, str(source.count)]
        done = subprocess.run([*command, str(data.root / "flat")], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    told = json.loads(done.stdout)
    return told["waits"], told["ended_ns"]


def _timed(source: Feed, *, publishing: bool) -> list[tuple[int, int]]:
    """Record at the feed's rate; return the waits of the records."""
    with fresh_data() as data, tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        out = Path(folder) / "waits.json"
        with worker("recorder", data, source.url, module=("tests.bench.receive", "timed", str(out))):
            source.begun_ns()
            if publishing:
                held.enter_context(worker("processor", data, source.url))
                held.enter_context(worker("publisher", data, source.url, module=("tests.bench.receive", "publish")))
            PAUSE.wait(SECONDS + 2)
        verify(data, source.count)
        waits: list[tuple[int, int]] = json.loads(out.read_text())
        return waits


def _percentiles(waits: list[tuple[int, int]]) -> tuple[float, float]:
    """Return p50 and p99 in ms; each record's wait counts as often as it holds trades (or bytes)."""
    weights, values = np.asarray(waits, np.float64).T
    order = np.argsort(values)
    shares = np.cumsum(weights[order]) / weights.sum()
    at = np.searchsorted(shares, (0.5, 0.99))
    p50, p99 = values[order][at] / 1e6
    return float(p50), float(p99)


def _waits() -> Iterator[Line]:
    with feed(RATE * SECONDS, "--rate", str(RATE)) as source:
        rounds = []
        for _ in range(ROUNDS):
            waits, _ = _reference(source)
            source.begun_ns()
            rounds.append(
                [
                    _percentiles(waits),
                    _percentiles(_timed(source, publishing=False)),
                    _percentiles(_timed(source, publishing=True)),
                ]
            )
    for name, at in (("reference logger", 0), ("recorder", 1), ("recorder while publishing runs", 2)):
        p50, p99 = (statistics.median(values) for values in zip(*(one[at] for one in rounds), strict=True))
        goal = " (goal: 2 or less)" if at == 1 else ""
        yield Line(f"receive to durable at {RATE:,} trades/s, {name}, p50{goal}", p50, "ms", headline=at == 1)
        yield Line(f"the same, p99, {name}", p99, "ms")
    alone = statistics.median(mine[1] / reference[1] for reference, mine, _ in rounds)
    busy = statistics.median(published[1] / mine[1] for _, mine, published in rounds)
    yield Line("p99, recorder to reference (goal: 1.5 or less)", alone, "×", headline=True)
    yield Line("p99, while publishing to alone (goal: 1.3 or less)", busy, "×", headline=True)

"""From receive to durable at 20,000 trades/s

Binance combined `@trade`, one trade a text frame of about 170 B, 50 symbols; the sender is another process on the
other core and sends each trade when it is due; neither TLS nor deflate. The recorder is the real one, with log and
session; decoding and publishing are other processes, running where a line says so. Every trade's id is checked in the
log afterwards. Rounds alternate, the values are medians. A wait begins when the socket has been read and ends when
fdatasync has returned. The reference logger has the same schedule, bytes, commit rule and priority, and nothing else.
Of each round the first three seconds do not count: decoders load their kernels then. Ratios are of the medians.
Publishing is that of `ingest`, sealing of the log included, with pauses of a second instead of thirty, or of twenty
times what the last publish took, which is its own rule.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from tests.bench.__main__ import Line
from tests.bench.feed import PAUSE
from tests.bench.streams import Feed, feed, fresh_data, logged, verify, worker

ROUNDS = 7
RATE, SECONDS = 20_000, 13
WARM_UP_NS = 3 * 10**9


Wait = tuple[int, int, int]
"""How many trades (or bytes) a read brought, when, and how long they took to be durable, in ns."""


def _timed(source: Feed, *, publishing: bool) -> list[Wait]:
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
        waits: list[Wait] = json.loads(out.read_text())
        return waits


def _percentiles(waits: list[Wait]) -> tuple[float, float]:
    """Return p50 and p99 in ms; each read's wait counts as often as it holds trades (or bytes)."""
    weights, begun, values = np.asarray(waits, np.float64).T
    warm = begun >= begun.min() + WARM_UP_NS
    weights, values = weights[warm], values[warm]
    order = np.argsort(values)
    shares = np.cumsum(weights[order]) / weights.sum()
    at = np.searchsorted(shares, (0.5, 0.99))
    p50, p99 = values[order][at] / 1e6
    return float(p50), float(p99)


def measure() -> Iterator[Line]:
    """Measure the three in turn."""
    with feed(RATE * SECONDS, "--rate", str(RATE)) as source:
        rounds = []
        for _ in range(ROUNDS):
            waits, _ = logged(source)
            source.begun_ns()
            rounds.append(
                [
                    _percentiles(waits),
                    _percentiles(_timed(source, publishing=False)),
                    _percentiles(_timed(source, publishing=True)),
                ]
            )
    p99s = []
    for name, at in (("reference logger", 0), ("recorder", 1), ("recorder while publishing runs", 2)):
        p50, p99 = (statistics.median(values) for values in zip(*(one[at] for one in rounds), strict=True))
        p99s.append(p99)
        goal = " (goal: 2 or less)" if at == 1 else ""
        yield Line(f"receive to durable at {RATE:,} trades/s, {name}, p50{goal}", p50, "ms", headline=at == 1)
        yield Line(f"the same, p99, {name}", p99, "ms")
    reference, alone, busy = p99s
    yield Line("p99, recorder to reference (goal: 1.5 or less)", alone / reference, "×", headline=True)
    yield Line("p99, while publishing to alone (goal: 1.3 or less)", busy / alone, "×", headline=True)

"""Recording with the fast transport

Binance combined `@trade`, one trade a text frame of about 170 B, 50 symbols; the sender is another process on the
other core and writes runs of at most 64 KiB; neither TLS nor deflate unless a line says so. The recorder is the real
one, with log and session; decoding and publishing are other processes, off here. Every trade's id is checked in the
log afterwards. Rounds alternate, the values are medians; rates from the connection to the last durable trade. Where
the disk is shared, the floor tells what it gave in the same rounds.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.__main__ import Line
from tests.bench.streams import Feed, feed, logged, medians, record_once
from tests.support.faults.certificates import self_signed

ROUNDS = 5
TRADES, OTHER = 2_000_000, 300_000


def measure() -> Iterator[Line]:
    """Measure full speed, then what other conditions cost."""
    yield from _full_speed()
    yield from _others()


def _full_speed() -> Iterator[Line]:
    with feed(TRADES) as source:
        pairs = [(_logged(source), record_once(source, "fast")) for _ in range(ROUNDS)]
    floor = statistics.median(rate for rate, _ in pairs)
    ours = medians([mine for _, mine in pairs])
    yield Line("floor: a raw socket logged by the same commit rule", floor / 1e3, "k trades/s")
    yield Line("recorder, transport `fast`, durable (goal: 1,000)", ours.rate / 1e3, "k trades/s", headline=True)
    yield Line("the best round", max(mine.rate for _, mine in pairs) / 1e3, "k trades/s")
    yield Line("`fast`, process CPU (goal: 1,000 or less)", ours.cpu_ns, "ns a trade", headline=True)
    yield Line("ratio to the floor, median of rounds", statistics.median(m.rate / r for r, m in pairs), "×")


def _others() -> Iterator[Line]:
    with feed(OTHER, "--single") as source:
        one = record_once(source, "fast")
    with tempfile.TemporaryDirectory() as folder:
        certificate = str(self_signed(Path(folder)))
        with feed(OTHER, "--tls", certificate) as source:
            tls = record_once(source, "fast", tls=certificate)
    with feed(OTHER, "--deflate") as source:
        deflate = record_once(source, "fast", compression=True)
    for name, measured in (("one send per message", one), ("TLS", tls), ("deflate", deflate)):
        yield Line(f"`fast`, {name}", measured.rate / 1e3, "k trades/s")
        yield Line(f"`fast`, {name}, process CPU", measured.cpu_ns, "ns a trade")


def _logged(source: Feed) -> float:
    """Return the rate of the reference logger."""
    waits, ended = logged(source)
    del waits
    return source.count / (ended - source.begun_ns()) * 1e9

"""Recording with the default transport

Binance combined `@trade`, one trade a text frame of about 170 B, 50 symbols; the sender is another process on the
other core and writes runs of at most 64 KiB; neither TLS nor deflate. The recorder is the real one, with log and
session; decoding and publishing are other processes, off here. Every trade's id is checked in the log afterwards.
Rounds alternate, the values are medians; rates from the connection to the last durable trade.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from tests.bench.__main__ import Line
from tests.bench.streams import bare, feed, medians, record_once

ROUNDS = 7
TRADES = 300_000


def measure() -> Iterator[Line]:
    """Measure both in turn."""
    with feed(TRADES) as source:
        pairs = [(bare(source), record_once(source, "websockets")) for _ in range(ROUNDS)]
    loop, ours = (medians(list(side)) for side in zip(*pairs, strict=True))
    yield Line("a bare `websockets` receive loop, nothing kept", loop.rate / 1e3, "k trades/s")
    yield Line("recorder, transport `websockets`, durable", ours.rate / 1e3, "k trades/s")
    yield Line("its process CPU, kernel and disk thread included", ours.cpu_ns, "ns a trade")
    yield Line("process CPU of the bare loop", loop.cpu_ns, "ns a trade")
    ratio = statistics.median(mine.rate / other.rate for other, mine in pairs)
    yield Line("recorder to a bare `websockets` loop, wall rate (goal: 0.9 or more)", ratio, "×", headline=True)

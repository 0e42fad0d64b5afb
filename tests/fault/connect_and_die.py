"""Run by test_connect_budget: for each line on stdin a forked child records from a venue until it is killed.

``URL ROOT KEEPS``: the venue's address, the data directory, whether attempts are kept (``kept`` or ``forgotten``). The
child's pid is printed, then what came of its first attempt: ``open``, or ``held back`` if it may not connect yet.
Forked from a process that has imported everything, a child costs little.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.builders.venue_limits import with_limit
from trading_platform.ingest.rate_limits.connect_history import ConnectHistory
from trading_platform.ingest.rate_limits.connect_policy import ConnectLimits
from trading_platform.ingest.recorder.recorder import Clocks, Recorder
from trading_platform.ingest.transport.protocol import OpenStream
from trading_platform.ingest.transport.websocket import open_stream
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.log.writer import LaneWriter
from trading_platform.telemetry import logs
from trading_platform.venues.binance import Binance

SOON_NS = 10**9


class Small(Binance):
    """A venue that allows an address little."""

    limits = with_limit(Binance.limits, "connects", 20)


async def record(url: str, root: str, *, keeps: bool) -> None:
    """Connect if that is allowed by now, tell, and record until killed."""
    data = DataDir(Path(root)).create()
    book = ConnectHistory(data.run / "attempts-binance", ConnectLimits.connects_window_s)
    clocks = Clocks(time.time_ns, time.monotonic_ns)
    symbols = {"BTCUSDT": "BTC-USDT"}
    with LaneWriter.open(data.lane("live-binance"), clock=time.time_ns, entropy=os.urandom, wait_s=5.0) as writer:
        recorder = Recorder(
            Small(),
            symbols,
            url,
            writer,
            clocks,
            random.Random(1),
            transport=telling,
            attempted_ns=book.recall(time.time_ns()) if keeps else (),
            on_connect=book.note,
        )
        now_ns = clocks.monotonic_ns()
        if recorder.address.ready_ns(now_ns) > now_ns + SOON_NS:
            tell("held back")
        await recorder.run(asyncio.Event())


@asynccontextmanager
async def telling(url: str) -> AsyncIterator[OpenStream]:
    """Open a stream and say so."""
    async with open_stream(url) as stream:
        tell("open")
        yield stream


def tell(text: str) -> None:
    """Print a line in one piece: of two processes that print, neither comes between."""
    os.write(1, f"{text}\n".encode())


def main() -> None:
    logs.configure(level="error", as_json=False)
    for line in sys.stdin:
        url, root, keeps = line.split()
        child = os.fork()
        if child == 0:
            tell(str(os.getpid()))
            try:
                asyncio.run(record(url, root, keeps=keeps == "kept"))
            finally:
                os._exit(1)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()

"""The real recorder, processor, recovery and publisher in one process, on timers that suit a test.

What is asked of a venue over minutes happens here over tenths of seconds: the adapter's keep-alive is handed in short.
The whole command with its workers is tests/support/builders/ingest_process.py; what comes out is judged by
tests/support/judges/identity.py.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.judges.identity import accounts, judge
from tests.support.waiting import wait_until
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.processor.processor import Processor
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.ingest.rate_limits.connect_policy import ConnectLimits
from trading_platform.ingest.recorder.recorder import Clocks, Recorder
from trading_platform.ingest.recovery.recovery import Endpoint, FetchContext, Outcome, fetch_days, recover_missing
from trading_platform.ingest.transport.protocol import Transport
from trading_platform.ingest.transport.websocket import open_stream
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, LaneReader, LaneWriter
from trading_platform.venues.adapter import KeepAlive, VenueAdapter
from trading_platform.venues.binance import Binance

BOUNDS = Bounds.of("2016-01-01")
REAL = Clocks(time.time_ns, time.monotonic_ns)


class Impatient(Binance):
    """The venue's adapter with a tenth of its patience, for tests in which a connection dies silently."""

    keepalive = KeepAlive("ping", b"", 1.0, 0.5, 1.5)


class SmallIngest:
    """A data directory, and what records into it from a venue at these addresses.

    Parameters
    ----------
    symbols : canonical names.
    adapter : the venue's own unless given.
    clocks : the recorder's.
    connects : how a refused connection waits; None: as the recorder does by itself.

    Attributes
    ----------
    reports : what the recorder told of its attempts: symbols, and why there is no stream, None if there is one.
    """

    def __init__(
        self,
        root: Path,
        ws_url: str,
        rest_url: str,
        symbols: Sequence[str] = ("BTC-USDT",),
        *,
        adapter: VenueAdapter | None = None,
        clocks: Clocks = REAL,
        connects: ConnectLimits | None = None,
        transport: Transport = partial(open_stream, open_timeout_s=1.0),  # noqa: B008  a constant
    ) -> None:
        self.data = DataDir(root).create()
        self.ledger = Ledger.open(self.data)
        self.adapter: VenueAdapter = adapter or Binance()
        self.lane = f"live-{self.adapter.name}"
        self.ws_url, self.rest_url, self.clocks, self.transport = ws_url, rest_url, clocks, transport
        self.symbols = {self.adapter.venue_symbol(symbol): symbol for symbol in symbols}
        self.took_s = 0.0
        self._connects = connects
        self.reports: list[tuple[list[str], str | None]] = []

    def close(self) -> None:
        """Let go of the ledger."""
        self.ledger.close()

    def record(self, until: Callable[[], object], *, lane: str | None = None, timeout_s: float = 30.0) -> None:
        """Record until `until` says so, then stop in order; `took_s` tells how long stopping took."""
        asyncio.run(self._record(until, lane or self.lane, timeout_s))

    async def _record(self, until: Callable[[], object], lane: str, timeout_s: float) -> None:
        stop = asyncio.Event()
        with LaneWriter.open(self.data.lane(lane), clock=self.clocks.wall_ns, entropy=os.urandom) as writer:
            recorder = Recorder(
                self.adapter,
                self.symbols,
                self.ws_url,
                writer,
                self.clocks,
                random.Random(1),
                transport=self.transport,
                known_ns=self.ledger.tail_ns(self.adapter.name, self.symbols.values()),
                report=lambda symbols, reason: self.reports.append((list(symbols), reason)),
            )
            if self._connects is not None:
                recorder.address.limits = self._connects
            running = asyncio.create_task(recorder.run(stop))
            waiting = asyncio.create_task(asyncio.to_thread(wait_until, until, timeout_s=timeout_s, what="recorded"))
            await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
            stopped = time.monotonic()
            stop.set()
            await running
            self.took_s = time.monotonic() - stopped
            await waiting

    def process(self, lanes: Iterable[str] = ()) -> None:
        """Decode and stage what was recorded, and publish it."""
        for lane in lanes or (self.lane,):
            processor = Processor(self.data, lane, self.ledger, {self.adapter.name: self.adapter}, BOUNDS)
            try:
                processor.drain()
            finally:
                processor.close()
        publish_staged(self.data, self.ledger, pass_all)

    def recover(self, *, patient: bool = False, **context: Any) -> Outcome:
        """Close what is open."""
        wait = context.pop("wait", threading.Event().wait)
        given = FetchContext(BOUNDS, pass_all, context.pop("share", 0.5), wait, random.Random(2), **context)
        return recover_missing(self.data, self.ledger, self._endpoints(), given, patient=patient)

    def fetch_days(self, first: str, last: str) -> Outcome:
        """Fetch whole days of every symbol, as `backfill --fetch` does; waits are not waited for."""
        given = FetchContext(BOUNDS, pass_all, 0.5, lambda seconds: False, random.Random(2))
        pairs = [(self.adapter.name, symbol) for symbol in self.symbols.values()]
        return fetch_days(self.data, self.ledger, self._endpoints(), given, pairs, first, last)

    def _endpoints(self) -> dict[str, Endpoint]:
        return {self.adapter.name: Endpoint(self.adapter, self.rest_url)}

    def controls(self, lane: str | None = None) -> list[control.Control]:
        """Return the control records of a lane, none while there is no lane."""
        directory = self.data.lane(lane or self.lane)
        if not directory.is_dir():
            return []
        found = []
        with LaneReader(directory) as reader:
            while records := reader.read():
                found += [control.decode_control(record.frames[0]) for record in records if record.kind == Kind.CONTROL]
        return found

    def ends(self) -> list[str]:
        """Return why connections ended, in order."""
        return [fact.reason for fact in self.controls() if isinstance(fact, control.Disconnected)]

    def opened(self) -> int:
        """Return how many connections were opened."""
        return sum(isinstance(fact, control.Connected) for fact in self.controls())

    def assert_whole(self, truth: list[dict[str, Any]], *, bitten: bool = False) -> Outcome:
        """Decode, recover, publish; then nothing is open, and the judge finds nothing wrong.

        `bitten` demands that something was missing before recovery: else the fault proved nothing.
        """
        self.process()
        if bitten:
            held: dict[str, set[int]] = {key: set() for key in self.symbols.values()}
            for symbol, book in accounts(self.data.root).items():
                held[symbol] = book.stored
            assert any(line["trade_id"] not in held[line["symbol"]] for line in truth), "nothing was missing"
        outcome = self.recover(patient=True)
        assert outcome.nothing_open, outcome
        assert judge(self.data.root, truth) == []
        return outcome

"""What processor and supervisor do between a lane and a recorder, impatiently: probe and renew silent symbols."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx

from tests.support.builders.venue_thread import Simulator
from trading_platform.domain.position import START
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.ingest.liveness.stale_symbols import SilenceLimits
from trading_platform.ingest.processor.stale_symbol_monitor import SilenceWatch
from trading_platform.ingest.recorder.recorder import Recorder
from trading_platform.ingest.workers import messages
from trading_platform.store.log.writer import LaneReader
from trading_platform.venues.adapter import VenueAdapter


class SilenceWatcher:
    """Runs on a thread, until told to stop.

    Parameters
    ----------
    lane : what the recorder writes.
    symbols : the venue's spelling -> canonical name.

    Attributes
    ----------
    recorder, loop : set once the recorder runs, before `run`.
    said : what the watch asked for.
    """

    recorder: Recorder
    loop: asyncio.AbstractEventLoop

    def __init__(self, venue: Simulator, lane: Path, adapter: VenueAdapter, symbols: Mapping[str, str]) -> None:
        self._venue, self._lane, self._adapter = venue, lane, adapter
        patience = SilenceLimits(floor_s=1.0, cap_s=3.0, settle_s=0.5)
        self._watch = SilenceWatch(symbols.values(), self._told, time.monotonic_ns, patience)
        self.said: list[messages.Message] = []

    def run(self, stop: threading.Event) -> None:
        """Look at what is recorded until `stop` is set."""
        with LaneReader(self._lane) as reader:
            decoder = Decoder(self._lane.name, {self._adapter.name: self._adapter}, Bounds.of("2016-01-01"))
            at = START
            while not stop.wait(0.02):
                records = reader.read()
                if reader.position != at:
                    self._watch.observe(decoder.decode(records, at, reader.position))
                    at = reader.position
                else:
                    self._watch.judge()

    def probe(self, symbols: Iterable[str]) -> None:
        """Ask for heads, as the recorder does."""
        for line in messages.probe(symbols):
            threading.Thread(target=self._told, args=(line,)).start()

    def _told(self, line: bytes) -> None:
        message = messages.decode_message(line)
        assert message is not None
        self.said.append(message)
        if isinstance(message, messages.Renew):
            self.loop.call_soon_threadsafe(self.recorder.renew, message.symbols)
        elif isinstance(message, messages.ProbeRequest):
            heads = {symbol: self._head(symbol) for symbol in message.symbols}
            self.loop.call_soon_threadsafe(self.recorder.probed, heads)
            for answer in messages.heads(heads):
                self._watch.on_message(answer)

    def _head(self, symbol: str) -> int | None:
        assert self._adapter.history is not None
        request = self._adapter.history.newest(self._adapter.venue_symbol(symbol))
        body = httpx.get(self._venue.rest_url + request.path, params=list(request.params), trust_env=False).content
        return max((trade.trade_id or 0 for trade in self._adapter.history.read(body, symbol).trades), default=None)

"""The recorder: a venue's stream -> raw frames in the log, and nothing else. Nothing may slow or kill it.

Imports no database, dataframe or Dagster library. Decoding is processor.py, in a process of its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

from trading_platform.domain.venue import VenueAdapter
from trading_platform.ingest import control
from trading_platform.ingest.committer import Committer
from trading_platform.ingest.session import Session, SessionLimits
from trading_platform.ingest.websocket_client import (
    ConnectionLost,
    HandshakeRefused,
    OpenStream,
    Transport,
    open_stream,
)
from trading_platform.store.segment_log import Kind, LaneWriter
from trading_platform.telemetry import metrics
from trading_platform.telemetry.logs import get_logger

log = get_logger(__name__)
STOP_WITHIN_S = 5.0


class Clocks(NamedTuple):
    """Where time comes from: the wall for what is stored, the monotonic one for every wait."""

    wall_ns: Callable[[], int]
    monotonic_ns: Callable[[], int]


class Recorder:
    """Records the trades of some symbols of one venue into one lane.

    Parameters
    ----------
    symbols : venue's spelling -> canonical name.
    ws_url : the venue's base address.
    transport : opens connections.
    """

    def __init__(
        self,
        adapter: VenueAdapter,
        symbols: Mapping[str, str],
        ws_url: str,
        writer: LaneWriter,
        clocks: Clocks,
        rng: random.Random,
        *,
        transport: Transport = open_stream,
    ) -> None:
        self._adapter = adapter
        self._transport = transport
        self._symbols = dict(symbols)
        self._ws_url = ws_url
        self._clocks = clocks
        self._rng = rng
        self._committer = Committer(
            writer, wall_ns=clocks.wall_ns, monotonic_ns=clocks.monotonic_ns, on_durable=self._durable
        )
        self._connections = 0
        self.frames = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Record until `stop` is set; on return everything received is durable.

        Raises
        ------
        StorageError : when the disk refuses; what was received after the last commit is lost and will be refetched.
        """
        self._control(control.Started(self._adapter.name, self._symbols))
        committing = asyncio.create_task(self._committer.run())
        names = sorted(self._symbols)
        size = self._adapter.streams_per_connection
        feeds = [asyncio.create_task(self._feed(names[at : at + size], stop)) for at in range(0, len(names), size)]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({committing, stopping, *feeds}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        _, slow = await asyncio.wait(feeds, timeout=STOP_WITHIN_S)
        for task in slow:
            task.cancel()
        ends = await asyncio.gather(*feeds, return_exceptions=True)
        self._committer.close()
        await committing
        for end in ends:
            # A feed ends by itself only with a bug: let it be loud, now that its frames are safe.
            if isinstance(end, Exception):
                raise end

    async def _feed(self, names: list[str], stop: asyncio.Event) -> None:
        session = Session(SessionLimits(connects=self._adapter.connects_per_5min // 2), self._rng)
        url = self._adapter.stream_url(self._ws_url, names)
        symbols = {name: self._symbols[name] for name in names}
        venue = self._adapter.name
        while not stop.is_set():
            now = self._clocks.monotonic_ns()
            if await _set_within(stop, (session.next_connect_ns(now) - now) / 1e9):
                return
            session.connecting(self._clocks.monotonic_ns())
            try:
                reason = await self._stream(url, symbols, session, stop)
            except HandshakeRefused as error:
                session.refused(self._clocks.monotonic_ns(), error.status, error.retry_after_s)
                self._note_ban(error)
                reason = f"http {error.status}"
            except ConnectionLost as error:
                session.failed(self._clocks.monotonic_ns())
                reason = str(error)
            if stop.is_set():
                return
            metrics.RECONNECTS.labels(venue, reason.split()[0]).inc()
            metrics.BREAKER_STATE.labels(f"stream-{venue}").set(2)
            log.warning("stream lost", venue=venue, reason=reason)

    async def _stream(self, url: str, symbols: dict[str, str], session: Session, stop: asyncio.Event) -> str:
        async with self._transport(url) as stream:
            # Closing makes the loop below take what is buffered and then end.
            closing = asyncio.create_task(_close_when(stop, stream))
            self._connections += 1
            connection = self._connections
            self._control(control.Connected(self._adapter.name, connection, symbols))
            metrics.BREAKER_STATE.labels(f"stream-{self._adapter.name}").set(0)
            log.info("stream open", venue=self._adapter.name, connection=connection, symbols=len(symbols))
            committer, reason = self._committer, "stopped"
            try:
                while True:
                    committer.add_batch(await stream.receive_batch(), connection)
                    session.delivered()
                    await committer.room()
            except ConnectionLost as error:
                reason = str(error)
                session.failed(self._clocks.monotonic_ns())
                return reason
            finally:
                closing.cancel()
                self._control(control.Disconnected(connection, reason))

    def _note_ban(self, error: HandshakeRefused) -> None:
        if error.status == 418:
            until_ns = self._clocks.wall_ns() + int((error.retry_after_s or 120.0) * 1e9)
            self._control(control.BanSeen(self._adapter.name, until_ns))

    def _control(self, fact: control.Control) -> None:
        self._committer.add(Kind.CONTROL, control.encode(fact))

    def _durable(self, frames: int, lag_ns: int) -> None:
        self.frames += frames
        metrics.DURABLE_LAG.set(lag_ns / 1e9)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, at most `seconds`; return whether it is set."""
    if seconds > 0:
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
    return event.is_set()


async def _close_when(stop: asyncio.Event, stream: OpenStream) -> None:
    await stop.wait()
    await stream.close()

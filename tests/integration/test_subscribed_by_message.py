"""Streams that are subscribed by message, on sockets: over both transports, within the venue's limit of messages."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.builders.ingest_in_process import SmallIngest
from tests.support.builders.silence_watcher import SilenceWatcher
from tests.support.builders.venue_limits import with_limit
from tests.support.builders.venue_thread import Simulator, simulator  # noqa: F401  the fixture
from tests.support.judges.lake_truth import compare
from tests.support.waiting import wait_until
from trading_platform.ingest.recorder.recorder import Clocks, Recorder
from trading_platform.ingest.transport import fast_websocket, websocket
from trading_platform.ingest.transport.protocol import Transport
from trading_platform.ingest.workers import messages
from trading_platform.simulate.exchanges.kraken import KrakenExchange as SimulatedKraken
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.synthetic_market import DEMO_START_NS, SyntheticMarket
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import LaneWriter
from trading_platform.venues.kraken import Kraken

Start = Callable[..., Simulator]
TRANSPORTS: dict[str, Transport] = {
    "websockets": partial(websocket.open_stream, per_second=3.0),
    "fast": partial(fast_websocket.open_stream, per_second=3.0),
}
ETH, BTC, SOL = "ETH-USD", "BTC-USD", "SOL-USD"


class ShortLived(Kraken):
    """Believes that connections are cut after four seconds, and names one symbol a message."""

    connection_lifetime_s = 4.0

    def connect(self, base: str, venue_symbols: list[str]):  # type: ignore[no-untyped-def,override]
        """Return a message for each symbol."""
        plan = super().connect(base, venue_symbols)
        return plan._replace(
            say=tuple(each for name in venue_symbols for each in super(ShortLived, self).connect(base, [name]).say)
        )


def market(seconds: float) -> SyntheticMarket:
    """Return a market of three symbols."""
    end_ns = DEMO_START_NS + int(seconds * 1e9)
    return SyntheticMarket(seed=7, start_ns=DEMO_START_NS, end_ns=end_ns, profiles=SimulatedKraken.profiles)


def handovers(ingest: SmallIngest) -> list[str]:
    """Return the steps of all handovers."""
    return [fact.step for fact in ingest.controls() if isinstance(fact, control.HandoverRecord)]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_new_connection_subscribes_before_the_old_one_ends(
    simulator: Start,  # noqa: F811
    tmp_path: Path,
    transport: str,
) -> None:
    """Of three messages a second one is kept for a ping, so three symbols take two seconds; no id is missing."""
    venue = simulator(market(3600.0), exchange=SimulatedKraken, speed=60.0)
    ingest = SmallIngest(
        tmp_path / "data",
        venue.ws_url,
        venue.rest_url,
        [BTC, ETH, SOL],
        adapter=ShortLived(),
        transport=TRANSPORTS[transport],
    )
    ingest.record(lambda: handovers(ingest).count("taken over") >= 2)
    ingest.process()
    assert handovers(ingest)[:6] == ["begins", "opened", "taken over"] * 2
    assert ingest.ends()[:2] == ["handed over to connection 2", "handed over to connection 3"]
    assert ingest.ledger.gaps() == []
    assert {symbol for symbols, _ in ingest.reports for symbol in symbols} == {BTC, ETH, SOL}
    ingest.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_symbol_that_is_not_listed_is_named_and_the_others_are_recorded(
    simulator: Start,  # noqa: F811
    tmp_path: Path,
    transport: str,
) -> None:
    """One answer refuses it; it is reported once, and nobody waits for it."""
    venue = simulator(market(60.0), exchange=SimulatedKraken, speed=30.0)
    ingest = SmallIngest(
        tmp_path / "data",
        venue.ws_url,
        venue.rest_url,
        [BTC, "NONE-USD"],
        adapter=Kraken(),
        transport=TRANSPORTS[transport],
    )
    ingest.record(lambda: venue.wait_ended(0))
    ingest.process()
    assert ingest.reports == [(["NONE-USD"], "Currency pair not supported NONE/USD"), ([BTC], None)]
    assert compare(ingest.data.root, "kraken", [line for line in venue.truth() if line["symbol"] == BTC]) == []
    ingest.close()


def test_a_subscription_that_is_acknowledged_and_delivers_nothing_is_renewed(
    simulator: Start,  # noqa: F811
    tmp_path: Path,
) -> None:
    """REST tells that it trades: a second connection brings it, the other symbols miss nothing."""
    plan = FaultPlan(events=[Event(kind="empty_ack", at_s=0, symbol=ETH)])
    venue = simulator(market(3600.0), exchange=SimulatedKraken, speed=20.0, plan=plan)
    adapter, lane = Kraken(), tmp_path / "live-kraken"
    adapter.limits = with_limit(adapter.limits, "requests", 1000)
    symbols = {adapter.venue_symbol(symbol): symbol for symbol in (BTC, ETH)}
    watcher, over, opened = SilenceWatcher(venue, lane, adapter, symbols), threading.Event(), []

    async def main() -> None:
        stop = asyncio.Event()
        with LaneWriter.open(lane, clock=time.time_ns, entropy=os.urandom) as writer:
            clocks = Clocks(time.time_ns, time.monotonic_ns)
            recorder = Recorder(
                adapter,
                symbols,
                venue.ws_url,
                writer,
                clocks,
                random.Random(1),
                probe=watcher.probe,
                report=lambda names, reason: opened.append((names, reason)),
            )
            watcher.recorder, watcher.loop = recorder, asyncio.get_running_loop()
            watching = asyncio.create_task(asyncio.to_thread(watcher.run, over))
            running = asyncio.create_task(recorder.run(stop))
            await asyncio.to_thread(wait_until, lambda: len(opened) >= 2, timeout_s=60, what="renewed")
            stop.set()
            await running
            over.set()
            await watching

    asyncio.run(main())
    assert [each for each in watcher.said if isinstance(each, messages.Renew)] == [messages.Renew([ETH])]
    assert opened == [([BTC, ETH], None)] * 2

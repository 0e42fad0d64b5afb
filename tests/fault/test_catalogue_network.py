"""Network faults of the catalogue (docs/faults.md): what the wire does to us costs a connection, never a trade.

The recorder is the real one over loopback, behind a proxy that does harm; timers are a tenth of the real ones. Rows
that need packets lost or links down are in test_catalogue_links.py.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Self

import pytest

from tests.support.builders.ingest_in_process import Impatient, SmallIngest
from tests.support.builders.venue_limits import with_limit
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.faults.toxic_proxy import ToxicProxy
from tests.support.waiting import wait_until
from trading_platform.ingest.transport.websocket import open_stream
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.venues.adapter import KeepAlive

Start = Callable[..., Simulator]
SPEED = 20.0
"""Of the venue's clock: ids go on while we are cut off."""


@pytest.fixture
def venue(simulator: Start) -> Simulator:  # noqa: F811
    """Give a venue whose market goes on for longer than any fault here."""
    return simulator(synthetic(60.0, symbols=["BTC-USDT"]), speed=SPEED)


@pytest.fixture
def proxy(venue: Simulator) -> Iterator[ToxicProxy]:
    """Give the proxy between the venue's stream and us."""
    with ToxicProxy(venue.ws_url) as proxy:
        yield proxy


@pytest.fixture
def ingest(venue: Simulator, proxy: ToxicProxy, tmp_path: Path) -> Iterator[SmallIngest]:
    """Give an ingest whose stream passes the proxy."""
    ingest = SmallIngest(tmp_path / "data", proxy.url, venue.rest_url)
    yield ingest
    ingest.close()


def after(venue: Simulator, trades: int) -> None:
    """Wait until the venue has sent so many more trades."""
    before = venue.server.sent
    wait_until(lambda: venue.server.sent > before + trades, what="it trades on")


class Harm:
    """Does something once trades flow, then lets the rest happen; what `until` of a recording waits for."""

    def __init__(self, venue: Simulator, do: Callable[[], object]) -> None:
        self._venue, self._do = venue, do
        self._done = False

    def __call__(self) -> bool:
        """Tell whether the market is over; do the harm on the way."""
        if not self._done and self._venue.server.sent > 50:
            self._done = True
            self._do()
        return self._venue.wait_ended(0)


def ended(venue: Simulator) -> Callable[[], bool]:
    """Return whether the market is over."""
    return lambda: venue.wait_ended(0)


def test_a_silent_hole_is_noticed_and_filled(venue: Simulator, proxy: ToxicProxy, ingest: SmallIngest) -> None:
    """N1, N4: nothing comes any more, and no error either: given up, opened anew, and what was missed is fetched."""
    noticed: list[float] = []
    ingest.adapter = Impatient()

    def hole() -> None:
        before, began = ingest.opened(), time.monotonic()
        proxy.timeout.add("down")
        wait_until(lambda: "stale" in ingest.ends(), what="the hole is noticed")
        noticed.append(time.monotonic() - began)
        proxy.timeout.clear()
        wait_until(lambda: ingest.opened() > before, what="connected again")

    ingest.record(Harm(venue, hole))
    assert noticed[0] < 1.5 + 2 * 0.5 + 3.0  # stale after 1.5 s, judged every half second, on a machine at work
    ingest.assert_whole(venue.truth(), bitten=True)


def test_a_hole_towards_the_venue_loses_nothing(venue: Simulator, proxy: ToxicProxy, ingest: SmallIngest) -> None:
    """N4: what we say is lost, what they say arrives: whoever is heard lives, and nothing is missing."""
    ingest.record(Harm(venue, lambda: proxy.timeout.add("up")))
    assert ingest.ends() == ["stopped"]
    ingest.assert_whole(venue.truth())


def test_a_quiet_market_behind_a_one_way_hole_is_noticed(
    simulator: Start,  # noqa: F811
    tmp_path: Path,
) -> None:
    """N4: nothing trades and our pings get lost: the missing answer decides, and only then is it opened anew."""
    venue = simulator(synthetic(4.0, symbols=["BTC-USDT"]), speed=SPEED)
    with ToxicProxy(venue.ws_url) as proxy:
        ingest = SmallIngest(tmp_path / "data", proxy.url, venue.rest_url, adapter=Impatient())

        def quiet_and_deaf() -> bool:
            if venue.wait_ended(0):
                if not proxy.timeout and not ingest.ends():
                    proxy.timeout.add("up")
                if "stale" in ingest.ends():
                    proxy.timeout.clear()
                    return ingest.opened() == 2
            return False

        ingest.record(quiet_and_deaf)
        ingest.assert_whole(venue.truth())
        ingest.close()


@pytest.mark.parametrize("then", ["reset", "close"])
def test_an_end_in_the_middle_of_a_frame_discards_the_piece(
    venue: Simulator, proxy: ToxicProxy, ingest: SmallIngest, then: str
) -> None:
    """N2, N3: RST, or FIN without a close frame, 3,333 bytes on: half a frame is no trade, the rest is fetched."""
    ingest.record(Harm(venue, lambda: proxy.limit_data(3333, then)))  # type: ignore[arg-type]
    assert ingest.ends()[0].startswith("closed"), ingest.ends()
    assert ingest.opened() == 2
    ingest.assert_whole(venue.truth(), bitten=True)


def test_cut_again_and_again_nothing_is_lost(venue: Simulator, proxy: ToxicProxy, ingest: SmallIngest) -> None:
    """N3, N8: every connection is cut soon after it delivers: waits grow, connects stay few, every trade is there."""
    stop = threading.Event()

    def flap() -> None:
        while not stop.is_set():
            proxy.close_peer()
            stop.wait(0.3)

    flapping = threading.Thread(target=flap)
    ingest.record(Harm(venue, flapping.start))
    stop.set()
    flapping.join()
    connects = [seen for seen in venue.server.connections if seen.what == "open"]
    assert 2 < len(connects) < 15
    ingest.assert_whole(venue.truth(), bitten=True)


def test_latency_and_jitter_reconnect_nobody(venue: Simulator, proxy: ToxicProxy, ingest: SmallIngest) -> None:
    """N6: a round trip of 0.3 ± 0.1 s under timers of a fifth (really 1.5 ± 0.5 s): one connection, nothing lost."""
    proxy.latency_s, proxy.jitter_s = 0.1, 0.1
    ingest.adapter.keepalive = KeepAlive("ping", b"", 1.0, 1.0, 3.0)
    ingest.record(ended(venue))
    assert ingest.opened() == 1
    assert ingest.ends() == ["stopped"]
    ingest.assert_whole(venue.truth())


def test_a_stream_in_pieces_of_a_byte_is_the_same_stream(
    simulator: Start,  # noqa: F811
    tmp_path: Path,
) -> None:
    """N10: every byte by itself: every trade, one connection."""
    venue = simulator(synthetic(20.0, symbols=["BTC-USDT"]), speed=SPEED)
    with ToxicProxy(venue.ws_url) as proxy:
        proxy.slicer_bytes = 1
        ingest = SmallIngest(tmp_path / "data", proxy.url, venue.rest_url)
        last = lambda: venue.truth()[-1]["trade_id"]  # noqa: E731

        def taken() -> bool:
            if not venue.wait_ended(0):
                return False
            ingest.process()
            return ingest.ledger.sequences()[0].head == last()

        ingest.record(taken)
        assert ingest.opened() == 1
        ingest.assert_whole(venue.truth())
        ingest.close()


class Mute:
    """A server that takes connections and answers as far as it is told to: not at all, or all but the close."""

    def __init__(self, shakes_hands: bool, then: bytes = b"") -> None:
        self._shakes_hands, self._then = shakes_hands, then
        self.accepted: list[float] = []
        self.ends: list[float] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.append(time.monotonic())
        with suppress(OSError, asyncio.IncompleteReadError):  # ended by RST, as expected of who gives up
            request = await reader.readuntil(b"\r\n\r\n")
            if self._shakes_hands:
                key = next(line[18:] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-k"))
                guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
                accept = base64.b64encode(hashlib.sha1(key.strip() + guid).digest())  # noqa: S324  the protocol's choice
                head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                writer.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + self._then)
            while await reader.read(1 << 16):
                pass
        self.ends.append(time.monotonic())
        writer.transport.abort()


def test_a_handshake_that_hangs_is_given_up(tmp_path: Path) -> None:
    """N12: TCP is there and the upgrade never comes: given up after the time allowed, and tried again."""
    with Mute(shakes_hands=False) as mute:
        transport = partial(open_stream, open_timeout_s=0.5)
        ingest = SmallIngest(tmp_path / "data", mute.url, "http://127.0.0.1:1", transport=transport)
        ingest.record(lambda: len(mute.accepted) >= 3)
        waits = [end - begin for begin, end in zip(mute.accepted, mute.ends, strict=False)]
        assert all(0.4 < wait < 1.5 for wait in waits[:2]), waits  # the third is ended by the stop
        assert ingest.ends() == []
        assert ingest.took_s < 2.0
        ingest.close()


def test_a_close_that_is_never_answered_costs_a_second(tmp_path: Path) -> None:
    """N13: the venue closes and keeps its socket open: connected again within 2 s, and a stop takes no longer."""
    goodbye = b"\x88\x02\x03\xe9"  # close, 1001
    with Mute(shakes_hands=True, then=goodbye) as mute:
        ingest = SmallIngest(tmp_path / "data", mute.url, "http://127.0.0.1:1")
        ingest.record(lambda: len(mute.accepted) >= 2)
        assert mute.accepted[1] - mute.accepted[0] < 2.0 + 0.5  # and up to half a second of backoff
        assert ingest.ends()[0].startswith("closed 1001")
        ingest.close()


def test_a_stop_does_not_wait_for_the_peer(tmp_path: Path) -> None:
    """N13: nobody answers our close: stopped within 2 s all the same."""
    with Mute(shakes_hands=True) as mute:
        ingest = SmallIngest(tmp_path / "data", mute.url, "http://127.0.0.1:1")
        ingest.record(lambda: ingest.opened() == 1)
        assert ingest.took_s < 2.0
        ingest.close()


def test_many_connections_cut_at_once_come_back_one_by_one(
    simulator: Start,  # noqa: F811
    tmp_path: Path,
) -> None:
    """N14: three feeds, all cut, all refused for a while: no two in step, few attempts, nothing lost."""
    symbols = ["BTC-USDT", "ETH-USDT", "SOL-USDT"]
    plan = FaultPlan(events=[Event(kind="cut", at_s=10), Event(kind="refuse_connect", at_s=10, seconds=0.3)])
    venue = simulator(synthetic(60.0, symbols=symbols), speed=SPEED, plan=plan)
    ingest = SmallIngest(tmp_path / "data", venue.ws_url, venue.rest_url, symbols)
    ingest.adapter.limits = with_limit(ingest.adapter.limits, "streams", 1)
    ingest.record(ended(venue))
    seen = [(record.what, record.mono_s) for record in venue.server.connections]
    refused = [at for what, at in seen if what == "refused"]
    again = sorted(at for what, at in seen if what == "open")[3:]
    assert 0 < len(refused) <= 10, seen
    assert len(again) == 3, seen
    assert min(later - at for at, later in pairwise(again)) > 0.001  # each waits as long as chance says
    ingest.assert_whole(venue.truth(), bitten=True)
    ingest.close()

"""Network faults of the catalogue that need packets: lost, sent astray, too large, too slow, a cable pulled out.

The recorder works on a thread in a network namespace of its own; the venue stays outside. Nothing reaches any other
network.
"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.builders.ingest_in_process import Impatient, SmallIngest
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.faults.network_namespace import Link, link
from tests.support.waiting import wait_until
from trading_platform.venues.binance import Binance

Start = Callable[..., Simulator]
SPEED = 20.0


@pytest.fixture
def cable() -> Iterator[Link]:
    """Give the cable between venue and recorder."""
    with link() as cable:
        yield cable


class World:
    """A venue outside, an ingest inside, and a harm that is done once trades flow."""

    def __init__(self, start: Start, root: Path, cable: Link, *, seconds: float = 60.0, impatient: bool = True) -> None:
        market = synthetic(seconds, symbols=["BTC-USDT"])
        self.venue = start(market, speed=SPEED, host=cable.here)
        adapter = Impatient() if impatient else Binance()
        self.ingest = SmallIngest(root / "data", self.venue.ws_url, self.venue.rest_url, adapter=adapter)
        self.cable = cable

    def record(self, harm: Callable[[], object], *, timeout_s: float = 30.0) -> None:
        """Record to the market's end, doing harm on the way."""
        done = []

        def until() -> bool:
            if not done and self.venue.server.sent > 50:
                done.append(harm())
            return self.venue.wait_ended(0)

        self.cable.inside(lambda: self.ingest.record(until, timeout_s=timeout_s))

    def assert_whole(self, *, bitten: bool) -> None:
        """Everything is there in the end."""
        self.ingest.assert_whole(self.venue.truth(), bitten=bitten)
        self.ingest.close()


@pytest.mark.parametrize("way", ["deaf", "mute"])
def test_packets_that_go_astray_one_way(simulator: Start, tmp_path: Path, cable: Link, way: str) -> None:  # noqa: F811
    """N1, N4: packets of one direction vanish, without an error: noticed, opened anew, everything fetched."""
    world = World(simulator, tmp_path, cable)
    astray = getattr(cable, way)

    def harm() -> None:
        astray(yes=True)
        wait_until(world.ingest.ends, what="the hole is noticed")
        astray(yes=False)
        wait_until(lambda: world.ingest.opened() >= 2, what="connected again")

    world.record(harm)
    world.assert_whole(bitten=True)


def test_a_third_of_all_packets_lost(simulator: Start, tmp_path: Path, cable: Link) -> None:  # noqa: F811
    """N5: for 30 % of the time every packet is lost, in pieces of 20 ms: slower, one connection, no false gap."""
    world = World(simulator, tmp_path, cable, impatient=False)
    rng, stop = random.Random(5), threading.Event()

    def lose() -> None:
        while not stop.is_set():
            cable.deaf(yes=True)
            stop.wait(0.02)
            cable.deaf(yes=False)
            stop.wait(rng.uniform(0.02, 0.07))

    losing = threading.Thread(target=lose)
    world.record(losing.start)
    stop.set()
    losing.join()
    assert world.ingest.ends() == ["stopped"]
    world.assert_whole(bitten=False)


def test_a_slow_link_is_fetched_behind(simulator: Start, tmp_path: Path, cable: Link) -> None:  # noqa: F811
    """N7: 64 kbit/s for 500 kbit/s of trades: what the wire could not carry is fetched when it can."""
    world = World(simulator, tmp_path, cable)
    world.record(lambda: cable.slow("64kbit"))
    cable.slow("1gbit")
    world.assert_whole(bitten=True)


def test_a_cable_pulled_out_again_and_again(simulator: Start, tmp_path: Path, cable: Link) -> None:  # noqa: F811
    """N8, N14: plugged out and in: few connects, waits that grow, nothing lost."""
    world = World(simulator, tmp_path, cable, seconds=120.0)

    def flap() -> None:
        pause = threading.Event()
        for _ in range(3):
            cable.plug(yes=False)
            pause.wait(1.0)
            cable.plug(yes=True)
            pause.wait(0.3)

    world.record(flap)
    assert len(world.venue.server.connections) < 15
    world.assert_whole(bitten=True)


def test_a_black_hole_for_large_packets(simulator: Start, tmp_path: Path, cable: Link) -> None:  # noqa: F811
    """N11: large packets vanish and nobody says so: silence decides, and afterwards everything is fetched."""
    world = World(simulator, tmp_path, cable)

    def harm() -> None:
        cable.narrow(120)  # less than any trade takes
        wait_until(world.ingest.ends, what="the hole is noticed")
        cable.narrow(1500)
        wait_until(lambda: world.ingest.opened() >= 2, what="connected again")

    world.record(harm)
    world.assert_whole(bitten=True)


def test_a_narrow_cable_lets_nothing_large_through(cable: Link) -> None:
    """The control of N11: nor what the kernel hands on as one packet because many are sent at once."""
    with socket.create_server((cable.here, 0)) as server:
        far = cable.inside(lambda: socket.create_connection(server.getsockname()))
        near, _ = server.accept()
        with near, far:
            near.sendall(b"small")
            assert far.recv(100) == b"small"
            cable.narrow(120)
            near.sendall(bytes(12 << 10))
            far.settimeout(1.0)
            with pytest.raises(TimeoutError):
                far.recv(100)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "[::1]", "127.0.0.1"])
def test_an_address_that_leads_nowhere(simulator: Start, tmp_path: Path, host: str) -> None:  # noqa: F811
    """N9: no such name, ::1 and a port where nobody listens: tried again and again, waiting, and stopped at once."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    ingest = SmallIngest(tmp_path / "data", f"ws://{host}:{port}", "http://127.0.0.1:1")
    attempts = []
    transport = ingest.transport
    ingest.transport = lambda url: (attempts.append(url), transport(url))[1]
    ingest.record(lambda: len(attempts) >= 3)
    assert ingest.opened() == 0
    assert ingest.took_s < 2.0
    assert set(attempts) == {ingest.adapter.connect(ingest.ws_url, ["BTCUSDT"]).url}
    ingest.close()

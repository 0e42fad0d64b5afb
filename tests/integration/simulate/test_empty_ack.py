"""A subscription that is acknowledged and never delivers, on a simulated venue over loopback."""

from __future__ import annotations

import json

from websockets.sync.client import connect

from tests.support.builders.venue_thread import simulator, synthetic  # noqa: F401  the fixture
from trading_platform.simulate.faults import Event, FaultPlan


def test_only_the_next_subscription_stays_silent(simulator):  # noqa: F811
    """The first connection gets one of its two symbols only, the second one both."""
    plan = FaultPlan(events=[Event(kind="empty_ack", at_s=0, symbol="BTC-USDT")])
    venue = simulator(synthetic(3000), plan=plan, speed=20.0)
    target = venue.ws_url + "/stream?streams=btcusdt@trade/ethusdt@trade"
    with connect(target, compression=None, close_timeout=1) as first:
        seen = {json.loads(first.recv(timeout=5))["stream"] for _ in range(40)}
        assert seen == {"ethusdt@trade"}
        with connect(target, compression=None, close_timeout=1) as second:
            seen = {json.loads(second.recv(timeout=5))["stream"] for _ in range(200)}
            assert seen == {"btcusdt@trade", "ethusdt@trade"}

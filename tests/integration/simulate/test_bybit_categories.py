"""The two streams of the simulated Bybit over loopback: spot and linear share names, and nothing else."""

from __future__ import annotations

import itertools

from tests.support.builders.plain_clients import subscribe, take, truth
from tests.support.builders.venue_thread import simulator  # noqa: F401  the fixture
from trading_platform.simulate.exchanges.bybit import BybitExchange
from trading_platform.simulate.synthetic_market import DEMO_START_NS, SyntheticMarket


def test_each_stream_carries_its_own(simulator):  # noqa: F811
    """A client of spot and one of linear, both subscribed to BTCUSDT, each see exactly their symbol's truth."""
    end_ns = DEMO_START_NS + 20 * 10**9
    market = SyntheticMarket(start_ns=DEMO_START_NS, end_ns=end_ns, profiles=BybitExchange.profiles)
    venue = simulator(market, exchange=BybitExchange, speed=20.0)
    with subscribe(venue, "BTC-USDT") as spot, subscribe(venue, "BTC-USDT-PERP") as linear:
        seen = {"BTC-USDT": take(venue, spot)[0], "BTC-USDT-PERP": take(venue, linear)[0]}
    for symbol, rows in seen.items():
        sent = [row for row, was_sent in truth(venue) if row.symbol == symbol and was_sent]
        assert rows == sent
        assert len(rows) > 50
    assert all(line["trade_id"] is None for line in venue.truth())


class Impatient(BybitExchange):
    """The same, but it cuts off who is silent for a moment."""

    limits = BybitExchange.limits._replace(idle_s=0.4)


def test_who_says_nothing_is_cut_off(simulator):  # noqa: F811
    """Without a ping the connection is closed, though trades flow; one that pings gets its answers and stays."""
    market = SyntheticMarket(start_ns=DEMO_START_NS, profiles=BybitExchange.profiles)
    venue = simulator(market, exchange=Impatient, speed=20.0)
    pings = itertools.count()
    with subscribe(venue, "BTC-USDT") as quiet, subscribe(venue, "BTC-USDT") as lively:

        def ping(_: object) -> bool:
            lively.send('{"op":"ping"}')
            return next(pings) > 100 and "idle" in [record.what for record in venue.server.connections]

        seen, closed = take(venue, lively, enough=ping)
        assert closed is None
        assert seen
        assert take(venue, quiet, until_closed=True)[1] is not None

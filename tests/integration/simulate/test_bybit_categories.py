"""The two streams of the simulated Bybit over loopback: spot and linear share names, and nothing else."""

from __future__ import annotations

from tests.support.builders.plain_clients import subscribe, take, truth
from tests.support.builders.venue_thread import simulator  # noqa: F401  the fixture
from trading_platform.simulate.exchanges.bybit import Bybit
from trading_platform.simulate.synthetic_market import DEMO_START_NS, SyntheticMarket


def test_each_stream_carries_its_own(simulator):  # noqa: F811
    """A client of spot and one of linear, both subscribed to BTCUSDT, each see exactly their symbol's truth."""
    end_ns = DEMO_START_NS + 20 * 10**9
    market = SyntheticMarket(start_ns=DEMO_START_NS, end_ns=end_ns, profiles=Bybit.profiles)
    venue = simulator(market, exchange=Bybit, speed=20.0)
    with subscribe(venue, "BTC-USDT") as spot, subscribe(venue, "BTC-USDT-PERP") as linear:
        seen = {"BTC-USDT": take(venue, spot)[0], "BTC-USDT-PERP": take(venue, linear)[0]}
    for symbol, rows in seen.items():
        sent = [row for row, was_sent in truth(venue) if row.symbol == symbol and was_sent]
        assert rows == sent
        assert len(rows) > 50
    assert all("trade_id" not in line for line in venue.truth())

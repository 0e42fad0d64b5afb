"""The exchanges that the simulator can imitate: one file each, or several with a common prefix.

Their interface is simulate/exchange.py; reading the same protocols is venues/.
"""

from __future__ import annotations

from trading_platform.simulate.exchange import Capture, Exchange
from trading_platform.simulate.exchanges import binance_capture
from trading_platform.simulate.exchanges.binance import BinanceExchange
from trading_platform.simulate.exchanges.bitstamp import BitstampExchange
from trading_platform.simulate.exchanges.bybit import BybitExchange
from trading_platform.simulate.exchanges.kraken import KrakenExchange

EXCHANGES: dict[str, type[Exchange]] = {
    "binance": BinanceExchange,
    "bitstamp": BitstampExchange,
    "bybit": BybitExchange,
    "kraken": KrakenExchange,
}
"""Every exchange by its canonical name."""
DEFAULT = "binance"
"""The exchange of a simulated venue that was not told which to be."""
CAPTURE: Capture = binance_capture
"""Reads the captures that can be played, whichever exchange plays them."""

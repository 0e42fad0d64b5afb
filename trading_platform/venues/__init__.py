"""The exchanges we speak to: bytes to Trade, paths, pages, limits, what ids prove. One file each.

No socket, no clock, no settings. Who connects is ingest/; who imitates them is simulate/.
"""

from __future__ import annotations

from trading_platform.venues.adapter import VenueAdapter
from trading_platform.venues.binance import Binance
from trading_platform.venues.bitstamp import Bitstamp
from trading_platform.venues.bybit import Bybit
from trading_platform.venues.kraken import Kraken

VENUES: dict[str, VenueAdapter] = {
    "binance": Binance(),
    "bitstamp": Bitstamp(),
    "bybit": Bybit(),
    "kraken": Kraken(),
}
"""Every exchange by its canonical name."""

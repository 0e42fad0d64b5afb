"""Binance spot. Frames are spot.py, past trades history.py, REST answers pages.py, daily files archive.py."""

from __future__ import annotations

from trading_platform.venues.binance.spot import Binance
from trading_platform.venues.binance.wire import timestamp_ns

__all__ = ["Binance", "timestamp_ns"]

"""Binance spot: frames and the adapter are spot.py, answers of its REST pages.py, what both have in common wire.py."""

from __future__ import annotations

from trading_platform.venues.binance.spot import Binance
from trading_platform.venues.binance.wire import timestamp_ns

__all__ = ["Binance", "timestamp_ns"]

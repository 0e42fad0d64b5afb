"""Bitstamp spot: frames and limits in spot.py, past trades in history.py, what both have in common in wire.py."""

from __future__ import annotations

from trading_platform.venues.bitstamp.spot import Bitstamp

__all__ = ["Bitstamp"]

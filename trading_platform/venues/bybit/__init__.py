"""Bybit spot and linear: streams are streams.py, REST answers rest.py, what both have in common wire.py."""

from __future__ import annotations

from trading_platform.venues.bybit.streams import Bybit

__all__ = ["Bybit"]

"""Codes of the taker's side, as columns of numbers hold it."""

from __future__ import annotations

BUY, SELL, UNKNOWN = 1, -1, 0

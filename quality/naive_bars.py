"""A bar made again the obvious way: its trades one after the other, in exact fractions. An oracle, not the engine.

It shares no code with analytics/folding/bars.py: a mistake there does not hide here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

EXACT = ("open", "high", "low", "close", "trade_count", "volume", "quote_volume")
"""What is compared bit for bit."""


def naive_bar(prices: Sequence[float], quantities: Sequence[float]) -> dict[str, float]:
    """Return the bar of some trades in the order of their ids.

    Each number is the float64 nearest to the decimal that the venue printed, which is its shortest decimal.

    >>> naive_bar([2.0, 3.0], [0.1, 0.2])["quote_volume"]
    0.8
    """
    volume = quote = Fraction(0)
    for price, quantity in zip(prices, quantities, strict=True):
        volume += Fraction(repr(quantity))
        quote += Fraction(repr(price)) * Fraction(repr(quantity))
    return {
        "open": prices[0],
        "high": max(prices),
        "low": min(prices),
        "close": prices[-1],
        "trade_count": len(prices),
        "volume": volume.numerator / volume.denominator,
        "quote_volume": quote.numerator / quote.denominator,
    }


def differing(stored: Mapping[str, Any], prices: Sequence[float], quantities: Sequence[float]) -> list[str]:
    """Return the fields of a stored bar that differ from the bar made again, with both values.

    >>> differing({"trade_count": 0} | dict.fromkeys(("open", "high", "low", "close")), [], [])
    []
    """
    if not prices:
        return [] if not stored["trade_count"] else [f"trade_count {stored['trade_count']} of no trade"]
    again = naive_bar(prices, quantities)
    return [f"{name} {stored[name]!r}, made again {again[name]!r}" for name in EXACT if stored[name] != again[name]]

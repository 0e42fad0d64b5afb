"""Oracle of time bars: `decimal.Decimal` sums of the venue's own texts, each field rounded once. Slow and obvious."""

from __future__ import annotations

import decimal
from fractions import Fraction
from typing import NamedTuple

CONTEXT = decimal.Context(prec=200)


class Print(NamedTuple):
    """A trade as the venue printed it; `buy` is None where nobody knows the taker."""

    ts_event: int
    price: str
    quantity: str
    buy: bool | None


def nearest(value: Fraction) -> float:
    """The float64 nearest to an exact number (Python rounds int / int correctly)."""
    return value.numerator / value.denominator


def fold(prints: list[Print], width: int) -> dict[int, dict[str, float]]:
    """Bars of intervals with trades, by ts_open; prints in (epoch, trade_id) order."""
    groups: dict[int, list[Print]] = {}
    for one in prints:
        groups.setdefault(one.ts_event // width * width, []).append(one)
    return {ts_open: bar(group) for ts_open, group in sorted(groups.items())}


def bar(group: list[Print]) -> dict[str, float]:
    prices = [decimal.Decimal(one.price) for one in group]
    sums = dict.fromkeys(("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"), decimal.Decimal(0))
    for one in group:
        quantity = decimal.Decimal(one.quantity)
        quote = CONTEXT.multiply(decimal.Decimal(one.price), quantity)
        sums["volume"] = CONTEXT.add(sums["volume"], quantity)
        sums["quote_volume"] = CONTEXT.add(sums["quote_volume"], quote)
        if one.buy:
            sums["taker_buy_volume"] = CONTEXT.add(sums["taker_buy_volume"], quantity)
            sums["taker_buy_quote_volume"] = CONTEXT.add(sums["taker_buy_quote_volume"], quote)
    exact = {name: Fraction(value) for name, value in sums.items()}
    fields = {
        "open": float(prices[0]),
        "high": float(max(prices)),
        "low": float(min(prices)),
        "close": float(prices[-1]),
        **{name: nearest(value) for name, value in exact.items()},
        "trade_count": len(group),
    }
    if any(one.buy is None for one in group):
        fields["taker_buy_volume"] = fields["taker_buy_quote_volume"] = None
    if exact["volume"]:
        fields["vwap"] = nearest(exact["quote_volume"] / exact["volume"])
    return fields

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


def repeated(group: list[Print], count: int) -> dict[str, float]:
    """The bar of `count` trades, the group over and over: `Fraction` sums, each rounded once."""
    times = [count // len(group) + (i < count % len(group)) for i in range(len(group))]
    rows = [(n, Fraction(one.price), Fraction(one.quantity), one.buy) for n, one in zip(times, group, strict=True)]
    held = [price for n, price, _, _ in rows if n]
    volume = sum((n * quantity for n, _, quantity, _ in rows), Fraction())
    quote = sum((n * price * quantity for n, price, quantity, _ in rows), Fraction())
    return {
        "open": nearest(held[0]),
        "high": nearest(max(held)),
        "low": nearest(min(held)),
        "close": nearest(rows[(count - 1) % len(group)][1]),
        "volume": nearest(volume),
        "quote_volume": nearest(quote),
        "taker_buy_volume": nearest(sum((n * quantity for n, _, quantity, buy in rows if buy), Fraction())),
        "taker_buy_quote_volume": nearest(sum((n * price * q for n, price, q, buy in rows if buy), Fraction())),
        "trade_count": count,
        "vwap": nearest(quote / volume),
    }

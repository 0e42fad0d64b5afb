"""How Bybit spells symbols, ids and decimals, for its streams, REST and files alike. Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from trading_platform.simulate.tape import ListedSymbol, Print

CATEGORIES = ("spot", "linear")
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
"""What a random digit becomes where a UUID tells its variant."""


class Spelling(NamedTuple):
    """How a symbol is spelled: its category, its name there, and the decimals of its prices."""

    category: str
    name: str
    places: int


def spelling(listing: ListedSymbol) -> Spelling:
    """Return how a listing is spelled: a perpetual has the name of the spot symbol, and another category.

    >>> spelling(ListedSymbol("BTCUSDTPERP", "BTC-USDT-PERP", "0.10000000", "0.00100000"))
    Spelling(category='linear', name='BTCUSDT', places=1)
    """
    category = "linear" if listing.symbol.endswith("-PERP") else "spot"
    return Spelling(category, listing.base + listing.quote, len(listing.price_step.rstrip("0").partition(".")[2]))


def trade_uid(row: Print, category: str, markets: int) -> str:
    """Return the id that a trade is told by; `markets` is how many symbols share the numbers of spot.

    >>> row = Print(0, 0, 7, "BTCUSDT", 0, 0, "1", "1", True)
    >>> trade_uid(row, "spot", 3), trade_uid(row, "linear", 3)
    ('2290000135830269231', '4b642510-f540-56ed-b81f-8f990c5afab0')
    """
    if category == "spot":
        # The factor is odd and no multiple of 5: no two products are equal.
        number = (row.trade_id * markets + row.order) * 387_420_489_011 % 10**12
        return f"2290000{number:012d}"
    hexed = blake2b(f"{row.venue_symbol} {row.trade_id}".encode(), digest_size=16).hexdigest()
    return f"{hexed[:8]}-{hexed[8:12]}-5{hexed[13:16]}-{_VARIANT[hexed[16]]}{hexed[17:20]}-{hexed[20:]}"


def trimmed(literal: str) -> str:
    """Return a decimal without the zeros that say nothing.

    >>> trimmed("0.00120000"), trimmed("62000.00"), trimmed("10")
    ('0.0012', '62000', '10')
    """
    return literal.rstrip("0").rstrip(".") if "." in literal else literal

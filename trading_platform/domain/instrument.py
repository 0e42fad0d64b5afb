"""What trades on a venue, and what its canonical name may look like.

The venue's own spelling (`venue_symbol`) stays inside venues/ and the log.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from trading_platform.domain.errors import SymbolError

Kind = Literal["spot", "perpetual", "future"]

_SYMBOL = re.compile(r"[A-Z0-9]{1,20}-[A-Z0-9]{1,20}(?:-PERP|-[0-9]{6})?", re.ASCII)
_VENUE = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_ASSETS = {"XBT": "BTC", "XDG": "DOGE"}


class Instrument(NamedTuple):
    """Facts of one instrument.

    Attributes
    ----------
    venue, symbol : canonical names; `venue_symbol`: the venue's spelling.
    kind : follows from the symbol.
    base, quote : normalised asset codes.
    price_step, quantity_step : smallest increments as decimal literals, None if not told.
    status : the venue's own word, for example ``TRADING``.
    """

    venue: str
    symbol: str
    venue_symbol: str
    kind: Kind
    base: str
    quote: str
    price_step: str | None
    quantity_step: str | None
    status: str


def normalise_asset(code: str) -> str:
    """Return the canonical asset code.

    >>> normalise_asset("xbt")
    'BTC'
    """
    code = code.upper()
    return _ASSETS.get(code, code)


def check_symbol(text: str) -> str:
    """Return `text` if it is a canonical symbol; nothing else ever becomes a path.

    >>> check_symbol("BTC-USDT")
    'BTC-USDT'
    >>> check_symbol("../../x")
    Traceback (most recent call last):
    trading_platform.domain.errors.SymbolError: '../../x' is not a symbol; symbols look like BTC-USDT
    """
    if _SYMBOL.fullmatch(text) is None:
        raise SymbolError(f"{text[:60]!r} is not a symbol; symbols look like BTC-USDT")
    return text


def check_venue(text: str) -> str:
    """Return `text` if it can be a venue's name (whether we speak to it is VENUES' to say)."""
    if _VENUE.fullmatch(text) is None:
        raise SymbolError(f"{text[:60]!r} is not a venue; venues look like binance")
    return text


def kind_of(symbol: str) -> Kind:
    """Tell the kind from the symbol.

    >>> kind_of("BTC-USDT"), kind_of("BTC-USDT-PERP"), kind_of("BTC-USD-211231")
    ('spot', 'perpetual', 'future')
    """
    parts = symbol.split("-")
    if len(parts) == 2:
        return "spot"
    return "perpetual" if parts[2] == "PERP" else "future"

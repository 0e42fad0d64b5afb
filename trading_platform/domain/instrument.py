"""What trades on a venue, and what its canonical name may look like.

The venue's own spelling (`venue_symbol`) stays inside venues/ and the log.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple
from unicodedata import category, normalize

from trading_platform.domain.errors import SymbolError

Kind = Literal["spot", "perpetual", "future"]

_SYMBOL = re.compile(r"([^-]{1,20})-([^-]{1,20})(?:-PERP|-[0-9]{6})?")
_MOST_BYTES = 100
"""Of a symbol in UTF-8: a file's name has room for 255, and the symbol is only part of it."""
_LETTERS = ("Lu", "Ll", "Lt", "Lm", "Lo")
_DIGITS = ("Nd",)
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
    """Return the canonical asset code: NFC, in capitals where the script has them, one name for each asset.

    Letter by letter, and only where the capital leads back to the letter: `ß` (whose capital would be two letters) and
    the dotless `ı` (whose capital is that of `i`) stay what they are, so that different codes stay different.

    >>> [normalise_asset(code) for code in ("xbt", "币安人生", "ǆ", "ß", "ı", "E\u0301")]
    ['BTC', '币安人生', 'Ǆ', 'ß', 'ı', 'É']
    """
    code = normalize("NFC", code)
    code = code.upper() if code.isascii() else normalize("NFC", "".join(map(_capital, code)))
    return _ASSETS.get(code, code)


def _capital(letter: str) -> str:
    upper = letter.upper()
    return upper if len(upper) == 1 and upper.lower() == letter.lower() else letter


def _is_code(code: str) -> bool:
    """Tell whether this is letters and digits of any script, in NFC, in capitals where there are."""
    if code.isascii():
        return code.isalnum() and code == code.upper()
    if any(category(letter) not in _LETTERS + _DIGITS for letter in code):
        return False
    return code == normalize("NFC", code) and code == "".join(map(_capital, code))


@lru_cache(maxsize=8192)
def check_symbol(text: str) -> str:
    """Return `text` if it is a canonical symbol; nothing else ever becomes a path.

    >>> check_symbol("BTC-USDT"), check_symbol("币安人生-USDT")
    ('BTC-USDT', '币安人生-USDT')
    >>> check_symbol("../../x")
    Traceback (most recent call last):
    trading_platform.domain.errors.SymbolError: '../../x' is not a symbol; symbols look like BTC-USDT
    """
    parts = _SYMBOL.fullmatch(text) if isinstance(text, str) else None
    if parts is None or not (_is_code(parts[1]) and _is_code(parts[2])):
        raise SymbolError(f"{str(text)[:60]!r} is not a symbol; symbols look like BTC-USDT")
    if len(text.encode()) > _MOST_BYTES:
        raise SymbolError(f"{text[:60]!r} is too long for a symbol: {_MOST_BYTES} bytes are the most")
    return text


def read_symbol(text: str) -> str:
    """Return the canonical symbol that a person means: however their keyboard composes letters.

    >>> read_symbol("E\u0301-USDT") == "\u00c9-USDT"
    True
    """
    return check_symbol(normalize("NFC", text))


def check_venue(text: str) -> str:
    """Return `text` if it can be a venue's name (whether we speak to it is VENUES' to say)."""
    if not isinstance(text, str) or _VENUE.fullmatch(text) is None:
        raise SymbolError(f"{str(text)[:60]!r} is not a venue; venues look like binance")
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

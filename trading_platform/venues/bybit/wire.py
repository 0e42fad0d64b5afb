"""What frames and answers of Bybit have in common: spelling, times, a trade, errors. See streams.py and rest.py.

A symbol's venue spelling here is its category and its name there, ``spot/BTCUSDT`` and ``linear/BTCUSDT``: both
categories call different instruments by one name, and each has a stream of its own.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from trading_platform.domain.decimals import check_decimal
from trading_platform.domain.errors import FrameError, SymbolError
from trading_platform.domain.instrument import check_symbol, kind_of
from trading_platform.domain.trades.trade import Side, Trade
from trading_platform.venues import strict_json

REFUSED = strict_json.REFUSED

SPOT, LINEAR = "spot", "linear"

_ID = re.compile(r"[0-9A-Za-z-]{1,40}", re.ASCII)
_SIDES: dict[str, Side] = {"Buy": "buy", "Sell": "sell", "buy": "buy", "sell": "sell"}

# 2016-01-01 to 2100-01-01.
_MS_FIRST, _MS_END = 1_451_606_400_000, 4_102_444_800_000


class Spelled(NamedTuple):
    """A symbol as the exchange names it."""

    category: str
    name: str


def spelling(symbol: str) -> str:
    """Return the venue's spelling of a canonical symbol.

    Raises
    ------
    SymbolError : for a symbol that is of neither category.

    Examples
    --------
    >>> spelling("BTC-USDT"), spelling("BTC-USDT-PERP"), spelling("BTC-USDC-PERP")
    ('spot/BTCUSDT', 'linear/BTCUSDT', 'linear/BTCPERP')
    """
    kind = kind_of(check_symbol(symbol))
    base, quote = symbol.split("-")[:2]
    if kind == "spot":
        return f"{SPOT}/{base}{quote}"
    if kind == "perpetual" and quote in {"USDT", "USDC"}:
        return f"{LINEAR}/{base}{'PERP' if quote == 'USDC' else quote}"
    raise SymbolError(f"{symbol} is neither spot nor a linear perpetual; bybit lists BTC-USDT and BTC-USDT-PERP")


def spelled(venue_symbol: str) -> Spelled:
    """Return category and name of a venue's spelling.

    >>> spelled("linear/BTCUSDT")
    Spelled(category='linear', name='BTCUSDT')
    """
    category, _, name = venue_symbol.partition("/")
    return Spelled(category, name)


def timestamp_ns(ms: int) -> int:
    """Return ns since the epoch of a time in ms.

    Raises
    ------
    FrameError : of kind ``time`` if it is not between 2016 and 2100.
    """
    if _MS_FIRST <= ms < _MS_END:
        return ms * 1_000_000
    raise FrameError("time", f"{ms} is no ms between 2016 and 2100")


def trade(symbol: str, category: str, uid: str, ts_event: int, price: str, quantity: str, side: str) -> Trade:
    """Return a trade. The ids of linear are the same in all channels, those of spot are not: its files have none.

    Raises
    ------
    FrameError : kinds ``number``, ``id``, ``shape`` (a side that is none).
    """
    check_decimal(price)
    check_decimal(quantity)
    if _ID.fullmatch(uid) is None:
        raise FrameError("id", f"{uid[:60]!r} is no id")
    if (taker := _SIDES.get(side)) is None:
        raise FrameError("shape", f"{side[:20]!r} is no side")
    if category == LINEAR:
        return Trade(symbol, None, ts_event, price, quantity, taker, trade_uid=uid)
    return Trade(symbol, None, ts_event, price, quantity, taker, channel_id=uid)


def broken(body: bytes, error: Exception) -> FrameError:
    """Return the FrameError of bytes that msgspec refused."""
    return strict_json.broken(body, error, "retCode", "retMsg")

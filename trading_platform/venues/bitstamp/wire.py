"""What frames and pages of Bitstamp have in common: times, a trade, errors. See spot.py and history.py."""

from __future__ import annotations

import re

from trading_platform.domain.decimals import check_decimal
from trading_platform.domain.errors import FrameError
from trading_platform.domain.trades.trade import Side, Trade
from trading_platform.domain.units import NS_PER_S
from trading_platform.venues import strict_json

REFUSED = strict_json.REFUSED
Id = strict_json.Id

# 2016-01-01 to 2100-01-01.
_FIRST_S, _END_S = 1_451_606_400, 4_102_444_800
_WHOLE = re.compile(r"[0-9]{10,16}", re.ASCII)


def instant_ns(text: str, unit_ns: int) -> int:
    """Return ns since the epoch of a time that is told as the text of a whole number of units.

    Raises
    ------
    FrameError : of kind ``time`` if it is none, or not between 2016 and 2100.

    >>> instant_ns("1641343699596000", 1000), instant_ns("1641343699", 1_000_000_000)
    (1641343699596000000, 1641343699000000000)
    """
    ts_ns = int(text) * unit_ns if _WHOLE.fullmatch(text) is not None else 0
    if not _FIRST_S * NS_PER_S <= ts_ns < _END_S * NS_PER_S:
        raise FrameError("time", f"{text[:40]!r} is no time between 2016 and 2100")
    return ts_ns


def trade(symbol: str, number: int, ts_event: int, price: str, quantity: str, kind: int) -> Trade:
    """Return a trade; `kind` is the taker's side, 0 for a buyer and 1 for a seller.

    All pairs share the ids, so an id that a pair lacks need not be a trade of it: the id names the trade, as text.

    Raises
    ------
    FrameError : of kind ``number``.

    >>> trade("BTC-USD", 7, 0, "1.5", "2", 1)[1:6]
    (None, 0, '1.5', '2', 'sell')
    """
    side: Side = "sell" if kind else "buy"
    return Trade(symbol, None, ts_event, check_decimal(price), check_decimal(quantity), side, trade_uid=str(number))


def broken(body: bytes, error: Exception) -> FrameError:
    """Return the FrameError of bytes that msgspec refused."""
    return strict_json.broken(body, error, "response_code", "response_explanation")

"""Parse captured Binance messages: spot trades become prints; messages of a futures market are recognised.

File formats, and making a market of the trades, are simulate/recorded_market.py.
"""

from __future__ import annotations

import re

import msgspec

from trading_platform.domain.decimals import check_decimal
from trading_platform.domain.errors import FrameError
from trading_platform.simulate.exchange import Captured
from trading_platform.simulate.tape import Print
from trading_platform.venues.binance import timestamp_ns

_FUTURES_HOST = re.compile(rb"wss?://(?:fstream|dstream)[a-z-]*\.binance|https?://[fd]api[a-z-]*\.binance")
_FUTURES_EVENT = re.compile(rb'"e":"(?:bookTicker|markPriceUpdate|forceOrder|contractInfo|compositeIndex)"|"pu":\d')
"""Events, and the field of a depth update, that the spot market does not send."""


class _Event(msgspec.Struct, frozen=True):
    e: str
    E: int
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool
    M: bool | None = None
    X: str | None = None


class _Message(msgspec.Struct, frozen=True):
    data: _Event


class _Kind(msgspec.Struct, frozen=True):
    e: str = ""


class _KindMessage(msgspec.Struct, frozen=True):
    e: str = ""
    data: _Kind = msgspec.field(default_factory=_Kind)


_raw = msgspec.json.Decoder(_Event)
_combined = msgspec.json.Decoder(_Message)
_kind = msgspec.json.Decoder(_KindMessage)


def is_of_another_market(aside: bytes) -> bool:
    """Tell whether a line about a connection or request names a host of the futures' markets.

    >>> is_of_another_market(b"wss://fstream.binance.com/ws <-> 1633998511.1")
    True
    """
    return _FUTURES_HOST.match(aside) is not None


def read(message: bytes) -> Captured:
    """Return what a message is: a trade, one of another market, aggregate trades, or anything else.

    Raises
    ------
    ValueError : for a trade that is not whole.

    >>> read(b'{"e":"aggTrade"}'), read(b'{"stream":"btcusdt@depth@0ms","data":{"pu":7}}')
    ('aggregate', 'other market')
    """
    if b'trade"' in message:
        return _trade(message)
    if b'aggTrade"' in message:
        return "aggregate"
    return "other market" if _FUTURES_EVENT.search(message, 0, 400) else None


def _trade(message: bytes) -> Captured:
    """Return the trade of a message that mentions one, None if it only mentions it."""
    try:
        told = _kind.decode(message)
        if "trade" not in {told.e, told.data.e}:
            return None
        event = _raw.decode(message) if told.e else _combined.decode(message).data
        check_decimal(event.p)
        check_decimal(event.q)
        timestamp_ns(event.T)
    except msgspec.ValidationError as error:
        if b'"e":"trade"' not in message.replace(b" ", b""):
            return None
        raise ValueError(str(error)) from None
    except (RecursionError, FrameError) as error:
        raise ValueError(str(error)) from None
    if event.X == "MARKET" and event.M is None:  # as the futures' stream prints it, and the spot market never
        return "other market"
    return Print(0, 0, event.t, event.s, event.T, event.E, event.p, event.q, event.m, event.X)

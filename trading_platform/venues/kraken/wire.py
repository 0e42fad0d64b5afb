"""What frames and pages of Kraken have in common: ids, times, numbers, names, errors.

Frames are spot.py, pages history.py.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache

import msgspec

from trading_platform.domain.decimals import check_decimal
from trading_platform.domain.errors import FrameError
from trading_platform.domain.units import NS_PER_S
from trading_platform.venues import strict_json

REFUSED = strict_json.REFUSED

Id = strict_json.Id

_FIRST_S, _END_S = 1_451_606_400, 4_102_444_800
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_SECONDS = re.compile(rb"(\d{1,12})(?:\.(\d{1,20}))?")
_REST_CODES = {"BTC": "XBT", "DOGE": "XDG"}
"""Assets that REST calls otherwise than WebSocket v2 does."""


def number(raw: msgspec.Raw) -> str:
    """Return a number as it was written: a float would not keep its digits. Raises FrameError.

    >>> number(msgspec.Raw(b"0.00012460"))
    '0.00012460'
    """
    return check_decimal(bytes(raw).decode("ascii", "backslashreplace"))


def instant_ns(text: str) -> int:
    """Return ns since the epoch of an instant as WebSocket v2 writes it.

    Raises
    ------
    FrameError : of kind ``time`` if it is no instant between 2016 and 2100.

    >>> instant_ns("2023-10-06T17:35:55.440295Z")
    1696613755440295000
    """
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise FrameError("time", f"{text[:40]!r} is no instant")
    return _whole(_calendar_s(found[1]), text) * NS_PER_S + int((found[2] or "").ljust(9, "0"))


def rest_ns(raw: msgspec.Raw) -> int:
    """Return ns since the epoch of seconds as REST prints them: a double, up to 300 ns beside the trade's own time.

    It is never a whole µs, though the double may be: who compares it knows by that that it is not exact, and need not
    find the µs of the stream in it. The ns that is added where it would be is less than what the double leaves open.

    Raises
    ------
    FrameError : of kind ``time`` if it is not a number of seconds between 2016 and 2100.

    >>> rest_ns(msgspec.Raw(b"1762795433.9717445")), rest_ns(msgspec.Raw(b"1762795433.971744"))
    (1762795433971744500, 1762795433971744001)
    """
    found = _SECONDS.fullmatch(bytes(raw))
    if found is None:
        raise FrameError("time", f"{bytes(raw)[:40]!r} is no time in seconds")
    ns = _whole(int(found[1]), found[1].decode()) * NS_PER_S + int((found[2] or b"").ljust(9, b"0")[:9])
    return ns if ns % 1000 else ns + 1


def rest_pair(venue_symbol: str) -> str:
    """Return a pair as REST spells it.

    >>> rest_pair("BTC/USD"), rest_pair("ETH/DOGE")
    ('XBTUSD', 'ETHXDG')
    """
    return "".join(_REST_CODES.get(code, code) for code in venue_symbol.split("/"))


def broken(body: bytes, error: Exception) -> FrameError:
    """Return the FrameError of bytes that msgspec refused."""
    return strict_json.broken(body, error)


@lru_cache(maxsize=64)
def _calendar_s(text: str) -> int:
    """Return the seconds of a second's text; trades come in bursts, so nearly all ask for one of the last."""
    try:
        return int(dt.datetime.fromisoformat(text + "+00:00").timestamp())
    except ValueError:
        raise FrameError("time", f"{text[:40]!r} is no instant") from None


def _whole(seconds: int, told: str) -> int:
    if not _FIRST_S <= seconds < _END_S:
        raise FrameError("time", f"{told[:40]} is not between 2016 and 2100")
    return seconds

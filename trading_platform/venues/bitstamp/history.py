"""Bitstamp's past trades: one REST answer lists those of the last minute, hour or day. Older ones cannot be had.

An answer lists the newest trade first. It tells times in whole seconds, the stream tells µs: copies of a trade agree
within the second, and the finer time is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from trading_platform.domain.errors import FrameError
from trading_platform.domain.trades.trade import Trade
from trading_platform.domain.units import NS_PER_S
from trading_platform.venues.answers import Request
from trading_platform.venues.bitstamp.wire import REFUSED, broken, instant_ns, trade
from trading_platform.venues.history import Asked, NewestOnly, Page, RefusedRow
from trading_platform.venues.strict_json import check_strict

_ROW_NAMES = tuple(b'"%b"' % name for name in (b"date", b"tid", b"price", b"amount", b"type"))
_ID_DIGITS = 19


class _Row(msgspec.Struct, frozen=True):
    date: str
    tid: str
    price: str
    amount: str
    type: Literal["0", "1"]


_rows: Callable[[bytes], list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw]).decode
_row: Callable[[bytes], _Row] = msgspec.json.Decoder(_Row).decode


class RecentTransactions(NewestOnly):
    """The trades of the last day. It is asked for nothing else, so a cursor is empty.

    Examples
    --------
    >>> RecentTransactions().newest("btcusd")[:2]
    ('/api/v2/transactions/btcusd/', (('time', 'day'),))
    """

    page_limit = 1_000_000  # not documented; a busy day of a busy pair is a tenth of it

    def newest(self, venue_symbol: str) -> Request:
        """Return the request for the newest trade and all others of the last day."""
        return Request(f"/api/v2/transactions/{venue_symbol}/", (("time", "day"),))

    def read(self, body: bytes, symbol: str, asked: Asked | None = None) -> Page:
        """Return the trades of an answer, oldest first. It does not name the pair that it is about.

        Raises
        ------
        FrameError : kinds ``json``, ``venue`` (the body is the venue's error), ``shape``.

        Examples
        --------
        >>> body = b'[{"date":"1641343699","tid":"216000477","amount":"0.07920000","type":"0","price":"3805.44"}]'
        >>> RecentTransactions().read(body, "ETH-USD").trades[0].trade_uid
        '216000477'
        """
        del asked
        return Page.of([_read(bytes(raw), symbol) for raw in reversed(_list(body))])

    def raw_rows(self, body: bytes) -> dict[int, bytes]:
        """Return nothing: no account is kept of the ids. Raises FrameError only."""
        _list(body)
        return {}


def _list(body: bytes) -> list[msgspec.Raw]:
    try:
        return _rows(body)
    except REFUSED as error:
        raise broken(body, error) from None


def _read(raw: bytes, symbol: str) -> Trade | RefusedRow:
    try:
        try:
            row = _row(raw)
        except REFUSED as error:
            raise broken(raw, error) from None
        check_strict(raw, _ROW_NAMES)
        number = _id(row.tid)
        return trade(symbol, number, instant_ns(row.date, NS_PER_S), row.price, row.amount, int(row.type))
    except FrameError as error:
        return RefusedRow(None, raw, error)


def _id(text: str) -> int:
    """Return an id that is told as text, as the number that the stream tells."""
    number: Any = int(text) if text.isascii() and text.isdecimal() and len(text) <= _ID_DIGITS else -1
    if not 0 <= number < 1 << 63:
        raise FrameError("id", f"{text[:40]!r} is no id")
    return int(number)

"""Kraken's past trades: REST pages by time, ascending, a thousand rows each, back to the pair's first trade.

Trades are asked for by what is later than a time, in ns. Ids rise by one per pair and rise with time, so a page that
begins before the missing ids lists all of them that there are. A page may end between trades of one instant: the next
one begins with that instant again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from trading_platform.domain.decimals import check_decimal
from trading_platform.domain.errors import FrameError
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues.answers import Request
from trading_platform.venues.history import Asked, Cursor, Missing, NumberedPages, Page, RefusedRow, Span
from trading_platform.venues.kraken.wire import REFUSED, Id, broken, rest_ns, rest_pair
from trading_platform.venues.strict_json import check_strict

_TRADES = "/0/public/Trades"
_BEFORE_NS = 3_000_000
"""So much earlier a page begins than what is known of the missing ids: a time may lie a little beside its neighbours',
and the µs of the stream beside the ns of REST."""


class _Row(msgspec.Struct, frozen=True, array_like=True):
    price: str
    quantity: str
    time: msgspec.Raw
    side: Literal["b", "s"]
    order: str
    note: str
    trade_id: Id


class _Answer(msgspec.Struct, frozen=True):
    result: dict[str, msgspec.Raw]


_answer: Callable[[bytes], _Answer] = msgspec.json.Decoder(_Answer).decode
_rows: Callable[[bytes], list[_Row]] = msgspec.json.Decoder(list[_Row]).decode
_raw_rows: Callable[[bytes], list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw]).decode
_row: Callable[[bytes], _Row] = msgspec.json.Decoder(_Row).decode
_columns: Callable[[bytes], list[Any]] = msgspec.json.Decoder(list[Any]).decode


class KrakenHistory(NumberedPages):
    """Trades by `Trades`. A cursor is a time in ns that the trades are later than.

    Examples
    --------
    >>> history = KrakenHistory()
    >>> asked = history.from_ids(Missing(7, 9, held_before=True, after_ns=1_762_795_433_971_744_000))
    >>> asked
    Asked(cursor='1762795433968744000', from_id=6, to_id=9)
    >>> history.request("BTC/USD", asked).params
    (('pair', 'XBTUSD'), ('since', '1762795433968744000'))
    """

    direction: Literal["forward", "backward"] = "forward"
    page_limit = 1000

    def from_ids(self, missing: Missing) -> Asked | None:
        """Return what to ask for, None if it is not known when the ids were traded."""
        if missing.after_ns is None:
            return None
        first, last = missing.first - missing.held_before, missing.last + missing.held_after
        return Asked(_since(missing.after_ns - _BEFORE_NS), first, last)

    def from_time(self, ts_ns: int) -> Asked:
        """Return what to ask for: the page that begins with the first trade at or after an instant."""
        return Asked(_since(ts_ns - 1))

    def request(self, venue_symbol: str, asked: Asked) -> Request:
        """Return the request."""
        return Request(_TRADES, (("pair", rest_pair(venue_symbol)), ("since", asked.cursor)))

    def newest(self, venue_symbol: str) -> Request:
        """Return the request: without a time, the newest trades are listed."""
        return Request(_TRADES, (("pair", rest_pair(venue_symbol)), ("count", "1")))

    def span(self, asked: Asked) -> Span | None:
        """Return the ids that one request is about: all of them, the next page is known by the answer alone."""
        if asked.from_id is None or asked.to_id is None:
            return None
        return Span(asked.from_id, asked.to_id, None)

    def read(self, body: bytes, symbol: str, asked: Asked | None = None) -> Page:
        """Return the rows of a page.

        Raises
        ------
        FrameError : kinds ``json``, ``shape`` (no list of rows under the name of one pair).

        Examples
        --------
        >>> body = b'{"error":[],"result":{"XXBTZUSD":[["5.1","2",1762795433.9717445,"b","l","",7]],"last":"1"}}'
        >>> KrakenHistory().read(body, "BTC-USD").trades[0][:3]
        ('BTC-USD', 7, 1762795433971744500)
        """
        rows, last = _parts(body)
        found = Page.of(_each(rows, symbol))
        ends = len(found.trades) + len(found.refused) < self.page_limit
        ids = found.ids()
        if asked is None or asked.from_id is None:
            return found._replace(ends=ends)
        from_id, to_id = asked.from_id, asked.to_id
        if not ids:
            # It proves nothing: that there is no trade since then at all is never so of ids that were told.
            return found._replace(ends=ends)
        newest = max(ids)
        covers = (min(from_id, *ids), max(newest, to_id) if ends and to_id is not None else newest)
        return found._replace(
            covers=covers, ends=ends, then=None if ends else _further(asked._replace(from_id=newest), last)
        )

    def raw_rows(self, body: bytes) -> dict[int, bytes]:
        """Return the bytes of each row by its id. Raises FrameError only.

        >>> KrakenHistory().raw_rows(b'{"result":{"XXBTZUSD":[["5.1","2",1,"b","l","",7]],"last":"1"}}')
        {7: b'["5.1","2",1,"b","l","",7]'}
        """
        try:
            raw = [bytes(row) for row in _raw_rows(_parts(body)[0])]
        except REFUSED as error:
            raise broken(body, error) from None
        rows = [(_id_of(row), row) for row in raw]
        return {number: row for number, row in rows if number is not None}


def _since(ts_ns: int) -> Cursor:
    return Cursor(str(max(0, ts_ns)))


def _further(asked: Asked, last_ns: int | None) -> Asked | None:
    """Return what to ask for next: what has the time of the last row too, if that is any further."""
    if last_ns is None:
        return None
    further = last_ns - 1 if last_ns - 1 > int(asked.cursor) else last_ns
    return asked._replace(cursor=_since(further)) if further > int(asked.cursor) else None


def _parts(body: bytes) -> tuple[bytes, int | None]:
    """Return the rows of a page, whatever its pair is called, and the time of the last one. Raises FrameError."""
    try:
        result = dict(_answer(body).result)
        last = msgspec.json.decode(result.pop("last", msgspec.Raw(b"null")))
    except REFUSED as error:
        raise broken(body, error) from None
    check_strict(b"" if body.isascii() else body, ())
    if body.count(b'"result"') > 1 or body.count(b'"last"') > 1:
        check_strict(body, (b'"result"', b'"last"'))
    if len(result) != 1:
        raise FrameError("shape", f"{len(result)} pairs where one was asked for")
    readable = isinstance(last, str) and last.isascii() and last.isdecimal() and len(last) <= 19
    return bytes(next(iter(result.values()))), int(last) if readable else None


def _each(rows: bytes, symbol: str) -> list[Trade | RefusedRow]:
    """Return a page's rows; one that is no trade does not take the others with it."""
    try:
        return [_trade(row, symbol) for row in _rows(rows)]
    except (*REFUSED, FrameError):
        pass
    try:
        raw = [bytes(row) for row in _raw_rows(rows)]
    except REFUSED as error:
        raise broken(rows, error) from None
    return [_read(row, symbol) for row in raw]


def _read(raw: bytes, symbol: str) -> Trade | RefusedRow:
    try:
        return _trade(_row(raw), symbol)
    except REFUSED as error:
        return RefusedRow(_id_of(raw), raw, broken(raw, error))
    except FrameError as error:
        return RefusedRow(_id_of(raw), raw, error)


def _trade(row: _Row, symbol: str) -> Trade:
    side: Literal["buy", "sell"] = "buy" if row.side == "b" else "sell"
    return Trade(symbol, row.trade_id, rest_ns(row.time), check_decimal(row.price), check_decimal(row.quantity), side)


def _id_of(raw: bytes) -> int | None:
    """Return the id that a row names; None where that cannot be read."""
    try:
        columns = _columns(raw)
    except REFUSED:
        return None
    told = columns[6] if len(columns) > 6 else None
    return told if type(told) is int and 0 <= told < 1 << 63 else None

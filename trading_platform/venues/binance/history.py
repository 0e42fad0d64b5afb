"""Binance's past trades: asked for by id, in pages of a thousand; an instant is found by the first aggregate since.

What the answers' rows mean is pages.py.
"""

from __future__ import annotations

from typing import Literal

from trading_platform.domain.errors import FrameError
from trading_platform.venues.answers import Request
from trading_platform.venues.binance import pages
from trading_platform.venues.history import Asked, Cursor, Missing, NumberedPages, Page, Span, contradiction

_SINCE = "since "
_TRADES = "/api/v3/historicalTrades"


class BinanceHistory(NumberedPages):
    """Trades by `historicalTrades`; needs neither key nor signature. A cursor is an id, or ``since`` and a time in ms.

    Examples
    --------
    >>> history = BinanceHistory()
    >>> history.from_ids(Missing(7, 9, held_before=True))
    Asked(cursor='6', from_id=6, to_id=9)
    >>> history.request("BTCUSDT", history.from_ids(Missing(7, 9))).params
    (('symbol', 'BTCUSDT'), ('fromId', '7'), ('limit', '3'))
    """

    direction: Literal["forward", "backward"] = "forward"
    page_limit = 1000

    def from_ids(self, missing: Missing) -> Asked:
        """Return what to ask for; ids that are held around the missing ones come along."""
        return _by_id(missing.first - missing.held_before, missing.last + missing.held_after)

    def from_time(self, ts_ns: int) -> Asked:
        """Return what to ask for: the first aggregate at or after an instant names the ids of its trades."""
        return Asked(Cursor(f"{_SINCE}{-(-ts_ns // 1_000_000)}"))

    def request(self, venue_symbol: str, asked: Asked) -> Request:
        """Return the request."""
        if asked.cursor.startswith(_SINCE):
            start_ms = asked.cursor.removeprefix(_SINCE)
            params = (("symbol", venue_symbol), ("startTime", start_ms), ("limit", "1"))
            return Request("/api/v3/aggTrades", params, {"weight": 4})
        first, last, _ = self.span(asked) or (int(asked.cursor), int(asked.cursor), None)
        params = (("symbol", venue_symbol), ("fromId", str(first)), ("limit", str(last - first + 1)))
        return Request(_TRADES, params, {"weight": 25})

    def newest(self, venue_symbol: str) -> Request:
        """Return the request."""
        return Request(_TRADES, (("symbol", venue_symbol), ("limit", "1")), {"weight": 25})

    def span(self, asked: Asked) -> Span | None:
        """Return the ids that one request is about: older trades than these may be gone, younger ones not."""
        if asked.from_id is None:
            return None
        last = asked.from_id + self.page_limit - 1
        if asked.to_id is None or last < asked.to_id:
            return Span(asked.from_id, last, _by_id(last + 1, asked.to_id))
        return Span(asked.from_id, asked.to_id, None)

    def read(self, body: bytes, symbol: str, asked: Asked | None = None) -> Page:
        """Return the rows of a page of `historicalTrades`, `trades` or `aggTrades`.

        A row is refused with the kinds that `Binance.decode_frame` knows.

        Raises
        ------
        FrameError : kinds ``json``, ``venue`` (the body is the venue's error), ``shape`` (no array of objects),
            ``aggregate`` (a record stands for several trades, whose sizes it does not tell), ``page`` (not what was
            asked for).

        Examples
        --------
        >>> body = b'[{"a":1,"p":"1","q":"1","f":100,"l":105,"T":1498793709153,"m":true,"M":true}]'
        >>> BinanceHistory().read(body, "BTC-USDT", BinanceHistory().from_time(1498793700000000000)).first
        (100, 1498793709153000000)
        """
        if asked is not None and asked.cursor.startswith(_SINCE):
            return Page([], [], first=pages.first_of(body))
        found = pages.trade_page(body, symbol)
        if asked is None or asked.from_id is None:
            return found
        from_id, to_id, found = asked.from_id, asked.to_id, found.placed(asked.from_id)
        ids = found.ids()
        if (wrong := contradiction(ids, from_id, to_id, self.page_limit)) is not None:
            raise FrameError("page", f"not the page that was asked for: {wrong}")
        ends = len(found.trades) + len(found.refused) < self.page_limit
        if not ids:
            return found._replace(ends=ends, covers=None if to_id is None else (from_id, to_id))
        newest = max(ids)
        then = _by_id(newest, to_id) if newest > from_id else None
        # A page that begins late has forgotten what lies before; one that is not full has nothing behind its end.
        covers = (min(ids), newest) if to_id is None else (from_id, max(newest, to_id) if ends else newest)
        return found._replace(then=then, covers=covers, ends=ends)

    def raw_rows(self, body: bytes) -> dict[int, bytes]:
        """Return the bytes of each row by its id.

        >>> BinanceHistory().raw_rows(b'[{"id":7,"price":"1"}, {"id":8}]')
        {7: b'{"id":7,"price":"1"}', 8: b'{"id":8}'}
        """
        return pages.raw_rows(body)


def _by_id(first: int, last: int | None) -> Asked:
    return Asked(Cursor(str(first)), first, last)

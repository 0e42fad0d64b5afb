"""Bybit's v5 REST answers: recent trades, instruments, errors inside a 200. Frames are streams.py.

Its REST serves the newest trades only: 60 of spot, 1,000 of linear. Older ones are in its daily files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import msgspec

from trading_platform.domain.decimals import check_decimal
from trading_platform.domain.errors import FrameError, SymbolError
from trading_platform.domain.instrument import Instrument, check_symbol, normalise_asset
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues.answers import Answer, AnswerVerdict, Request
from trading_platform.venues.bybit.wire import LINEAR, REFUSED, SPOT, broken, spelled, spelling, timestamp_ns, trade
from trading_platform.venues.history import Asked, NewestOnly, Page, RefusedRow
from trading_platform.venues.strict_json import check_strict

_MOST = {SPOT: 60, LINEAR: 1000}
_MOST_LISTED = "1000"
_TOO_MANY = {10006, 10018, 10429}
_ITS_TROUBLE = {10000, 10016, 10019}
_ROW_NAMES = tuple(b'"%b"' % name for name in (b"execId", b"price", b"size", b"side", b"time"))


class _Told(msgspec.Struct, frozen=True):
    retCode: int  # noqa: N815  (the venue's spelling)
    retMsg: str = ""  # noqa: N815


class _Row(msgspec.Struct, frozen=True):
    execId: str  # noqa: N815
    symbol: str
    price: str
    size: str
    side: str
    time: str


class _Rows(msgspec.Struct, frozen=True):
    category: str
    rows: list[msgspec.Raw] = msgspec.field(name="list")
    nextPageCursor: str | None = ""  # noqa: N815


class _Answer(msgspec.Struct, frozen=True):
    result: _Rows


class _Step(msgspec.Struct, frozen=True):
    tickSize: str | None = None  # noqa: N815
    qtyStep: str | None = None  # noqa: N815
    basePrecision: str | None = None  # noqa: N815


class _Instrument(msgspec.Struct, frozen=True):
    symbol: str
    status: str
    baseCoin: str  # noqa: N815
    quoteCoin: str  # noqa: N815
    contractType: str = ""  # noqa: N815
    priceFilter: _Step = _Step()  # noqa: N815
    lotSizeFilter: _Step = _Step()  # noqa: N815


_told: Callable[[bytes], _Told] = msgspec.json.Decoder(_Told).decode
_answer: Callable[[bytes], _Answer] = msgspec.json.Decoder(_Answer).decode
_row: Callable[[bytes], _Row] = msgspec.json.Decoder(_Row).decode
_instrument: Callable[[bytes], _Instrument] = msgspec.json.Decoder(_Instrument).decode


def judge(answer: Answer) -> AnswerVerdict:
    """Return what a 200 means.

    >>> judge(Answer(200, body=b'{"retCode":10016,"retMsg":"Internal server error."}')).kind
    'retry'
    """
    try:
        told = _told(answer.body)
    except REFUSED:
        return AnswerVerdict("ok")  # what the body is, its reader says
    if not told.retCode:
        return AnswerVerdict("ok")
    reason = f"error {told.retCode}: {told.retMsg[:200]}"
    if told.retCode in _TOO_MANY:
        return AnswerVerdict("rate_limited", answer.retry_after_s, reason=reason)
    if told.retCode in _ITS_TROUBLE:
        return AnswerVerdict("retry", answer.retry_after_s, reason=reason)
    return AnswerVerdict("refused", reason=reason)


class RecentTrades(NewestOnly):
    """The newest trades of a symbol. It is asked for nothing else, so a cursor is empty."""

    page_limit = _MOST[LINEAR]

    def newest(self, venue_symbol: str) -> Request:
        """Return the request for as many of the newest trades as there are.

        >>> RecentTrades().newest("spot/BTCUSDT").params
        (('category', 'spot'), ('symbol', 'BTCUSDT'), ('limit', '60'))
        """
        category, name = spelled(venue_symbol)
        params = (("category", category), ("symbol", name), ("limit", str(_MOST.get(category, 60))))
        return Request("/v5/market/recent-trade", params)

    def read(self, body: bytes, symbol: str, asked: Asked | None = None) -> Page:
        """Return the trades of an answer, oldest first.

        Raises
        ------
        FrameError : kinds ``json``, ``venue`` (the body is the venue's error), ``shape``.
        """
        del asked
        found = _list(body)
        return Page.of([_read(bytes(raw), symbol, found.category) for raw in reversed(found.rows)])

    def raw_rows(self, body: bytes) -> dict[int, bytes]:
        """Return nothing: rows have no integer ids. Raises FrameError only."""
        _list(body)
        return {}


def _list(body: bytes) -> _Rows:
    try:
        return _answer(body).result
    except REFUSED as error:
        raise broken(body, error) from None


def _read(raw: bytes, symbol: str, category: str) -> Trade | RefusedRow:
    try:
        try:
            row = _row(raw)
        except REFUSED as error:
            raise broken(raw, error) from None
        check_strict(raw, _ROW_NAMES)
        if spelling(symbol) != f"{category}/{row.symbol}":
            raise FrameError("stream", f"a trade of {category} {row.symbol[:40]!r}")
        if not (row.time.isascii() and row.time.isdigit() and len(row.time) == 13):
            raise FrameError("time", f"{row.time[:40]!r} is no time in ms")
        return trade(symbol, category, row.execId, timestamp_ns(int(row.time)), row.price, row.size, row.side)
    except FrameError as error:
        return RefusedRow(None, raw, error)


def instruments_request(category: str, cursor: str = "") -> Request:
    """Return the request for a page of what a category lists; spot lists all at once."""
    params = [("category", category)]
    if category == LINEAR:
        params.append(("limit", _MOST_LISTED))
    if cursor:
        params.append(("cursor", cursor))
    return Request("/v5/market/instruments-info", tuple(params))


def more_instruments(body: bytes) -> Request | None:
    """Return the request for what follows: the next page of a category, then the next category; None at the end.

    >>> more_instruments(b'{"result":{"category":"spot","list":[],"nextPageCursor":""}}').params[0]
    ('category', 'linear')
    """
    told = _list(body)
    if told.nextPageCursor and told.rows:
        return instruments_request(told.category, unquote(told.nextPageCursor))
    return instruments_request(LINEAR) if told.category == SPOT else None


def instruments(body: bytes) -> list[Instrument]:
    """Return the instruments that have a canonical name: spot, and linear perpetuals.

    Raises
    ------
    FrameError : kinds ``json``, ``venue``, ``shape``.
    """
    told, found = _list(body), []
    for raw in told.rows:
        try:
            row = _instrument(bytes(raw))
        except REFUSED as error:
            raise broken(body, error) from None
        instrument = _listed(row, told.category)
        if instrument is not None:
            found.append(instrument)
    return found


def _listed(row: _Instrument, category: str) -> Instrument | None:
    if category == LINEAR and row.contractType != "LinearPerpetual":
        return None
    base, quote = normalise_asset(row.baseCoin), normalise_asset(row.quoteCoin)
    try:
        symbol = check_symbol(f"{base}-{quote}" + ("-PERP" if category == LINEAR else ""))
        # The venue's own name goes into messages and paths: letters and digits too, or left out.
        check_symbol(f"{normalise_asset(row.symbol)}-X")
        price_step = _step(row.priceFilter.tickSize)
        quantity_step = _step(row.lotSizeFilter.qtyStep or row.lotSizeFilter.basePrecision)
    except (SymbolError, FrameError):
        return None
    kind: Any = "perpetual" if category == LINEAR else "spot"
    name = f"{category}/{row.symbol}"
    return Instrument("bybit", symbol, name, kind, base, quote, price_step, quantity_step, row.status)


def _step(text: str | None) -> str | None:
    return None if text is None else check_decimal(text)

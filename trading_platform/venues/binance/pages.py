"""Binance's REST answers: trades row by row, aggregates, instruments. What is asked for is history.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from trading_platform.domain.decimals import check_decimal
from trading_platform.domain.errors import FrameError, SymbolError
from trading_platform.domain.instrument import Instrument, check_symbol, normalise_asset
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues.binance.wire import REFUSED, Id, broken, timestamp_ns, trade
from trading_platform.venues.history import Page, RefusedRow
from trading_platform.venues.strict_json import check_strict

_ROW_NAMES = tuple(b'"%b"' % name for name in (b"id", b"price", b"qty", b"time", b"isBuyerMaker"))


class _PageTrade(msgspec.Struct, frozen=True):
    id: Id
    price: str
    qty: str
    time: int
    isBuyerMaker: bool  # noqa: N815  (the venue's spelling)


class _Aggregate(msgspec.Struct, frozen=True):
    a: Id
    p: str
    q: str
    f: Id
    l: Id  # noqa: E741  (the venue's spelling)
    T: int
    m: bool


class _RowId(msgspec.Struct, frozen=True):
    """What may tell the id of a row that is no trade."""

    id: Any = None
    f: Any = None
    l: Any = None  # noqa: E741  (the venue's spelling)


class _Filter(msgspec.Struct, frozen=True):
    filterType: str = ""  # noqa: N815
    tickSize: str | None = None  # noqa: N815
    stepSize: str | None = None  # noqa: N815


class _SymbolInfo(msgspec.Struct, frozen=True):
    symbol: str
    status: str
    baseAsset: str  # noqa: N815
    quoteAsset: str  # noqa: N815
    filters: list[_Filter] = []


class _ExchangeInfo(msgspec.Struct, frozen=True):
    symbols: list[_SymbolInfo]


_page: Callable[[bytes], list[_PageTrade]] = msgspec.json.Decoder(list[_PageTrade]).decode
_rows: Callable[[bytes], list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw]).decode
_row: Callable[[bytes], _PageTrade] = msgspec.json.Decoder(_PageTrade).decode
_aggregate: Callable[[bytes], _Aggregate] = msgspec.json.Decoder(_Aggregate).decode
_row_id: Callable[[bytes], _RowId] = msgspec.json.Decoder(_RowId).decode
_aggregates: Callable[[bytes], list[_Aggregate]] = msgspec.json.Decoder(list[_Aggregate]).decode
_info: Callable[[bytes], _ExchangeInfo] = msgspec.json.Decoder(_ExchangeInfo).decode


def trade_page(body: bytes, symbol: str) -> Page:
    """Return the rows of a page of trades or aggregates; a row that is none does not take the others with it."""
    trades = _sound_page(body, symbol)
    return _page_by_row(body, symbol) if trades is None else Page.of(trades)


def first_of(body: bytes) -> tuple[int, int] | None:
    """Return the first id of the first aggregate and its time, None of an empty page."""
    try:
        rows = _aggregates(body)
    except REFUSED as error:
        raise broken(body, error) from None
    return (rows[0].f, timestamp_ns(rows[0].T)) if rows else None


def raw_rows(body: bytes) -> dict[int, bytes]:
    """Return the bytes of each row by its id."""
    rows = [(_id_of(row), row) for row in _objects(body)]
    return {number: row for number, row in rows if number is not None}


def instruments(body: bytes) -> list[Instrument]:
    """Return the listed instruments that have a canonical spelling."""
    try:
        listed = _info(body).symbols
    except REFUSED as error:
        raise broken(body, error) from None
    found: dict[str, Instrument] = {}
    for row in listed:
        instrument = _instrument(row)
        if instrument is None:
            continue
        held = found.get(instrument.symbol)
        # Two listings of one pair have been seen where one is a leftover: keep the one that trades.
        if held is None or (held.status != "TRADING" and instrument.status == "TRADING"):
            found[instrument.symbol] = instrument
    return list(found.values())


def _sound_page(body: bytes, symbol: str) -> list[Trade] | None:
    """Return the trades of a page in which every row is one, None for any other."""
    try:
        rows = _page(body)
        if not body.isascii() or b"\\" in body or any(body.count(name) != len(rows) for name in _ROW_NAMES):
            return None
        return [trade(symbol, row.id, row.time, row.price, row.qty, row.isBuyerMaker) for row in rows]
    except (*REFUSED, FrameError):
        return None


def _page_by_row(body: bytes, symbol: str) -> Page:
    """Read a page row by row; a row that is no trade does not take the others with it."""
    rows: list[Trade | RefusedRow] = []
    for raw in _objects(body):
        try:
            rows.append(_row_trade(raw, symbol))
        except FrameError as error:
            if error.kind == "aggregate":  # another endpoint than was asked: no row is what it should be
                raise
            rows.append(RefusedRow(_id_of(raw), raw, error))
    return Page.of(rows)


def _objects(body: bytes) -> list[bytes]:
    """Return the bytes of each object of a page."""
    try:
        rows = [bytes(raw) for raw in _rows(body)]
    except REFUSED as error:
        raise broken(body, error) from None
    for place, raw in enumerate(rows):
        if raw[:1] != b"{":
            raise FrameError("shape", f"row {place} of the page is no object")
    return rows


def _row_trade(raw: bytes, symbol: str) -> Trade:
    try:
        row = _row(raw)
    except REFUSED as error:
        return _aggregate_trade(raw, symbol, error)
    check_strict(raw, _ROW_NAMES)
    return trade(symbol, row.id, row.time, row.price, row.qty, row.isBuyerMaker)


def _aggregate_trade(raw: bytes, symbol: str, first_error: Exception) -> Trade:
    try:
        row = _aggregate(raw)
    except REFUSED:
        raise broken(raw, first_error) from None
    if row.f != row.l:
        raise FrameError("aggregate", f"record {row.a} stands for trades {row.f} to {row.l}")
    check_strict(raw, (b'"f"', b'"l"', b'"p"', b'"q"', b'"T"', b'"m"'))
    return trade(symbol, row.f, row.T, row.p, row.q, row.m)


def _id_of(raw: bytes) -> int | None:
    """Return the id that a row names, as a number or as digits; None where that cannot be read."""
    try:
        told = _row_id(raw)
        check_strict(raw, _ROW_NAMES)
    except (*REFUSED, FrameError):
        return None
    number = told.f if told.id is None and told.f == told.l else told.id
    if isinstance(number, str) and number.isascii() and number.isdecimal() and len(number) <= 18:
        return int(number)
    return number if type(number) is int and 0 <= number < 1 << 63 else None


def _instrument(row: _SymbolInfo) -> Instrument | None:
    base, quote = normalise_asset(row.baseAsset), normalise_asset(row.quoteAsset)
    try:
        symbol = check_symbol(f"{base}-{quote}")
        # The venue's spelling goes into addresses: letters and digits too, or left out.
        check_symbol(f"{normalise_asset(row.symbol)}-X")
        price_step = _step(row.filters, "PRICE_FILTER", "tickSize")
        quantity_step = _step(row.filters, "LOT_SIZE", "stepSize")
    except (SymbolError, FrameError):
        return None
    return Instrument("binance", symbol, row.symbol, "spot", base, quote, price_step, quantity_step, row.status)


def _step(filters: Sequence[_Filter], kind: str, field: str) -> str | None:
    for found in filters:
        if found.filterType == kind:
            step: str | None = getattr(found, field)
            return None if step is None else check_decimal(step)
    return None

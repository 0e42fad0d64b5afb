"""Binance spot: trade streams, trade pages, instruments, limits, as its own documents state them.

Lives here: bytes to Trade, paths, limits. Not here: sending requests (ingest/), imitating the venue (simulate/).

What the fields mean:

- `t` (REST: `id`) rises by one per symbol: a missing id is a missing trade.
- `T` is the exchange's trade time in ms, or µs where a client asked for `timeUnit=MICROSECOND`; `E`, the time of
  sending, is not used.
- `m` (REST: `isBuyerMaker`) tells whether the buyer was the maker, so the taker *sold*.
- A price of 0, or a type `X` other than MARKET (derivatives only), uses an id up without an order-book trade: void.
  REST has no type and serves such an id as any other: what the stream says of it stands.
- An aggregate (`aggTrade`) names ids `f` to `l`; only with f = l does it stand for one known trade.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote as percent_encoded

import msgspec

from trading_platform.domain.decimals import check_decimal
from trading_platform.domain.errors import FrameError, SymbolError
from trading_platform.domain.instrument import Instrument, check_symbol, kind_of, normalise_asset
from trading_platform.domain.trade import Trade
from trading_platform.venues.adapter import Ids, KeepAlive, RefusedRow, Request, TradeFrame, TradePage
from trading_platform.venues.strict_json import check_strict, text_of

# msgspec's own errors are ValueErrors, and so is the UnicodeDecodeError it lets through; deep nesting recurses.
_REFUSED = (ValueError, RecursionError)

_USUAL = re.compile(
    rb'\{"stream":"[^"\\]*","data":\{"e":"trade","E":\d+,"s":"[^"\\]*","t":\d+,"p":"[^"\\]*","q":"[^"\\]*",'
    rb'"T":\d+,"m":\w+,"M":\w+\}\}'
)

# The order of the fields is that of the venue's documents and of every captured frame.
_PEEK = re.compile(rb'"e":"trade".{0,60}?"s":"([^"\x00-\x20]{1,240})","t":(\d{1,18})[,}]', re.DOTALL)

_FRAME_NAMES = tuple(b'"%b"' % name for name in (b"stream", b"data", b"e", b"s", b"t", b"p", b"q", b"T", b"m", b"X"))
_ROW_NAMES = tuple(b'"%b"' % name for name in (b"id", b"price", b"qty", b"time", b"isBuyerMaker"))

_Id = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]

# 2016-01-01 to 2100-01-01. The two ranges are disjoint, so the magnitude alone names the unit.
_MS_FIRST, _MS_END = 1_451_606_400_000, 4_102_444_800_000
_US_FIRST, _US_END = _MS_FIRST * 1000, _MS_END * 1000


class _Trade(msgspec.Struct, frozen=True):
    """A trade event; as an envelope, its `data`. Fields a future venue adds are ignored."""

    e: str
    s: str
    t: _Id
    p: str
    q: str
    T: int
    m: bool
    X: str = "MARKET"


class _Envelope(msgspec.Struct, frozen=True):
    stream: str
    data: _Trade


class _Head(msgspec.Struct, frozen=True):
    """Just enough of any object to tell whether it claims to be a trade."""

    e: Any = None
    stream: Any = None
    data: msgspec.Raw = msgspec.Raw()


class _PageTrade(msgspec.Struct, frozen=True):
    id: _Id
    price: str
    qty: str
    time: int
    isBuyerMaker: bool  # noqa: N815  (the venue's spelling)


class _Aggregate(msgspec.Struct, frozen=True):
    a: _Id
    p: str
    q: str
    f: _Id
    l: _Id  # noqa: E741  (the venue's spelling)
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


class _Symbol(msgspec.Struct, frozen=True):
    symbol: str
    status: str
    baseAsset: str  # noqa: N815
    quoteAsset: str  # noqa: N815
    filters: list[_Filter] = []


class _ExchangeInfo(msgspec.Struct, frozen=True):
    symbols: list[_Symbol]


_envelope: Callable[[bytes], _Envelope] = msgspec.json.Decoder(_Envelope).decode
_bare: Callable[[bytes], _Trade] = msgspec.json.Decoder(_Trade).decode
_head: Callable[[bytes], _Head] = msgspec.json.Decoder(_Head).decode
_page: Callable[[bytes], list[_PageTrade]] = msgspec.json.Decoder(list[_PageTrade]).decode
_rows: Callable[[bytes], list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw]).decode
_row: Callable[[bytes], _PageTrade] = msgspec.json.Decoder(_PageTrade).decode
_aggregate: Callable[[bytes], _Aggregate] = msgspec.json.Decoder(_Aggregate).decode
_row_id: Callable[[bytes], _RowId] = msgspec.json.Decoder(_RowId).decode
_aggregates: Callable[[bytes], list[_Aggregate]] = msgspec.json.Decoder(list[_Aggregate]).decode
_info: Callable[[bytes], _ExchangeInfo] = msgspec.json.Decoder(_ExchangeInfo).decode


class Binance:
    """The spot market of Binance. Limits are those of its documents (web-socket-streams.md, rest-api.md).

    Examples
    --------
    >>> frame = (b'{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100",'
    ...          b'"T":1672515782136,"m":true,"M":true}')
    >>> Binance().decode_frame(frame, {"BNBBTC": "BNB-BTC"})[0].side
    'sell'
    """

    name = "binance"
    ws_url = "wss://stream.binance.com:9443"
    rest_url = "https://api.binance.com"
    weight_per_minute = 6000
    page_limit = 1000
    ids: Ids = "contiguous"
    inbound_per_second = 5.0
    connects_per_5min = 300
    streams_per_connection = 1024
    # Not documented. Servers and proxies accept request lines of 8 KB (nginx, Apache) or 4 KB (IIS), headers apart.
    address_bytes = 4000
    connection_lifetime_s = 86_400.0
    trade_frame: TradeFrame | None = TradeFrame(
        (
            *(b'{"stream":"', "stream_symbol", b'@trade","data":{"e":"trade","E":', "integer"),
            *(b',"s":"', "symbol", b'","t":', "id", b',"p":"', "price", b'","q":"', "quantity", b'","T":', "time"),
            *(b',"m":', "buyer_is_maker", b',"M":', "bool", b"}}"),
        ),
        ((_MS_FIRST, _MS_END, 1_000_000), (_US_FIRST, _US_END, 1000)),
    )
    keepalive = KeepAlive("ping")
    farewell = b'"serverShutdown"'
    listing_field = "symbols"

    def stream_url(self, base: str, venue_symbols: Sequence[str]) -> str:
        """Return the address of the combined trade streams.

        >>> Binance().stream_url("wss://stream.binance.com:9443", ["BTCUSDT", "ETHUSDT"])
        'wss://stream.binance.com:9443/stream?streams=btcusdt@trade/ethusdt@trade'
        >>> Binance().stream_url("", ["币安USDT"])
        '/stream?streams=%E5%B8%81%E5%AE%89usdt@trade'
        """
        return f"{base.rstrip('/')}/stream?streams=" + "/".join(
            f"{percent_encoded(name.lower())}@trade" for name in venue_symbols
        )

    def decode_frame(self, frame: bytes, symbols: Mapping[str, str]) -> list[Trade]:
        """Return the trade of a combined or raw frame, [] if it holds none of `symbols`.

        Raises
        ------
        FrameError : kinds ``json`` (not JSON), ``shape`` (a trade whose fields are missing or of a wrong type),
            ``stream`` (a trade under another stream's name), ``number``, ``time``.
        """
        try:
            envelope = _envelope(frame)
        except _REFUSED:
            event = _odd_frame(frame)
        else:
            event = envelope.data
            if event.e != "trade":
                if envelope.stream.endswith("@trade"):
                    raise FrameError("shape", f"event {event.e[:40]!r} on stream {envelope.stream[:60]!r}")
                event = None
            elif envelope.stream != f"{event.s.lower()}@trade":
                raise FrameError("stream", f"a trade of {event.s[:40]!r} on stream {envelope.stream[:60]!r}")
        if _USUAL.fullmatch(frame) is None:
            check_strict(frame, _FRAME_NAMES)
        if event is None:
            if (seen := self.peek(frame)) is not None and seen[0] in symbols:
                raise FrameError("shape", f"trade {seen[1]} of {seen[0]} in a wrapping that is not known")
            return []
        if (symbol := symbols.get(event.s)) is None:
            if event.s.upper() in symbols:
                raise FrameError("stream", f"{event.s[:40]!r} differs from a symbol asked for in its case alone")
            return []
        return [_trade(symbol, event.t, event.T, event.p, event.q, event.m, event.X)]

    def peek(self, frame: bytes) -> tuple[str, int] | None:
        """Return symbol and id of a trade.

        >>> Binance().peek(b'{"stream":"bnbbtc@trade","data":{"e":"trade","E":1,"s":"BNBBTC","t":12345,"p":"0.001"}}')
        ('BNBBTC', 12345)
        """
        found = _PEEK.search(frame)
        name = None if found is None else text_of(found[1])
        return None if found is None or name is None else (name, int(found[2]))

    def page_request(self, venue_symbol: str, from_id: int, limit: int) -> Request:
        """Ask for up to `limit` trades from `from_id` on. Needs neither key nor signature."""
        params = (("symbol", venue_symbol), ("fromId", str(from_id)), ("limit", str(min(limit, self.page_limit))))
        return Request("/api/v3/historicalTrades", params, 25)

    def head_request(self, venue_symbol: str) -> Request:
        """Ask for the newest trade."""
        return Request("/api/v3/historicalTrades", (("symbol", venue_symbol), ("limit", "1")), 25)

    def since_request(self, venue_symbol: str, ts_ns: int) -> Request:
        """Ask for the first aggregate at or after an instant: it names the ids of its trades."""
        start_ms = -(-ts_ns // 1_000_000)
        params = (("symbol", venue_symbol), ("startTime", str(start_ms)), ("limit", "1"))
        return Request("/api/v3/aggTrades", params, 4)

    def decode_first(self, body: bytes) -> tuple[int, int] | None:
        """Return the first id of the first aggregate and its time, None of an empty page.

        >>> Binance().decode_first(b'[{"a":1,"p":"1","q":"1","f":100,"l":105,"T":1498793709153,"m":true,"M":true}]')
        (100, 1498793709153000000)
        """
        try:
            rows = _aggregates(body)
        except _REFUSED as error:
            raise _broken(body, error) from None
        return (rows[0].f, timestamp_ns(rows[0].T)) if rows else None

    def read_page(self, body: bytes, symbol: str) -> TradePage:
        """Return the rows of a page of `historicalTrades`, `trades` or `aggTrades`.

        A row is refused with the kinds that `decode_frame` knows.

        Raises
        ------
        FrameError : kinds ``json``, ``venue`` (the body is the venue's error), ``shape`` (no array of objects),
            ``aggregate`` (a record stands for several trades, whose sizes it does not tell).
        """
        trades = _sound_page(body, symbol)
        return _page_by_row(body, symbol) if trades is None else TradePage.of(trades)

    def decode_page(self, body: bytes, symbol: str) -> list[Trade]:
        """Return the trades of a page, ascending by id; the rows that are none are left out. Raises as `read_page`."""
        return self.read_page(body, symbol).trades

    def raw_rows(self, body: bytes) -> dict[int, bytes]:
        """Return the bytes of each row by its id.

        >>> Binance().raw_rows(b'[{"id":7,"price":"1"}, {"id":8}]')
        {7: b'{"id":7,"price":"1"}', 8: b'{"id":8}'}
        """
        rows = [(_id_of(row), row) for row in _objects(body)]
        return {number: row for number, row in rows if number is not None}

    def ping_request(self) -> Request:
        """Ask for an empty answer."""
        return Request("/api/v3/ping", (), 1)

    def instruments_request(self) -> Request:
        """Ask for every symbol with its filters."""
        return Request("/api/v3/exchangeInfo", (), 20)

    def decode_instruments(self, body: bytes) -> list[Instrument]:
        """Return the listed instruments; one whose assets have no canonical spelling is left out.

        Raises
        ------
        FrameError : kinds ``json``, ``venue``, ``shape``.
        """
        try:
            listed = _info(body).symbols
        except _REFUSED as error:
            raise _broken(body, error) from None
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

    def venue_symbol(self, symbol: str) -> str:
        """Return the venue's spelling.

        >>> Binance().venue_symbol("BTC-USDT")
        'BTCUSDT'
        """
        if kind_of(check_symbol(symbol)) != "spot":
            raise SymbolError(f"{symbol} is not a spot symbol; binance lists symbols like BTC-USDT")
        return symbol.replace("-", "")

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        """Return the weight used at this address in the running minute.

        >>> Binance().used_weight({"x-mbx-used-weight-1m": "75"})
        75
        """
        for name, value in headers.items():
            if name.lower() == "x-mbx-used-weight-1m" and value.isascii() and value.isdigit() and len(value) < 10:
                return int(value)
        return None


def timestamp_ns(value: int) -> int:
    """Return ns since the epoch of a venue time in ms or µs.

    Raises
    ------
    FrameError : of kind ``time`` if it is neither between 2016 and 2100.

    >>> timestamp_ns(1672515782136), timestamp_ns(1672515782136000)
    (1672515782136000000, 1672515782136000000)
    """
    if _MS_FIRST <= value < _MS_END:
        return value * 1_000_000
    if _US_FIRST <= value < _US_END:
        return value * 1000
    raise FrameError("time", f"{value} is neither ms nor µs between 2016 and 2100")


def _trade(
    symbol: str, trade_id: int, time: int, price: str, quantity: str, buyer_is_maker: bool, kind: str = "MARKET"
) -> Trade:
    check_decimal(price)
    check_decimal(quantity)
    void = None
    if kind != "MARKET":
        void = f"type {kind[:40]}"
    elif price[0] in "0." and not price.lower().partition("e")[0].strip("0."):
        void = "price 0"
    return Trade(symbol, trade_id, timestamp_ns(time), price, quantity, "sell" if buyer_is_maker else "buy", void)


def _odd_frame(frame: bytes) -> _Trade | None:
    """Return the trade of a frame that is no envelope of one; None for a message that claims to be no trade."""
    try:
        head = _head(frame)
    except _REFUSED as error:
        if _is_json(frame, list):  # several events in one message: tickers, never trades
            return None
        raise _broken(frame, error) from None
    inner: bytes | None = bytes(head.data) or None
    on_trade_stream = isinstance(head.stream, str) and head.stream.endswith("@trade")
    try:
        if inner is None:
            if on_trade_stream:
                raise FrameError("shape", f"nothing but the name of stream {str(head.stream)[:60]!r}")
            return _bare(frame) if head.e == "trade" else None
        if on_trade_stream or (inner[:1] == b"{" and _head(inner).e == "trade"):
            raise FrameError("shape", f"{_reason(inner)} on stream {str(head.stream)[:60]!r}")
    except _REFUSED as error:
        raise _broken(frame, error) from None
    return None


def _reason(data: bytes) -> str:
    try:
        _bare(data)
    except _REFUSED as error:
        return str(error)
    return "the envelope is broken"


def _is_json(data: bytes, kind: type[Any]) -> bool:
    try:
        return isinstance(msgspec.json.decode(data), kind)
    except _REFUSED:
        return False


def _broken(body: bytes, error: Exception) -> FrameError:
    """Return the FrameError of bytes that msgspec refused."""
    if isinstance(error, msgspec.ValidationError):
        try:
            told = msgspec.json.decode(body)
        except _REFUSED:
            return FrameError("json", "it is not JSON from end to end")
        if isinstance(told, dict) and "code" in told and "msg" in told:
            return FrameError("venue", f"error {str(told['code'])[:20]}: {str(told['msg'])[:200]}")
        return FrameError("shape", str(error))
    return FrameError("json", str(error))


def _sound_page(body: bytes, symbol: str) -> list[Trade] | None:
    """Return the trades of a page in which every row is one, None for any other."""
    try:
        rows = _page(body)
        if not body.isascii() or b"\\" in body or any(body.count(name) != len(rows) for name in _ROW_NAMES):
            return None
        return [_trade(symbol, row.id, row.time, row.price, row.qty, row.isBuyerMaker) for row in rows]
    except (*_REFUSED, FrameError):
        return None


def _page_by_row(body: bytes, symbol: str) -> TradePage:
    """Read a page row by row; a row that is no trade does not take the others with it."""
    rows: list[Trade | RefusedRow] = []
    for raw in _objects(body):
        try:
            rows.append(_row_trade(raw, symbol))
        except FrameError as error:
            if error.kind == "aggregate":  # another endpoint than was asked: no row is what it should be
                raise
            rows.append(RefusedRow(_id_of(raw), raw, error))
    return TradePage.of(rows)


def _objects(body: bytes) -> list[bytes]:
    """Return the bytes of each object of a page."""
    try:
        rows = [bytes(raw) for raw in _rows(body)]
    except _REFUSED as error:
        raise _broken(body, error) from None
    for place, raw in enumerate(rows):
        if raw[:1] != b"{":
            raise FrameError("shape", f"row {place} of the page is no object")
    return rows


def _row_trade(raw: bytes, symbol: str) -> Trade:
    try:
        row = _row(raw)
    except _REFUSED as error:
        return _aggregate_trade(raw, symbol, error)
    check_strict(raw, _ROW_NAMES)
    return _trade(symbol, row.id, row.time, row.price, row.qty, row.isBuyerMaker)


def _aggregate_trade(raw: bytes, symbol: str, first_error: Exception) -> Trade:
    try:
        row = _aggregate(raw)
    except _REFUSED:
        raise _broken(raw, first_error) from None
    if row.f != row.l:
        raise FrameError("aggregate", f"record {row.a} stands for trades {row.f} to {row.l}")
    check_strict(raw, (b'"f"', b'"l"', b'"p"', b'"q"', b'"T"', b'"m"'))
    return _trade(symbol, row.f, row.T, row.p, row.q, row.m)


def _id_of(raw: bytes) -> int | None:
    """Return the id that a row names, as a number or as digits; None where that cannot be read."""
    try:
        told = _row_id(raw)
        check_strict(raw, _ROW_NAMES)
    except (*_REFUSED, FrameError):
        return None
    number = told.f if told.id is None and told.f == told.l else told.id
    if isinstance(number, str) and number.isascii() and number.isdecimal() and len(number) <= 18:
        return int(number)
    return number if type(number) is int and 0 <= number < 1 << 63 else None


def _instrument(row: _Symbol) -> Instrument | None:
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

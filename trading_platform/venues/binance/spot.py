"""Binance spot: trade streams, trade pages, instruments, limits, as its own documents state them.

Lives here: frames, requests, limits. Not here: answers (pages.py), sending (ingest/), imitating the venue (simulate/).

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
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import quote as percent_encoded

import msgspec

from trading_platform.domain.errors import FrameError, SymbolError
from trading_platform.domain.instrument import Instrument, check_symbol, kind_of
from trading_platform.domain.trades.sequencing import Contiguous, Sequencing
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues.adapter import (
    KeepAlive,
    Notice,
    StatelessDecoder,
    StreamDecoder,
    StreamPlan,
)
from trading_platform.venues.answers import Answer, AnswerVerdict, Request, in_words, judged
from trading_platform.venues.archive import DailyArchive
from trading_platform.venues.binance import pages
from trading_platform.venues.binance.archive import BinanceArchive
from trading_platform.venues.binance.history import BinanceHistory
from trading_platform.venues.binance.wire import MS_END, MS_FIRST, REFUSED, US_END, US_FIRST, Id, broken, trade
from trading_platform.venues.limits import RateLimit
from trading_platform.venues.strict_json import check_strict, text_of
from trading_platform.venues.trade_frame import TradeFrame

_USUAL = re.compile(
    rb'\{"stream":"[^"\\]*","data":\{"e":"trade","E":\d+,"s":"[^"\\]*","t":\d+,"p":"[^"\\]*","q":"[^"\\]*",'
    rb'"T":\d+,"m":\w+,"M":\w+\}\}'
)

# The order of the fields is that of the venue's documents and of every captured frame.
_PEEK = re.compile(rb'"e":"trade".{0,60}?"s":"([^"\x00-\x20]{1,240})","t":(\d{1,18})[,}]', re.DOTALL)

_FRAME_NAMES = tuple(b'"%b"' % name for name in (b"stream", b"data", b"e", b"s", b"t", b"p", b"q", b"T", b"m", b"X"))


class _Trade(msgspec.Struct, frozen=True):
    """A trade event; as an envelope, its `data`. Fields a future venue adds are ignored."""

    e: str
    s: str
    t: Id
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


_envelope: Callable[[bytes], _Envelope] = msgspec.json.Decoder(_Envelope).decode
_bare: Callable[[bytes], _Trade] = msgspec.json.Decoder(_Trade).decode
_head: Callable[[bytes], _Head] = msgspec.json.Decoder(_Head).decode


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
    hosts: Mapping[str, str] = MappingProxyType({})
    limits: tuple[RateLimit, ...] = (
        RateLimit("weight", 6000, 60.0),
        RateLimit("connects", 300, 300.0),
        RateLimit("messages", 5, 1.0, "connection"),
        RateLimit("streams", 1024, scope="connection"),
        # Not documented. Servers and proxies accept request lines of 8 KB (nginx, Apache) or 4 KB (IIS), headers apart.
        RateLimit("address_bytes", 4000, scope="connection"),
    )
    history = BinanceHistory()
    archive: DailyArchive | None = BinanceArchive()
    # A page has 1,000 ids: 100 million take more than a day. No symbol has traded 100,000 times in a second.
    sequencing: Sequencing = Contiguous(
        disorder_ms=2, stray_ahead=1_000_000, reset_ahead=100_000_000, fastest=100_000, nearby=1_000
    )
    connection_lifetime_s = 86_400.0
    trade_frame: TradeFrame | None = TradeFrame(
        (
            *(b'{"stream":"', "stream_symbol", b'@trade","data":{"e":"trade","E":', "integer"),
            *(b',"s":"', "symbol", b'","t":', "id", b',"p":"', "price", b'","q":"', "quantity", b'","T":', "time"),
            *(b',"m":', "buyer_is_maker", b',"M":', "bool", b"}}"),
        ),
        ((MS_FIRST, MS_END, 1_000_000), (US_FIRST, US_END, 1000)),
    )
    keepalive = KeepAlive("ping")
    notices: tuple[bytes, ...] = (b'"serverShutdown"',)
    notice_bytes = 127  # shorter than any trade
    listing_field = "symbols"

    def judge(self, answer: Answer) -> AnswerVerdict:
        """Return what an answer means: 418 is a ban, a header tells the weight used at this address.

        >>> Binance().judge(Answer(200, {"x-mbx-used-weight-1m": "75"})).used
        {'weight': 75.0}
        """
        told = answer.headers.get("x-mbx-used-weight-1m", "")
        used = {"weight": float(told)} if told.isascii() and told.isdigit() and len(told) < 10 else {}
        if answer.status == 418:
            reason = in_words(418) if answer.to == "stream" else "HTTP 418"
            return AnswerVerdict("banned", answer.retry_after_s, used, reason)
        return replace(judged(answer), used=used)

    def authorize(self, request: Request, key: str) -> Request:
        """Return the request with our key in its header. Nothing asked for here needs one."""
        return request._replace(headers=(*request.headers, ("X-MBX-APIKEY", key)))

    def connect(self, base: str, venue_symbols: Sequence[str]) -> StreamPlan:
        """Return the address of the combined trade streams; connecting subscribes.

        >>> Binance().connect("wss://stream.binance.com:9443", ["BTCUSDT", "ETHUSDT"]).url
        'wss://stream.binance.com:9443/stream?streams=btcusdt@trade/ethusdt@trade'
        >>> Binance().connect("", ["币安USDT"]).url
        '/stream?streams=%E5%B8%81%E5%AE%89usdt@trade'
        """
        names = "/".join(f"{percent_encoded(name.lower())}@trade" for name in venue_symbols)
        return StreamPlan(f"{base.rstrip('/')}/stream?streams={names}")

    def stream_of(self, venue_symbol: str) -> str:
        """Return the one stream there is."""
        del venue_symbol
        return "spot"

    def classify(self, frame: bytes) -> Notice:
        """Return what a frame is; an announcement is shorter than any trade.

        >>> Binance().classify(b'{"e":"serverShutdown","E":1770123456789}').kind
        'farewell'
        """
        if len(frame) <= self.notice_bytes and self.notices[0] in frame:
            return Notice("farewell")
        return Notice("trades" if _PEEK.search(frame) is not None else "other")

    def decoder(self, symbols: Mapping[str, str], state: bytes = b"") -> StreamDecoder:
        """Return the decoder of a connection: every frame says all by itself."""
        del state
        return StatelessDecoder(self.decode_frame, symbols)

    def decode_frame(self, frame: bytes, symbols: Mapping[str, str]) -> list[Trade]:  # noqa: C901  one case a form of frame
        """Return the trade of a combined or raw frame, [] if it holds none of `symbols`.

        Raises
        ------
        FrameError : kinds ``json`` (not JSON), ``shape`` (a trade whose fields are missing or of a wrong type),
            ``stream`` (a trade under another stream's name), ``number``, ``time``.
        """
        try:
            envelope = _envelope(frame)
        except REFUSED:
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
            for name, number in self.peek(frame):
                if name in symbols:
                    raise FrameError("shape", f"trade {number} of {name} in a wrapping that is not known")
            return []
        if (symbol := symbols.get(event.s)) is None:
            if event.s.upper() in symbols:
                raise FrameError("stream", f"{event.s[:40]!r} differs from a symbol asked for in its case alone")
            return []
        return [trade(symbol, event.t, event.T, event.p, event.q, event.m, event.X)]

    def peek(self, frame: bytes) -> list[tuple[str, int]]:
        """Return symbol and id of a trade.

        >>> Binance().peek(b'{"stream":"bnbbtc@trade","data":{"e":"trade","E":1,"s":"BNBBTC","t":12345,"p":"0.001"}}')
        [('BNBBTC', 12345)]
        """
        found = _PEEK.search(frame)
        name = None if found is None else text_of(found[1])
        return [] if found is None or name is None else [(name, int(found[2]))]

    def ping_request(self) -> Request:
        """Ask for an empty answer."""
        return Request("/api/v3/ping", cost={"weight": 1})

    def instruments_request(self) -> Request:
        """Ask for every symbol with its filters."""
        return Request("/api/v3/exchangeInfo", cost={"weight": 20})

    def more_instruments(self, body: bytes) -> Request | None:
        """Return nothing: one answer lists everything."""
        del body
        return None

    def decode_instruments(self, body: bytes) -> list[Instrument]:
        """Return the listed instruments; one whose assets have no canonical spelling is left out.

        Raises
        ------
        FrameError : kinds ``json``, ``venue``, ``shape``.
        """
        return pages.instruments(body)

    def venue_symbol(self, symbol: str) -> str:
        """Return the venue's spelling.

        >>> Binance().venue_symbol("BTC-USDT")
        'BTCUSDT'
        """
        if kind_of(check_symbol(symbol)) != "spot":
            raise SymbolError(f"{symbol} is not a spot symbol; binance lists symbols like BTC-USDT")
        return symbol.replace("-", "")


def _odd_frame(frame: bytes) -> _Trade | None:
    """Return the trade of a frame that is no envelope of one; None for a message that claims to be no trade."""
    try:
        head = _head(frame)
    except REFUSED as error:
        if _is_json(frame, list):  # several events in one message: tickers, never trades
            return None
        raise broken(frame, error) from None
    inner: bytes | None = bytes(head.data) or None
    on_trade_stream = isinstance(head.stream, str) and head.stream.endswith("@trade")
    try:
        if inner is None:
            if on_trade_stream:
                raise FrameError("shape", f"nothing but the name of stream {str(head.stream)[:60]!r}")
            return _bare(frame) if head.e == "trade" else None
        if on_trade_stream or (inner[:1] == b"{" and _head(inner).e == "trade"):
            raise FrameError("shape", f"{_reason(inner)} on stream {str(head.stream)[:60]!r}")
    except REFUSED as error:
        raise broken(frame, error) from None
    return None


def _reason(data: bytes) -> str:
    try:
        _bare(data)
    except REFUSED as error:
        return str(error)
    return "the envelope is broken"


def _is_json(data: bytes, kind: type[Any]) -> bool:
    try:
        return isinstance(msgspec.json.decode(data), kind)
    except REFUSED:
        return False

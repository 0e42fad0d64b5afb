"""Kraken spot: WebSocket v2, instruments, limits, as its own documents state them (docs.kraken.com).

Lives here: frames, what is said, limits. Not here: past trades (history.py), sending (ingest/), imitating the venue
(simulate/).

What the fields mean:

- `trade_id` (REST: the seventh column) rises by one per pair: a missing id is a missing trade.
- `timestamp` is the trade's time, with µs; REST prints the same time as a double, see `wire.rest_ns`.
- `price` and `qty` are numbers with the venue's decimals: they are read as the text that stands there.
- `side` (REST: `b`, `s`) is the taker's.
- A frame holds the trades of one pair that happened together; a `snapshot`, which is not asked for, the last 50.
- WebSocket v2 writes BTC and DOGE where REST writes XBT and XDG.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from trading_platform.domain.decimals import check_decimal
from trading_platform.domain.errors import FrameError, SymbolError
from trading_platform.domain.instrument import Instrument, check_symbol, kind_of, normalise_asset
from trading_platform.domain.trades.sequencing import Contiguous, Sequencing
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues.adapter import (
    KeepAlive,
    Notice,
    StatelessDecoder,
    StreamDecoder,
    StreamPlan,
    Subscribe,
)
from trading_platform.venues.answers import Answer, AnswerVerdict, Request, judged
from trading_platform.venues.archive import DailyArchive
from trading_platform.venues.kraken.history import KrakenHistory
from trading_platform.venues.kraken.wire import REFUSED, Id, broken, instant_ns, number
from trading_platform.venues.limits import RateLimit
from trading_platform.venues.strict_json import check_strict, text_of
from trading_platform.venues.trade_frame import TradeFrame

_SYMBOLS_A_MESSAGE = 50
_FRAME_NAMES = tuple(
    b'"%b"' % name
    for name in (b"channel", b"type", b"data", b"symbol", b"side", b"price", b"qty", b"trade_id", b"timestamp")
)
_PEEK = re.compile(rb'"symbol"\s*:\s*"([^"\x00-\x20]{1,240})"[^{}]{0,400}?"trade_id"\s*:\s*(\d{1,18})\s*[,}]')
_PASSING = re.compile(r"rate|limit|too many|unavailable|busy|timeout|internal|try again", re.IGNORECASE)
_SOON_ENDS = frozenset({"maintenance"})


class _Trade(msgspec.Struct, frozen=True):
    symbol: str
    side: Literal["buy", "sell"]
    price: msgspec.Raw
    qty: msgspec.Raw
    trade_id: Id
    timestamp: str


class _Trades(msgspec.Struct, frozen=True):
    channel: Literal["trade"]
    type: Literal["update", "snapshot"]
    data: list[_Trade]


class _Head(msgspec.Struct, frozen=True):
    """Just enough of any message to tell what it is."""

    channel: Any = None
    data: Any = None
    method: Any = None
    success: Any = None
    result: Any = None
    symbol: Any = None
    error: Any = None


class _Pair(msgspec.Struct, frozen=True):
    status: str = ""
    wsname: str | None = None
    tick_size: str | None = None
    lot_decimals: int | None = None


class _Pairs(msgspec.Struct, frozen=True):
    result: dict[str, _Pair]


class _Errors(msgspec.Struct, frozen=True):
    error: list[str]


_trades: Callable[[bytes], _Trades] = msgspec.json.Decoder(_Trades).decode
_head: Callable[[bytes], _Head] = msgspec.json.Decoder(_Head).decode
_pairs: Callable[[bytes], _Pairs] = msgspec.json.Decoder(_Pairs).decode
_errors: Callable[[bytes], _Errors] = msgspec.json.Decoder(_Errors).decode


class Kraken:
    """The spot market of Kraken.

    Examples
    --------
    >>> frame = (b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":59121.8,'
    ...          b'"qty":0.00022946,"ord_type":"market","trade_id":72823289,'
    ...          b'"timestamp":"2024-08-12T19:38:30.575191Z"}]}')
    >>> Kraken().decode_frame(frame, {"BTC/USD": "BTC-USD"})[0][1:5]
    (72823289, 1723491510575191000, '59121.8', '0.00022946')
    """

    name = "kraken"
    ws_url = "wss://ws.kraken.com/v2"
    rest_url = "https://api.kraken.com"
    hosts: Mapping[str, str] = MappingProxyType({})
    limits: tuple[RateLimit, ...] = (
        # The documents: a counter of 15 that falls by one a second; and 150 connects in a rolling ten minutes.
        RateLimit("requests", 15, 15.0),
        RateLimit("connects", 150, 600.0),
        # Not documented: caution.
        RateLimit("messages", 5, 1.0, "connection"),
        RateLimit("streams", 500, scope="connection"),
    )
    history = KrakenHistory()
    # A tenth of the busiest venue's pace, and half of our budget: 43 million trades a day can be fetched.
    sequencing: Sequencing = Contiguous(
        disorder_ms=2, stray_ahead=100_000, reset_ahead=40_000_000, fastest=10_000, nearby=1_000
    )
    connection_lifetime_s = 86_400.0  # not documented; a connection is renewed daily all the same
    keepalive = KeepAlive("json", b'{"method":"ping"}')
    notices: tuple[bytes, ...] = (b'"method"', b'"status"')
    notice_bytes = 2000
    trade_frame: TradeFrame | None = None
    archive: DailyArchive | None = None
    listing_field = "result"

    # ---- limits and answers

    def judge(self, answer: Answer) -> AnswerVerdict:
        """Return what an answer means: an error stands inside a 200.

        >>> Kraken().judge(Answer(200, body=b'{"error":["EGeneral:Too many requests"]}')).kind
        'rate_limited'
        >>> [Kraken().judge(Answer(200, body=b'{"error":%b}' % error)).kind
        ...  for error in (b'[]', b'["EQuery:Unknown asset pair"]', b'["EService:Unavailable"]')]
        ['ok', 'refused', 'retry']
        """
        verdict = judged(answer)
        if verdict.kind != "ok":
            return verdict
        try:
            told = _errors(answer.body).error
        except REFUSED:
            return AnswerVerdict("retry", answer.retry_after_s, reason="HTTP 200: a page instead of JSON")
        errors = [text for text in told if not text.startswith("W")]
        if not errors:
            return verdict
        return replace(_meant(errors[0]), retry_after_s=answer.retry_after_s, reason=", ".join(errors)[:200])

    def authorize(self, request: Request, key: str) -> Request:
        """Return the request as it is: nothing asked for here needs a key."""
        del key
        return request

    # ---- the stream

    def connect(self, base: str, venue_symbols: Sequence[str]) -> StreamPlan:
        """Return the address of WebSocket v2 and what to say there.

        >>> plan = Kraken().connect("wss://ws.kraken.com/v2", ["BTC/USD", "ETH/USD"])
        >>> plan.url, plan.say[0].message[:40]
        ('wss://ws.kraken.com/v2', b'{"method":"subscribe","params":{"channel')
        >>> Kraken().connect("ws://localhost:1", ["BTC/USD"]).url
        'ws://localhost:1/v2'
        """
        base = base.rstrip("/")
        places = range(0, len(venue_symbols), _SYMBOLS_A_MESSAGE)
        pieces = [tuple(venue_symbols[at : at + _SYMBOLS_A_MESSAGE]) for at in places]
        say = tuple(Subscribe(_subscription(piece), piece) for piece in pieces)
        return StreamPlan(base if base.endswith("/v2") else f"{base}/v2", say)

    def stream_of(self, venue_symbol: str) -> str:
        """Return the one stream there is."""
        del venue_symbol
        return "spot"

    def classify(self, frame: bytes) -> Notice:
        """Return what a frame is; each symbol of a subscription is answered by itself.

        >>> Kraken().classify(b'{"method":"subscribe","result":{"channel":"trade","symbol":"BTC/USD"},"success":true}')
        Notice(kind='ack', symbols=('BTC/USD',), request='', reason='', passing=False)
        >>> Kraken().classify(b'{"method":"subscribe","error":"Currency pair not supported X/Y","symbol":"X/Y",'
        ...                   b'"success":false}')
        Notice(kind='nack', symbols=('X/Y',), request='', reason='Currency pair not supported X/Y', passing=False)
        """
        try:
            head = _head(frame)
        except REFUSED:
            return Notice("other")
        if head.channel == "trade":
            return Notice("trades")
        if head.channel == "heartbeat" or head.method == "pong":
            return Notice("heartbeat")
        if head.channel == "status" and isinstance(head.data, list):
            systems = {row.get("system") for row in head.data if isinstance(row, dict)}
            return Notice("farewell" if any(name in _SOON_ENDS for name in systems if name) else "other")
        return _answer(head) if head.method == "subscribe" else Notice("other")

    def decoder(self, symbols: Mapping[str, str], state: bytes = b"") -> StreamDecoder:
        """Return the decoder of a connection: every frame says all by itself."""
        del state
        return StatelessDecoder(self.decode_frame, symbols)

    def decode_frame(self, frame: bytes, symbols: Mapping[str, str]) -> list[Trade]:
        """Return the trades of a frame, [] if it holds none of `symbols`.

        Raises
        ------
        FrameError : kinds ``json`` (not JSON), ``shape`` (a trade whose fields are missing or of a wrong type),
            ``stream`` (a symbol in another case), ``number``, ``time``.
        """
        try:
            rows = _trades(frame).data
        except REFUSED as error:
            _check_other(frame, error, symbols)
            rows = []
        check_strict(frame, _FRAME_NAMES)
        return [
            Trade(symbol, row.trade_id, instant_ns(row.timestamp), number(row.price), number(row.qty), row.side)
            for row in rows
            if (symbol := _known(row.symbol, symbols)) is not None
        ]

    def peek(self, frame: bytes) -> list[tuple[str, int]]:
        """Return symbol and id of each trade.

        >>> Kraken().peek(b'{"channel":"trade","data":[{"symbol":"BTC/USD","side":"buy","trade_id":7}]}')
        [('BTC/USD', 7)]
        """
        if b'"trade"' not in frame:
            return []
        found = [(text_of(name), int(told)) for name, told in _PEEK.findall(frame)]
        return [(name, told) for name, told in found if name is not None]

    # ---- instruments

    def ping_request(self) -> Request:
        """Ask for the venue's time."""
        return Request("/0/public/Time")

    def instruments_request(self) -> Request:
        """Ask for every pair."""
        return Request("/0/public/AssetPairs")

    def more_instruments(self, body: bytes) -> Request | None:
        """Return nothing: one answer lists everything."""
        del body
        return None

    def decode_instruments(self, body: bytes) -> list[Instrument]:
        """Return the listed pairs; one whose assets have no canonical spelling is left out.

        Raises
        ------
        FrameError : kinds ``json``, ``shape``.
        """
        try:
            listed = _pairs(body).result
        except REFUSED as error:
            raise broken(body, error) from None
        found: dict[str, Instrument] = {}
        for pair in listed.values():
            instrument = _instrument(pair)
            if instrument is not None and (instrument.symbol not in found or instrument.status == "online"):
                found[instrument.symbol] = instrument
        return list(found.values())

    def venue_symbol(self, symbol: str) -> str:
        """Return the venue's spelling, that of WebSocket v2.

        >>> Kraken().venue_symbol("BTC-USD")
        'BTC/USD'
        """
        if kind_of(check_symbol(symbol)) != "spot":
            raise SymbolError(f"{symbol} is not a spot symbol; kraken lists symbols like BTC-USD")
        return symbol.replace("-", "/")


def _meant(error: str) -> AnswerVerdict:
    """Return what an error of REST means; one that is not known may pass."""
    group, _, text = error.partition(":")
    if "rate limit" in text.lower() or "too many" in text.lower():
        return AnswerVerdict("rate_limited")
    if "lockout" in text.lower():
        return AnswerVerdict("banned")
    if group == "EQuery" or (group == "EGeneral" and ("arguments" in text.lower() or "method" in text.lower())):
        return AnswerVerdict("refused")
    if group in {"EAPI", "EAuth"} or "permission" in text.lower():
        return AnswerVerdict("refused", about="client")
    return AnswerVerdict("retry")


def _subscription(names: Sequence[str]) -> bytes:
    params = {"channel": "trade", "symbol": names, "snapshot": False}
    return msgspec.json.encode({"method": "subscribe", "params": params})


def _answer(head: _Head) -> Notice:
    told = head.result if isinstance(head.result, dict) else {}
    named = head.symbol if isinstance(head.symbol, str) else told.get("symbol")
    symbols = (named,) if isinstance(named, str) else ()
    reason = str(head.error)[:200]
    if head.success is True or reason == "Already subscribed":
        return Notice("ack" if told.get("channel", "trade") == "trade" else "other", symbols)
    return Notice("nack", symbols, reason=reason, passing=_PASSING.search(reason) is not None)


def _check_other(frame: bytes, error: Exception, symbols: Mapping[str, str]) -> None:
    """Let a message pass that claims to be no trade. Raises FrameError for any other."""
    try:
        head = _head(frame)
    except REFUSED as other:
        raise broken(frame, other) from None
    if head.channel == "trade":
        raise broken(frame, error)
    del symbols


def _known(name: str, symbols: Mapping[str, str]) -> str | None:
    symbol = symbols.get(name)
    if symbol is None and name.upper() in symbols:
        raise FrameError("stream", f"{name[:40]!r} differs from a symbol asked for in its case alone")
    return symbol


def _instrument(pair: _Pair) -> Instrument | None:
    """Return a pair that WebSocket v2 has too."""
    codes = (pair.wsname or "").split("/")
    if len(codes) != 2:
        return None
    base, quote = (normalise_asset(code) for code in codes)
    # As v2 spells it: what REST calls by an old name of three letters, and everything else as it stands.
    spelled = "/".join({"XBT": "BTC", "XDG": "DOGE"}.get(code, code) for code in codes)
    try:
        symbol = check_symbol(f"{base}-{quote}")
        price_step = None if pair.tick_size is None else check_decimal(pair.tick_size)
    except (SymbolError, FrameError):
        return None
    places = pair.lot_decimals
    step = None if places is None or not 0 <= places <= 18 else f"{10**-places:.{places}f}"
    return Instrument("kraken", symbol, spelled, "spot", base, quote, price_step, step, pair.status)

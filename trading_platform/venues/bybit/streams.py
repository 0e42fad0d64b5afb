"""Bybit's v5 public streams: trades of spot and linear, subscriptions, limits, as its own documents state them.

Lives here: frames, messages, limits. Not here: REST answers (rest.py), sending (ingest/), imitating it (simulate/).

What the fields mean (Public Trade):

- A frame holds trades of one symbol, up to 1,024 of them. `S` is the taker's side, `T` the trade time in ms.
- `i` is a unique text without order: a UUID on linear, digits on spot. It proves nothing of what is missing.
- `BT` and `RPI` mark block trades and retail price improvement; both are trades like others, as in the daily files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from trading_platform.domain.errors import FrameError
from trading_platform.domain.instrument import Instrument
from trading_platform.domain.trades.sequencing import Opaque, Sequencing
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
from trading_platform.venues.bybit import rest
from trading_platform.venues.bybit.archive import BybitArchive
from trading_platform.venues.bybit.wire import LINEAR, REFUSED, SPOT, broken, spelled, spelling, timestamp_ns, trade
from trading_platform.venues.limits import RateLimit
from trading_platform.venues.strict_json import check_strict, text_of
from trading_platform.venues.trade_frame import TradeFrame

MOST_ARGS = 10
"""Topics of one message, as spot takes them; linear takes more."""
_MOST_CHARACTERS = 21_000
_TOPIC = "publicTrade."

# The order of the fields differs between the categories; both name the topic first.
_PEEK = re.compile(rb'^\{"topic":"publicTrade\.([^"\x00-\x20]{1,240})"')
_SPOT_ID = re.compile(rb'"i":"\d+"')
_TIME = re.compile(rb'"T":(\d{13})[,}]')
_NAMES = tuple(b'"%b"' % name for name in (b"topic", b"data"))
_ROW_NAMES = tuple(b'"%b"' % name for name in (b"i", b"T", b"p", b"v", b"S", b"s"))
_REQUEST = "trades-"


class _Trade(msgspec.Struct, frozen=True):
    """A trade; fields a future venue adds are ignored."""

    i: str
    T: int
    p: str
    v: str
    S: str
    s: str


class _Frame(msgspec.Struct, frozen=True):
    topic: str
    data: Annotated[list[_Trade], msgspec.Meta(min_length=1)]


class _Head(msgspec.Struct, frozen=True):
    """Just enough of any object to tell what it claims to be."""

    topic: Any = None
    op: Any = None


class _Reply(msgspec.Struct, frozen=True):
    op: str
    success: bool
    ret_msg: str = ""
    req_id: str = ""


_frame: Callable[[bytes], _Frame] = msgspec.json.Decoder(_Frame).decode
_head: Callable[[bytes], _Head] = msgspec.json.Decoder(_Head).decode
_reply: Callable[[bytes], _Reply] = msgspec.json.Decoder(_Reply).decode


class Bybit:
    """The spot and linear markets of Bybit.

    Examples
    --------
    >>> frame = (b'{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":[{"T":1672304486865,'
    ...          b'"s":"BTCUSDT","S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick","i":"20f43950-d8dd","BT":false}]}')
    >>> Bybit().decoder({"linear/BTCUSDT": "BTC-USDT-PERP"}).decode(frame)[0].trade_uid
    '20f43950-d8dd'
    """

    name = "bybit"
    ws_url = "wss://stream.bybit.com"
    rest_url = "https://api.bybit.com"
    hosts: Mapping[str, str] = MappingProxyType({})
    limits: tuple[RateLimit, ...] = (
        RateLimit("requests", 600, 5.0),
        RateLimit("connects", 500, 300.0),
        # Not documented for messages; a connection's pings and subscriptions stay far below it.
        RateLimit("messages", 10, 1.0, "connection"),
        # 21,000 characters of arguments a connection; the longest name that is listed has 20.
        RateLimit("streams", 500, scope="connection"),
    )
    history = rest.RecentTrades()
    archive: DailyArchive | None = BybitArchive()
    sequencing: Sequencing = Opaque()
    connection_lifetime_s = 86_400.0
    trade_frame: TradeFrame | None = None
    keepalive = KeepAlive("json", b'{"op":"ping"}', interval_s=20.0, answer_s=10.0, stale_s=45.0)
    notices: tuple[bytes, ...] = (b'"op":',)
    notice_bytes = 1024
    listing_field = "list"

    def judge(self, answer: Answer) -> AnswerVerdict:
        """Return what an answer means: 403 is a ban of the address, errors come inside a 200.

        >>> Bybit().judge(Answer(403)).kind, Bybit().judge(Answer(200, body=b'{"retCode":10006,"retMsg":""}')).kind
        ('banned', 'rate_limited')
        """
        if answer.status == 403:
            return AnswerVerdict("banned", answer.retry_after_s, reason="HTTP 403: access too frequent")
        if answer.to == "request" and answer.status == 200:
            return rest.judge(answer)
        return judged(answer)

    def authorize(self, request: Request, key: str) -> Request:
        """Return the request as it is: nothing asked for here needs a key."""
        del key
        return request

    def connect(self, base: str, venue_symbols: Sequence[str]) -> StreamPlan:
        """Return the address of a category's stream, and what is said there: ten topics a message.

        >>> plan = Bybit().connect("wss://stream.bybit.com", ["linear/BTCUSDT"])
        >>> plan.url
        'wss://stream.bybit.com/v5/public/linear'
        >>> plan.say[0].message
        b'{"op":"subscribe","req_id":"trades-BTCUSDT","args":["publicTrade.BTCUSDT"]}'
        """
        category = self.stream_of(venue_symbols[0]) if venue_symbols else SPOT
        batches = [venue_symbols[at : at + MOST_ARGS] for at in range(0, len(venue_symbols), MOST_ARGS)]
        return StreamPlan(f"{base.rstrip('/')}/v5/public/{category}", tuple(map(_subscribe, batches)))

    def stream_of(self, venue_symbol: str) -> str:
        """Return a symbol's category: each has an address of its own."""
        return spelled(venue_symbol).category

    def classify(self, frame: bytes) -> Notice:
        """Return what a frame is.

        >>> Bybit().classify(b'{"success":true,"ret_msg":"","conn_id":"c","req_id":"trades-A","op":"subscribe"}')
        Notice(kind='ack', symbols=(), request='trades-A', reason='', passing=False)
        """
        if _PEEK.match(frame) is not None:
            return Notice("trades")
        try:
            told = _reply(frame)
        except REFUSED:
            return Notice("other")
        if told.op in {"ping", "pong"}:
            return Notice("heartbeat")
        if told.op != "subscribe":
            return Notice("other")
        if told.success or "already subscribed" in told.ret_msg:
            return Notice("ack", request=told.req_id)
        return Notice("nack", request=told.req_id, reason=told.ret_msg[:200] or "refused")

    def decoder(self, symbols: Mapping[str, str], state: bytes = b"") -> StreamDecoder:
        """Return the decoder of a connection: all its symbols are of one category, whose name the frames leave out."""
        del state
        by_name = {spelled(name).name: (spelled(name).category, symbol) for name, symbol in symbols.items()}

        def decode(frame: bytes, _symbols: Mapping[str, str]) -> list[Trade]:
            return _decoded(frame, by_name)

        return StatelessDecoder(decode, symbols)

    def peek(self, frame: bytes) -> list[tuple[str, int]]:
        """Return symbol and twice the time in ms of each trade: later ones have a greater number.

        Two numbers apart, because whoever compares connections takes the number after the last for the next trade.

        >>> Bybit().peek(b'{"topic":"publicTrade.BTCUSDT","data":[{"T":1672304486865,"s":"BTCUSDT","i":"20f4-d8"}]}')
        [('linear/BTCUSDT', 3344608973730)]
        """
        found = _PEEK.match(frame)
        name = None if found is None else text_of(found[1])
        if name is None:
            return []
        category = SPOT if _SPOT_ID.search(frame) is not None else LINEAR
        return [(f"{category}/{name}", 2 * int(time)) for time in _TIME.findall(frame)]

    def ping_request(self) -> Request:
        """Ask for the venue's time."""
        return Request("/v5/market/time")

    def instruments_request(self) -> Request:
        """Ask for the spot market; `more_instruments` goes on with linear."""
        return rest.instruments_request(SPOT)

    def more_instruments(self, body: bytes) -> Request | None:
        """Return the request for what follows an answer. Raises FrameError only."""
        return rest.more_instruments(body)

    def decode_instruments(self, body: bytes) -> list[Instrument]:
        """Return the instruments of an answer. Raises FrameError only."""
        return rest.instruments(body)

    def venue_symbol(self, symbol: str) -> str:
        """Return the venue's spelling: the category, and the name there.

        >>> Bybit().venue_symbol("BTC-USDT-PERP")
        'linear/BTCUSDT'
        """
        return spelling(symbol)


def _subscribe(venue_symbols: Sequence[str]) -> Subscribe:
    names = [spelled(name).name for name in venue_symbols]
    request = _REQUEST + names[0]
    told = {"op": "subscribe", "req_id": request, "args": [_TOPIC + name for name in names]}
    return Subscribe(msgspec.json.encode(told), tuple(venue_symbols), request)


def _decoded(frame: bytes, by_name: Mapping[str, tuple[str, str]]) -> list[Trade]:
    """Return the trades of a frame.

    Raises
    ------
    FrameError : kinds ``json``, ``shape``, ``stream`` (a trade under another symbol's topic), ``number``, ``time``.
    """
    try:
        told = _frame(frame)
    except REFUSED as error:
        _check_other(frame, error)
        return []
    if not told.topic.startswith(_TOPIC):
        return []
    if not frame.isascii() or b"\\" in frame or any(frame.count(name) != len(told.data) for name in _ROW_NAMES):
        check_strict(frame, (*_NAMES, *_ROW_NAMES))
    else:
        check_strict(frame, _NAMES)
    name = told.topic.removeprefix(_TOPIC)
    if any(row.s != name for row in told.data):
        raise FrameError("stream", f"a trade of another symbol under the topic {told.topic[:60]!r}")
    if (known := by_name.get(name)) is None:
        return []
    category, symbol = known
    return [trade(symbol, category, row.i, timestamp_ns(row.T), row.p, row.v, row.S) for row in told.data]


def _check_other(frame: bytes, error: Exception) -> None:
    """Pass a message that claims to be no trades. Raises FrameError for any other."""
    try:
        head = _head(frame)
    except REFUSED:
        raise broken(frame, error) from None
    if isinstance(head.topic, str) and head.topic.startswith(_TOPIC):
        raise broken(frame, error) from None
    if head.topic is None and head.op is None:
        raise FrameError("shape", "neither a topic nor an answer") from None
    check_strict(frame, _NAMES)

"""Bitstamp spot: WebSocket v2, instruments, limits, as its own documents state them (bitstamp.net/websocket/v2, /api).

Lives here: frames, what is said, limits. Not here: past trades (history.py), sending (ingest/), imitating the venue
(simulate/).

What the fields of a trade mean (channel ``live_trades_btcusd``):

- `id` rises, but all pairs share the numbers: an id that a pair lacks need not be a trade of it.
- `microtimestamp` is the trade's time in µs, `timestamp` the same in seconds.
- `price_str` and `amount_str` are the venue's decimals; `price` and `amount` are the same as numbers, and not read.
- `type` is the taker's side: 0 buys, 1 sells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec

from trading_platform.domain.errors import FrameError, SymbolError
from trading_platform.domain.instrument import Instrument, check_symbol, kind_of, normalise_asset
from trading_platform.domain.trades.sequencing import Increasing, Sequencing
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues.adapter import (
    FrameKind,
    KeepAlive,
    Notice,
    StatelessDecoder,
    StreamDecoder,
    StreamPlan,
    Subscribe,
)
from trading_platform.venues.answers import Answer, AnswerVerdict, Request, judged
from trading_platform.venues.archive import DailyArchive
from trading_platform.venues.bitstamp.history import RecentTransactions
from trading_platform.venues.bitstamp.wire import REFUSED, Id, broken, instant_ns, trade
from trading_platform.venues.limits import RateLimit
from trading_platform.venues.strict_json import check_strict, text_of
from trading_platform.venues.trade_frame import TradeFrame

_CHANNEL = "live_trades_"
_NAMES = tuple(
    b'"%b"' % name
    for name in (b"event", b"channel", b"data", b"id", b"price_str", b"amount_str", b"type", b"microtimestamp")
)
_PEEK = re.compile(
    rb'"id"\s*:\s*(\d{1,18})\s*[,}].{0,600}"channel"\s*:\s*"live_trades_([^"\x00-\x20]{1,240})"', re.DOTALL
)
_PAIR = re.compile(r"[0-9a-z]{2,40}", re.ASCII)
_KINDS: dict[str, FrameKind] = {
    "trade": "trades",
    "bts:heartbeat": "heartbeat",
    "bts:request_reconnect": "farewell",
}
_LIMIT_CODE = "400.002"
"""Request rejected due to exceeded rate limit."""
_PASSING = re.compile(r"rate|limit|too many|unavailable|busy|timeout|internal|try again", re.IGNORECASE)


class _Trade(msgspec.Struct, frozen=True):
    id: Id
    price_str: str
    amount_str: str
    type: Annotated[int, msgspec.Meta(ge=0, le=1)]
    microtimestamp: str


class _Frame(msgspec.Struct, frozen=True):
    event: Literal["trade"]
    channel: str
    data: _Trade


class _Head(msgspec.Struct, frozen=True):
    """Just enough of any message to tell what it is."""

    event: str
    channel: Any = None
    data: Any = None


class _Pair(msgspec.Struct, frozen=True):
    name: str
    url_symbol: str
    trading: str = ""
    base_decimals: int | None = None
    counter_decimals: int | None = None


class _Failure(msgspec.Struct, frozen=True):
    status: Any = None
    reason: Any = None
    error: Any = None
    response_code: Any = None
    response_explanation: Any = None


_frame: Callable[[bytes], _Frame] = msgspec.json.Decoder(_Frame).decode
_head: Callable[[bytes], _Head] = msgspec.json.Decoder(_Head).decode
_pairs: Callable[[bytes], list[_Pair]] = msgspec.json.Decoder(list[_Pair]).decode
_failure: Callable[[bytes], _Failure] = msgspec.json.Decoder(_Failure).decode


class Bitstamp:
    """The spot market of Bitstamp.

    Examples
    --------
    >>> frame = (b'{"data":{"id":216000477,"timestamp":"1641343699","amount":0.0792,"amount_str":"0.07920000",'
    ...          b'"price":3805.44,"price_str":"3805.44","type":0,"microtimestamp":"1641343699596000",'
    ...          b'"buy_order_id":1443875737346049,"sell_order_id":1443875731320832},'
    ...          b'"channel":"live_trades_ethusd","event":"trade"}')
    >>> Bitstamp().decode_frame(frame, {"ethusd": "ETH-USD"})[0][2:6]
    (1641343699596000000, '3805.44', '0.07920000', 'buy')
    """

    name = "bitstamp"
    ws_url = "wss://ws.bitstamp.net"
    rest_url = "https://www.bitstamp.net"
    hosts: Mapping[str, str] = MappingProxyType({})
    limits: tuple[RateLimit, ...] = (
        # The documents: 400 requests a second, and 10,000 in ten minutes. The latter binds.
        RateLimit("requests", 10_000, 600.0),
        # The documents: the 1,025th channel closes the connection.
        RateLimit("streams", 1024, scope="connection"),
        # Not documented: caution. A captured client subscribed to twenty channels at once.
        RateLimit("connects", 100, 600.0),
        RateLimit("messages", 20, 1.0, "connection"),
    )
    history = RecentTransactions()
    archive: DailyArchive | None = None
    sequencing: Sequencing = Increasing()
    connection_lifetime_s = 90 * 86_400.0
    keepalive = KeepAlive("json", b'{"event":"bts:heartbeat"}')
    notices: tuple[bytes, ...] = (b'"bts:',)
    notice_bytes = 1024
    trade_frame: TradeFrame | None = None
    listing_field = ""

    # ---- limits and answers

    def judge(self, answer: Answer) -> AnswerVerdict:
        """Return what an answer means: more requests than allowed are told by a code of the body.

        >>> told = b'{"response_code":"400.002","response_explanation":"Request rejected due to exceeded rate limit."}'
        >>> Bitstamp().judge(Answer(400, body=told)).kind, Bitstamp().judge(Answer(403)).kind
        ('rate_limited', 'banned')
        >>> Bitstamp().judge(Answer(200, body=b"<html>Maintenance</html>")).kind
        'retry'
        """
        verdict = judged(answer)
        if answer.to != "request":
            return verdict
        if answer.status == 403:
            # Nothing asked for here needs a right: only an address can be refused.
            return AnswerVerdict("banned", answer.retry_after_s, reason="HTTP 403: the address is blocked")
        if answer.status == 200 and answer.body.lstrip()[:1] == b"[":
            return verdict
        if answer.status in {200, 400}:
            return _meant(answer, verdict)
        return verdict

    def authorize(self, request: Request, key: str) -> Request:
        """Return the request as it is: nothing asked for here needs a key."""
        del key
        return request

    # ---- stream

    def connect(self, base: str, venue_symbols: Sequence[str]) -> StreamPlan:
        """Return the one address there is, and a message for each symbol.

        >>> plan = Bitstamp().connect("wss://ws.bitstamp.net", ["btcusd"])
        >>> plan.url, plan.say[0].message
        ('wss://ws.bitstamp.net/', b'{"event":"bts:subscribe","data":{"channel":"live_trades_btcusd"}}')
        """
        return StreamPlan(f"{base.rstrip('/')}/", tuple(map(_subscribe, venue_symbols)))

    def stream_of(self, venue_symbol: str) -> str:
        """Return the one stream there is."""
        del venue_symbol
        return "spot"

    def classify(self, frame: bytes) -> Notice:
        """Return what a frame is. An error names no channel: symbols without an answer are asked for again.

        >>> Bitstamp().classify(b'{"event":"bts:subscription_succeeded","channel":"live_trades_btcusd","data":{}}')
        Notice(kind='ack', symbols=('btcusd',), request='', reason='', passing=False)
        >>> Bitstamp().classify(b'{"event":"bts:request_reconnect","channel":"","data":""}').kind
        'farewell'
        """
        try:
            head = _head(frame)
        except REFUSED:
            return Notice("other")
        if (kind := _KINDS.get(head.event)) is not None:
            return Notice(kind)
        channel = head.channel if isinstance(head.channel, str) else ""
        symbols = (channel.removeprefix(_CHANNEL),) if channel.startswith(_CHANNEL) else ()
        if head.event == "bts:subscription_succeeded":
            return Notice("ack" if symbols else "other", symbols)
        if head.event == "bts:error":
            reason = str(head.data.get("message") if isinstance(head.data, dict) else head.data)[:200]
            return Notice("nack", symbols, reason=reason, passing=_PASSING.search(reason) is not None)
        return Notice("other")

    def decoder(self, symbols: Mapping[str, str], state: bytes = b"") -> StreamDecoder:
        """Return the decoder of a connection: every frame says all by itself."""
        del state
        return StatelessDecoder(self.decode_frame, symbols)

    def decode_frame(self, frame: bytes, symbols: Mapping[str, str]) -> list[Trade]:
        """Return the trade of a frame, [] if it holds none of `symbols`.

        Raises
        ------
        FrameError : kinds ``json`` (not JSON), ``shape`` (a trade whose fields are missing or of a wrong type),
            ``stream`` (a symbol in another case), ``number``, ``time``.
        """
        try:
            told = _frame(frame)
        except REFUSED as error:
            _check_other(frame, error)
            return []
        check_strict(frame, _NAMES)
        name, row = told.channel.removeprefix(_CHANNEL), told.data
        if name == told.channel:
            raise FrameError("stream", f"a trade in the channel {told.channel[:60]!r}")
        symbol = symbols.get(name)
        if symbol is None:
            if name.lower() in symbols:
                raise FrameError("stream", f"{name[:40]!r} differs from a symbol asked for in its case alone")
            return []
        ts_event = instant_ns(row.microtimestamp, 1000)
        return [trade(symbol, row.id, ts_event, row.price_str, row.amount_str, row.type)]

    def peek(self, frame: bytes) -> list[tuple[str, int]]:
        """Return symbol and id of the trade.

        >>> Bitstamp().peek(b'{"data":{"id":7,"type":0},"channel":"live_trades_btcusd","event":"trade"}')
        [('btcusd', 7)]
        """
        found = _PEEK.search(frame) if b'"trade"' in frame else None
        name = None if found is None else text_of(found[2])
        return [] if found is None or name is None else [(name, int(found[1]))]

    # ---- instruments

    def ping_request(self) -> Request:
        """Ask for the rate of the euro: the venue tells no time, and this is the shortest answer it has."""
        return Request("/api/v2/eur_usd/")

    def instruments_request(self) -> Request:
        """Ask for every pair."""
        return Request("/api/v2/trading-pairs-info/")

    def more_instruments(self, body: bytes) -> Request | None:
        """Return nothing: one answer lists everything."""
        del body
        return None

    def decode_instruments(self, body: bytes) -> list[Instrument]:
        """Return the listed spot pairs; one whose assets have no canonical spelling is left out.

        Raises
        ------
        FrameError : kinds ``json``, ``venue``, ``shape``.
        """
        try:
            listed = _pairs(body)
        except REFUSED as error:
            raise broken(body, error) from None
        found = map(_instrument, listed)
        return [instrument for instrument in found if instrument is not None]

    def venue_symbol(self, symbol: str) -> str:
        """Return the venue's spelling.

        >>> Bitstamp().venue_symbol("BTC-USD")
        'btcusd'
        """
        if kind_of(check_symbol(symbol)) != "spot":
            raise SymbolError(f"{symbol} is not a spot symbol; bitstamp lists symbols like BTC-USD")
        spelled = symbol.replace("-", "").lower()
        if _PAIR.fullmatch(spelled) is None:
            raise SymbolError(f"{symbol} cannot be listed by bitstamp: its names have letters a to z and digits")
        return spelled


def _meant(answer: Answer, verdict: AnswerVerdict) -> AnswerVerdict:
    """Return what an answer means whose body may be the venue's error."""
    try:
        told = _failure(answer.body)
    except REFUSED:
        page = AnswerVerdict("retry", answer.retry_after_s, reason="HTTP 200: a page instead of JSON")
        return page if answer.status == 200 else verdict
    text = told.response_explanation or told.reason or told.error
    reason = f"HTTP {answer.status}: {str(told.response_code or '')[:20]} {str(text)[:200]}"
    if told.response_code == _LIMIT_CODE:
        return AnswerVerdict("rate_limited", answer.retry_after_s, reason=reason)
    if answer.status == 400 or told.status == "error" or told.error or told.response_code:
        return AnswerVerdict("refused", reason=reason)
    return verdict


def _subscribe(venue_symbol: str) -> Subscribe:
    told = {"event": "bts:subscribe", "data": {"channel": _CHANNEL + venue_symbol}}
    return Subscribe(msgspec.json.encode(told), (venue_symbol,))


def _check_other(frame: bytes, error: Exception) -> None:
    """Let a message pass that claims to be no trade. Raises FrameError for any other."""
    try:
        head = _head(frame)
    except REFUSED as other:
        raise broken(frame, other) from None
    if head.event == "trade":
        raise broken(frame, error) from None
    check_strict(frame, _NAMES[:3])


def _instrument(pair: _Pair) -> Instrument | None:
    codes = pair.name.split("/")
    if len(codes) != 2 or _PAIR.fullmatch(pair.url_symbol) is None:
        return None
    base, quote = (normalise_asset(code) for code in codes)
    try:
        symbol = check_symbol(f"{base}-{quote}")
    except SymbolError:
        return None
    price_step, quantity_step = _step(pair.counter_decimals), _step(pair.base_decimals)
    return Instrument("bitstamp", symbol, pair.url_symbol, "spot", base, quote, price_step, quantity_step, pair.trading)


def _step(places: int | None) -> str | None:
    return None if places is None or not 0 <= places <= 18 else f"{10**-places:.{places}f}"

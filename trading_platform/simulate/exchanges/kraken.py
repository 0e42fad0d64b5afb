"""Kraken spot as the simulator speaks it: WebSocket v2. Its REST is kraken_rest.py.

After docs.kraken.com (Spot WebSocket v2: trade, heartbeat, status, ping) and frames captured from it.

Imitated:

- Streams are subscribed by message, at `/v2`: one answer for each symbol, `success` or `error`; a status message comes
  first, a heartbeat after each second without another message once anything is subscribed, `snapshot` gives the last 50
  trades, JSON ping and pong. Trades of one symbol and one instant share a frame.
- Prices and quantities are numbers with the exchange's decimals, times are ISO with µs. An id rises by one per symbol.
- A trade has a time in ns that fills of one instant share. The stream cuts it to µs; REST prints it as a double, which
  may be 120 ns beside it: the µs of the two may differ by one.
- 150 connects in 10 minutes, beyond that and while banned 429.
- `server_shutdown` is told as status `maintenance`, which the exchange sends before maintenance.

Not imitated: other channels than trades (acknowledged, silent), limits of messages, the end of a connection that
subscribes to nothing for a minute, compression, the archive (quarterly, behind a form). Whether the exchange cuts or
rounds to µs is not known.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from http import HTTPStatus
from itertools import groupby
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from trading_platform.simulate.exchange import Exchange, Refusal, Stage, StreamedTrade, StreamLimits
from trading_platform.simulate.exchanges.kraken_rest import CallRate, KrakenRest, trade_ns
from trading_platform.simulate.faults import KINDS
from trading_platform.simulate.issued_trades import IssuedTrades
from trading_platform.simulate.synthetic_market import Profile
from trading_platform.simulate.tape import ListedSymbol, Print, with_places

_CHANNELS = frozenset({"trade", "ticker", "book", "ohlc", "level3", "instrument"})
_SNAPSHOT = 50
_VERSION = "2.0.10"


class _PairSpelling(NamedTuple):
    """How a symbol is spelled, and the decimals of its prices."""

    symbol: str
    places: int


class KrakenSession:
    """One connection.

    Parameters
    ----------
    exchange : the venue it is connected to.
    number : tells connections apart.

    Attributes
    ----------
    topics : symbols whose trades it is subscribed to; other channels as `channel symbol`.
    """

    form = None

    def __init__(self, exchange: KrakenExchange, number: int) -> None:
        self.topics: dict[str, None] = {}
        self._exchange = exchange
        self.connection_id = int.from_bytes(blake2b(str(number).encode(), digest_size=8).digest()) | 1 << 63

    def greet(self) -> list[bytes]:
        """Return the status message."""
        return [status_message("online", self.connection_id)]

    def reply(self, message: str | bytes) -> list[bytes]:  # noqa: PLR0911  one return a kind of request
        """Carry a request out; return its answers, and snapshots."""
        try:
            told = msgspec.json.decode(message)
        except (ValueError, RecursionError):
            return [self._answer({}, error="Malformed request")]
        if not isinstance(told, dict):
            return [self._answer({}, error="Malformed request")]
        number = {"req_id": told["req_id"]} if type(told.get("req_id")) is int else {}
        method, params = told.get("method"), told.get("params")
        if method == "ping":
            return [msgspec.json.encode({"method": "pong", **number, **self._times()})]
        if method not in {"subscribe", "unsubscribe"}:
            return [self._answer(number, error="Unsupported event")]
        number = {"method": method, **number}
        if not isinstance(params, dict):
            return [self._answer(number, error="Malformed request")]
        channel, symbols = params.get("channel"), params.get("symbol")
        if channel not in _CHANNELS:
            return [self._answer(number, error="Channel not supported")]
        if not isinstance(symbols, list) or not symbols or not all(isinstance(name, str) for name in symbols):
            return [self._answer(number, error="Field 'symbol' is mandatory")]
        do = self._subscribe if method == "subscribe" else self._unsubscribe
        return [answer for name in symbols for answer in do(number, channel, name, params)]

    def _subscribe(self, number: dict[str, Any], channel: str, name: str, params: Mapping[str, Any]) -> list[bytes]:
        topic = name if channel == "trade" else f"{channel} {name}"
        if not self._exchange.lists(name):
            return [self._answer(number, error=f"Currency pair not supported {name}", symbol=name)]
        if topic in self.topics:
            return [self._answer(number, error="Already subscribed", symbol=name)]
        self.topics[topic] = None
        snapshot = params.get("snapshot") is True
        answers = [self._answer(number, result={"channel": channel, "snapshot": snapshot, "symbol": name})]
        if snapshot and channel == "trade":
            answers.append(self._exchange.snapshot(name))
        return answers

    def _unsubscribe(self, number: dict[str, Any], channel: str, name: str, _: Mapping[str, Any]) -> list[bytes]:
        topic = name if channel == "trade" else f"{channel} {name}"
        if topic not in self.topics:
            return [self._answer(number, error="Subscription Not Found", symbol=name)]
        del self.topics[topic]
        return [self._answer(number, result={"channel": channel, "symbol": name})]

    def _answer(self, number: dict[str, Any], **told: Any) -> bytes:
        method = {"method": number["method"]} if "method" in number else {}
        rest = {name: value for name, value in number.items() if name != "method"}
        return msgspec.json.encode({**method, **told, "success": "error" not in told, **self._times(), **rest})

    def _times(self) -> dict[str, str]:
        now = iso(self._exchange.now_ns())
        return {"time_in": now, "time_out": now}


class KrakenExchange(Exchange):
    """The spot market of Kraken, its WebSocket v2."""

    name = "kraken"
    ids = "contiguous"
    cannot = frozenset(kind for kind in KINDS if kind.startswith("archive_"))
    limits = StreamLimits(connects=150, connects_window_s=600.0, ban_text="error code: 1015\n")
    heartbeat = b'{"channel":"heartbeat"}'
    profiles = (
        Profile("BTC-USD", 72_000_001, 62_000.0, 1, 0.02, 8, 135_000, 1.0, pauses=False),
        Profile("ETH-USD", 51_000_001, 3_300.0, 2, 0.3, 8, 86_400, 1.2, pauses=False),
        Profile("SOL-USD", 9_000_001, 145.0, 2, 4.0, 8, 43_200, 1.6, pauses=True),
    )

    def __init__(self, stage: Stage, limits: CallRate | None = None) -> None:
        self.now_ns = stage.now_ns
        self.api = self._rest = KrakenRest(stage, limits)
        self._pairs = {row.venue_symbol: _pair(row) for row in stage.market.listings}
        self._names = {pair.symbol: name for name, pair in self._pairs.items()}
        symbols = {row.venue_symbol: row.symbol for row in stage.market.listings}
        self._issued = IssuedTrades(stage.market, stage.head, stage.numbering, (), symbols)
        self._connections = 0

    def topic(self, listing: ListedSymbol) -> str:
        """Return the symbol as WebSocket v2 spells it."""
        return _pair(listing).symbol

    def open(self, target: str) -> KrakenSession | Refusal:
        """Return a session that is subscribed to nothing."""
        if urlsplit(target).path.rstrip("/") != "/v2":
            return Refusal(HTTPStatus.NOT_FOUND, "Not found\n", "")
        self._connections += 1
        return KrakenSession(self, self._connections)

    def payloads(self, rows: Sequence[Print], form: object) -> list[tuple[str, bytes]]:
        """Return a frame for the trades of a symbol that follow each other and share their time."""
        del form
        return [
            (self._pairs[name].symbol, self._frame("update", group))
            for (name, _), group in groupby(rows, key=lambda row: (row.venue_symbol, row.time))
        ]

    def told(self, row: Print) -> StreamedTrade:
        """Return the trade as the stream tells it."""
        price, quantity = self._literals(row)
        side: Literal["buy", "sell"] = "sell" if row.buyer_is_maker else "buy"
        return StreamedTrade(row.trade_id, None, trade_ns(row) // 1000 * 1000, price, quantity, side)

    def farewell(self, session: Any) -> bytes:
        """Return the status message that maintenance begins."""
        return status_message("maintenance", session.connection_id)

    def lists(self, symbol: str) -> bool:
        """Tell whether a symbol is listed now."""
        return symbol in self._names and self._rest.lists(self._names[symbol])

    def snapshot(self, symbol: str) -> bytes:
        """Return the newest trades of a symbol as a subscription begins with them."""
        return self._frame("snapshot", self._issued.newest(self._names[symbol], _SNAPSHOT))

    def _frame(self, kind: str, rows: Iterable[Print]) -> bytes:
        return b'{"channel":"trade","type":"%b","data":[%b]}' % (kind.encode(), b",".join(map(self._trade, rows)))

    def _trade(self, row: Print) -> bytes:
        price, quantity = self._literals(row)
        return (
            f'{{"symbol":"{self._pairs[row.venue_symbol].symbol}","side":"{"sell" if row.buyer_is_maker else "buy"}",'
            f'"price":{price},"qty":{quantity},"ord_type":"{order_type(row)}","trade_id":{row.trade_id},'
            f'"timestamp":"{iso(trade_ns(row))}"}}'
        ).encode()

    def _literals(self, row: Print) -> tuple[str, str]:
        return with_places(row.price, self._pairs[row.venue_symbol].places), with_places(row.quantity, 8)


def status_message(system: str, connection_id: int) -> bytes:
    """Return a message of the status channel."""
    data = {"version": _VERSION, "system": system, "api_version": "v2", "connection_id": connection_id}
    return msgspec.json.encode({"channel": "status", "type": "update", "data": [data]})


def order_type(row: Print) -> str:
    """Return what kind of order took the trade: a third of them market orders, by id."""
    return "limit" if row.trade_id % 3 else "market"


def iso(ts_ns: int) -> str:
    """Return an instant in RFC 3339 with µs, cut.

    >>> iso(1_723_161_255_342_123_999)
    '2024-08-08T23:54:15.342123Z'
    """
    seconds, ns = divmod(ts_ns, 1_000_000_000)
    try:
        instant = dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (ValueError, OverflowError, OSError):  # a planned time that no calendar has
        instant = dt.datetime.max.replace(tzinfo=dt.UTC)
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{ns // 1000:06d}Z"


def _pair(listing: ListedSymbol) -> _PairSpelling:
    step = listing.price_step.rstrip("0").partition(".")[2]
    return _PairSpelling(f"{listing.base}/{listing.quote}", max(1, len(step)))

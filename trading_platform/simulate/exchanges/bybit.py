"""Bybit spot and linear as the simulator speaks it: v5 streams.

REST is bybit_rest.py, daily files are bybit_archive.py. After bybit-exchange.github.io/docs/v5 (WebSocket: Connect,
Public Trade) and answers that others have recorded.

Imitated:

- `/v5/public/spot` carries symbols such as BTC-USDT, `/v5/public/linear` perpetuals such as BTC-USDT-PERP; both call
  them BTCUSDT.
- Topics are subscribed by message, one answer for the whole of it: spot takes ten arguments in a message (more:
  `args size >10`), a connection 21,000 characters of arguments. One symbol that does not exist refuses the whole.
- `publicTrade` frames hold the trades of one symbol and instant, at most 1,024. Spot has no tick direction. `BT`, `RPI`
  are always false, tick direction and `seq` are made up.
- An id is text that is unique and has no order: a UUID on linear, 19 digits on spot.
- The client's JSON ping is answered; the exchange sends none of its own, and closes after ten minutes without anything
  from the client.
- 500 connects in 5 minutes, beyond that and while banned 403.

Not imitated: other topics than trades (acknowledged, silent), the snapshot some topics begin with, 1,000 connections of
an address, private streams. A shutdown is not announced, ids do not start again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from http import HTTPStatus
from itertools import groupby
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from trading_platform.simulate.exchange import Exchange, Refusal, Stage, StreamedTrade, StreamLimits
from trading_platform.simulate.exchanges.bybit_archive import BybitArchiveServer
from trading_platform.simulate.exchanges.bybit_rest import BybitRest, IpLimit
from trading_platform.simulate.exchanges.bybit_spelling import CATEGORIES, Spelling, spelling, trade_uid, trimmed
from trading_platform.simulate.synthetic_market import Profile
from trading_platform.simulate.tape import ListedSymbol, Print, time_ns, with_places

_MOST_ARGS = {"spot": 10}
_MOST_CHARACTERS = 21_000
_MOST_TRADES = 1024
_TOPICS = frozenset({"publicTrade", "orderbook", "tickers", "kline", "allLiquidation"})


class _Topic(NamedTuple):
    """A symbol's trades on one of the two streams."""

    spelled: Spelling
    key: str


class BybitSession:
    """One connection.

    Parameters
    ----------
    exchange : the venue it is connected to; category: spot or linear; number: tells connections apart.

    Attributes
    ----------
    topics : what it is subscribed to, each after its category.
    """

    form = None

    def __init__(self, exchange: BybitExchange, category: str, number: int) -> None:
        self.topics: dict[str, None] = {}
        self._exchange, self._category = exchange, category
        self.conn_id = f"{blake2b(str(number).encode(), digest_size=10).hexdigest()}-{number:x}"

    def greet(self) -> list[bytes]:
        """Say nothing: the exchange sends no first message."""
        return []

    def reply(self, message: str | bytes) -> list[bytes]:  # noqa: PLR0911  one return a kind of request
        """Carry a request out; return its answer."""
        try:
            told = msgspec.json.decode(message)
        except (ValueError, RecursionError):
            return [self._failure({}, "", "error:invalid json")]
        if not isinstance(told, dict):
            return [self._failure({}, "", "error:invalid json")]
        op, args = told.get("op"), told.get("args")
        number = {"req_id": told["req_id"]} if isinstance(told.get("req_id"), str) else {}
        if op == "ping":
            return [self._success(number, "ping", "pong")]
        if op not in {"subscribe", "unsubscribe"}:
            return [self._failure(number, str(op)[:40], "error:request not supported")]
        if not isinstance(args, list) or not args or not all(isinstance(topic, str) for topic in args):
            return [self._failure(number, op, "error:no args")]
        refused = self._change(op, args)
        if refused:
            return [self._failure(number, op, refused)]
        return [self._success(number, op, "subscribe" if self._category == "spot" else "")]

    def _change(self, op: str, args: list[str]) -> str:
        """Subscribe or unsubscribe all of them, or none; return why none, "" for all."""
        most = _MOST_ARGS.get(self._category, _MOST_CHARACTERS)
        if len(args) > most:
            return f"args size >{most}"
        for topic in args:
            if not self._exchange.knows(self._category, topic):
                return f"Invalid symbol :[{topic}]"
            if op == "subscribe" and f"{self._category} {topic}" in self.topics:
                return f"error:already subscribed,topic:{topic}"
        keys = [f"{self._category} {topic}" for topic in args]
        if op == "unsubscribe":
            for key in keys:
                self.topics.pop(key, None)
        else:
            characters = sum(len(key) - len(self._category) - 1 for key in [*self.topics, *keys])
            if characters > _MOST_CHARACTERS:
                return f"args length >{_MOST_CHARACTERS}"
            self.topics.update(dict.fromkeys(keys))
        return ""

    def _success(self, number: dict[str, str], op: str, text: str) -> bytes:
        req_id = number.get("req_id", "")
        told = {"success": True, "ret_msg": text, "conn_id": self.conn_id, "req_id": req_id, "op": op}
        return msgspec.json.encode(told)

    def _failure(self, number: dict[str, str], op: str, text: str) -> bytes:
        return msgspec.json.encode({"success": False, "ret_msg": text, "conn_id": self.conn_id, **number, "op": op})


class BybitExchange(Exchange):
    """The spot and linear markets of Bybit, its v5 streams."""

    name = "bybit"
    ids = "opaque"
    limits = StreamLimits(
        connects=500,
        connects_window_s=300.0,
        idle_s=600.0,
        too_many_status=HTTPStatus.FORBIDDEN,
        ban_status=HTTPStatus.FORBIDDEN,
        ban_text="access too frequent\n",
    )
    cannot = frozenset({"server_shutdown", "renumber", "stray_id"})
    profiles = (
        Profile("BTC-USDT", 1, 62_000.0, 2, 0.004, 6, 864_000, 1.0, pauses=False),
        Profile("ETH-USDT", 1, 3_300.0, 2, 0.06, 5, 432_000, 1.2, pauses=False),
        Profile("SOL-USDT", 1, 145.0, 2, 0.8, 3, 86_400, 1.6, pauses=True),
        Profile("BTC-USDT-PERP", 1, 62_020.0, 2, 0.01, 3, 1_296_000, 1.0, pauses=False),
        Profile("ETH-USDT-PERP", 1, 3_301.0, 2, 0.2, 2, 864_000, 1.2, pauses=False),
    )
    choice = ("BTC-USDT", "SOL-USDT", "BTC-USDT-PERP")

    def __init__(self, stage: Stage, limits: IpLimit | None = None) -> None:
        self.api = self._rest = BybitRest(stage, limits)
        self.archive = BybitArchiveServer(stage)
        self._topics = {row.venue_symbol: _topic(row) for row in stage.market.listings}
        self._names = {(topic.spelled.category, topic.spelled.name): name for name, topic in self._topics.items()}
        self._markets = len(self._topics)
        self._connections = 0

    def topic(self, listing: ListedSymbol) -> str:
        """Return the listing's trades, after its category."""
        return _topic(listing).key

    def open(self, target: str) -> BybitSession | Refusal:
        """Return a session that is subscribed to nothing."""
        base, _, category = urlsplit(target).path.rstrip("/").rpartition("/")
        if base != "/v5/public" or category not in CATEGORIES:
            return Refusal(HTTPStatus.NOT_FOUND, "Not found\n", "")
        self._connections += 1
        return BybitSession(self, category, self._connections)

    def payloads(self, rows: Sequence[Print], form: object) -> list[tuple[str, bytes]]:
        """Return frames for the trades of a symbol that follow each other and share their time."""
        del form
        frames = []
        for (name, _), group in groupby(rows, key=lambda row: (row.venue_symbol, row.time)):
            trades, key = list(group), self._topics[name].key
            pieces = (trades[at : at + _MOST_TRADES] for at in range(0, len(trades), _MOST_TRADES))
            frames += [(key, self._frame(name, piece)) for piece in pieces]
        return frames

    def told(self, row: Print) -> StreamedTrade:
        """Return the trade as the stream tells it."""
        spelled = self._topics[row.venue_symbol].spelled
        side: Literal["buy", "sell"] = "sell" if row.buyer_is_maker else "buy"
        uid = trade_uid(row, spelled.category, self._markets)
        price, quantity = with_places(row.price, spelled.places), trimmed(row.quantity)
        return StreamedTrade(None, uid, time_ns(row.time) // 1_000_000 * 1_000_000, price, quantity, side)

    def knows(self, category: str, topic: str) -> bool:
        """Tell whether a topic may be subscribed to on a stream now."""
        kind, _, symbol = topic.partition(".")
        name = self._names.get((category, symbol.rpartition(".")[2]))
        return kind in _TOPICS and name is not None and self._rest.lists(name)

    def _frame(self, name: str, rows: Sequence[Print]) -> bytes:
        spelled = self._topics[name].spelled
        told = ",".join(self._trades(spelled, rows))
        ts = rows[-1].event_time // 1000 if rows[-1].event_time >= 10**14 else rows[-1].event_time
        return f'{{"topic":"publicTrade.{spelled.name}","type":"snapshot","ts":{ts},"data":[{told}]}}'.encode()

    def _trades(self, spelled: Spelling, rows: Iterable[Print]) -> Iterable[str]:
        for row in rows:
            told = self.told(row)
            side, time, seq = told.side.capitalize(), told.ts_event // 1_000_000, row.trade_id // 2 * 3
            flags = f'"BT":false,"RPI":false,"seq":{seq}'
            if spelled.category == "spot":
                yield (
                    f'{{"i":"{told.trade_uid}","T":{time},"p":"{told.price}","v":"{told.quantity}",'
                    f'"S":"{side}","s":"{spelled.name}",{flags}}}'
                )
            else:
                tick = ("PlusTick", "ZeroPlusTick", "MinusTick", "ZeroMinusTick")[row.trade_id % 4]
                yield (
                    f'{{"T":{time},"s":"{spelled.name}","S":"{side}","v":"{told.quantity}","p":"{told.price}",'
                    f'"L":"{tick}","i":"{told.trade_uid}",{flags}}}'
                )


def _topic(listing: ListedSymbol) -> _Topic:
    spelled = spelling(listing)
    return _Topic(spelled, f"{spelled.category} publicTrade.{spelled.name}")

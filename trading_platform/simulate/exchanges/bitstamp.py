"""Bitstamp spot as the simulator speaks it: WebSocket v2. Its REST is bitstamp_rest.py.

After bitstamp.net/websocket/v2 and frames captured from it.

Imitated:

- Channels are subscribed by message, one a message; a second subscription to a channel is acknowledged like the first.
  A channel that does not exist is refused by an error that names none.
- A frame holds one trade. Numbers are told as such and as text; times in seconds and in µs.
- An id rises, and all pairs share the numbers: each pair has every so manieth of them, which is made up. So are the ids
  of orders.
- The client's `bts:heartbeat` is answered; the exchange sends none of its own.
- `server_shutdown` is told as `bts:request_reconnect`.

Not imitated: other channels than trades (acknowledged, silent), private ones, the end of a connection at its 1,025th
channel or after 90 days. How many connects are allowed is not documented: here 100 in ten minutes, beyond that 429, and
403 while banned.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from trading_platform.simulate.exchange import Exchange, Refusal, Stage, StreamedTrade, StreamLimits, StreamSession
from trading_platform.simulate.exchanges.bitstamp_rest import BitstampRest, RequestLimit, shared_id, spelling
from trading_platform.simulate.faults import KINDS
from trading_platform.simulate.synthetic_market import Profile
from trading_platform.simulate.tape import ListedSymbol, Print, time_ns, with_places

_TRADES = "live_trades_"
_CHANNELS = (_TRADES, "live_orders_", "order_book_", "detail_order_book_", "diff_order_book_")
_FIRST_ORDER = 1_443_875_000_000_000
_EVENTS = {"bts:subscribe": "bts:subscription_succeeded", "bts:unsubscribe": "bts:unsubscription_succeeded"}


class BitstampSession:
    """One connection.

    Parameters
    ----------
    exchange : the venue it is connected to.

    Attributes
    ----------
    topics : the channels that it is subscribed to.
    """

    form = None

    def __init__(self, exchange: BitstampExchange) -> None:
        self.topics: dict[str, None] = {}
        self._exchange = exchange

    def greet(self) -> list[bytes]:
        """Say nothing: the exchange sends no first message."""
        return []

    def reply(self, message: str | bytes) -> list[bytes]:
        """Carry a request out; return its answer."""
        try:
            told = msgspec.json.decode(message)
        except (ValueError, RecursionError):
            return [_error("Incorrect JSON format.")]
        event = told.get("event") if isinstance(told, dict) else None
        if event == "bts:heartbeat":
            return [_message("bts:heartbeat", data={"status": "success"})]
        if event not in _EVENTS:
            return [_error("Bad subscription string.")]
        data = told.get("data")
        channel = data.get("channel") if isinstance(data, dict) else None
        if not isinstance(channel, str) or not self._exchange.knows(channel):
            return [_error("Bad subscription string.")]
        if event == "bts:subscribe":
            self.topics[channel] = None
        else:
            self.topics.pop(channel, None)
        return [_message(_EVENTS[event], channel, {})]


class BitstampExchange(Exchange):
    """The spot market of Bitstamp, its WebSocket v2."""

    name = "bitstamp"
    ids = "opaque"
    cannot = frozenset({"renumber", "stray_id"} | {kind for kind in KINDS if kind.startswith("archive_")})
    limits = StreamLimits(
        connects=100,
        connects_window_s=600.0,
        ban_status=HTTPStatus.FORBIDDEN,
        ban_text="<html><body>Access denied</body></html>\n",
    )
    profiles = (
        Profile("BTC-USD", 70_000_001, 62_000.0, 0, 0.02, 8, 43_200, 1.0, pauses=False),
        Profile("ETH-USD", 70_000_001, 3_300.0, 1, 0.3, 8, 28_800, 1.2, pauses=False),
        Profile("XRP-EUR", 70_000_001, 0.61, 5, 200.0, 8, 14_400, 1.6, pauses=True),
    )

    def __init__(self, stage: Stage, limits: RequestLimit | None = None) -> None:
        self.api = self._rest = BitstampRest(stage, limits)
        self._spelled = {row.venue_symbol: spelling(row) for row in stage.market.listings}
        self._names = {spelled.pair: name for name, spelled in self._spelled.items()}

    def topic(self, listing: ListedSymbol) -> str:
        """Return the channel of a listing's trades."""
        return _TRADES + spelling(listing).pair

    def open(self, target: str) -> BitstampSession | Refusal:
        """Return a session that is subscribed to nothing."""
        if urlsplit(target).path.strip("/"):
            return Refusal(HTTPStatus.NOT_FOUND, "Not found\n", "")
        return BitstampSession(self)

    def payloads(self, rows: Sequence[Print], form: object) -> list[tuple[str, bytes]]:
        """Return a frame for each trade."""
        del form
        return [(_TRADES + self._spelled[row.venue_symbol].pair, self._frame(row)) for row in rows]

    def told(self, row: Print) -> StreamedTrade:
        """Return the trade as the stream tells it."""
        side: Literal["buy", "sell"] = "sell" if row.buyer_is_maker else "buy"
        number = str(shared_id(row, len(self._spelled)))
        price = with_places(row.price, self._spelled[row.venue_symbol].places)
        ts_event = time_ns(row.time) // 1000 * 1000
        return StreamedTrade(None, number, ts_event, price, with_places(row.quantity, 8), side)

    def farewell(self, session: StreamSession) -> bytes:
        """Return the message that asks a client to connect anew."""
        del session
        return _message("bts:request_reconnect", data="")

    def knows(self, channel: str) -> bool:
        """Tell whether a channel may be subscribed to now."""
        kind = next((kind for kind in _CHANNELS if channel.startswith(kind)), None)
        name = None if kind is None else self._names.get(channel.removeprefix(kind))
        return name is not None and self._rest.lists(name)

    def _frame(self, row: Print) -> bytes:
        told, pair = self.told(row), self._spelled[row.venue_symbol].pair
        us = told.ts_event // 1000
        orders = _FIRST_ORDER + 2 * int(told.trade_uid or 0)
        return (
            f'{{"data":{{"id":{told.trade_uid},"timestamp":"{us // 1_000_000}",'
            f'"amount":{with_places(told.quantity, 0)},"amount_str":"{told.quantity}",'
            f'"price":{with_places(told.price, 0)},"price_str":"{told.price}","type":{int(told.side == "sell")},'
            f'"microtimestamp":"{us}","buy_order_id":{orders},"sell_order_id":{orders + 1}}},'
            f'"channel":"{_TRADES}{pair}","event":"trade"}}'
        ).encode()


def _message(event: str, channel: str = "", data: Any = None) -> bytes:
    return msgspec.json.encode({"event": event, "channel": channel, "data": data})


def _error(text: str) -> bytes:
    return _message("bts:error", data={"code": None, "message": text})

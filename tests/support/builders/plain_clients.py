"""A plain client for each exchange of the simulator: how it subscribes, and the trades that it reads from messages.

Written by hand beside the simulator and the adapters, so that neither is its own witness.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.builders.venue_thread import Simulator

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Seen(NamedTuple):
    """One trade as a client saw it; `key` is its id as text."""

    symbol: str
    key: str
    price: str
    quantity: str
    ts_event: int
    side: str


class Plain(NamedTuple):
    """How one exchange is spoken to.

    Attributes
    ----------
    target : canonical symbols to the address, after the base.
    say : canonical symbols to the messages that subscribe.
    read : a decoded message to its trades; decimals are texts.
    """

    target: Callable[[Sequence[str]], str]
    say: Callable[[Sequence[str]], list[str]]
    read: Callable[[Any], list[Seen]]


def _binance(message: Any) -> list[Seen]:
    row = message.get("data", {})
    if row.get("e") != "trade":
        return []
    symbol = row["s"].removesuffix("USDT") + "-USDT"
    return [Seen(symbol, str(row["t"]), row["p"], row["q"], row["T"] * 10**6, "sell" if row["m"] else "buy")]


def _kraken(message: Any) -> list[Seen]:
    if message.get("channel") != "trade":
        return []
    return [
        Seen(
            row["symbol"].replace("/", "-"),
            str(row["trade_id"]),
            row["price"],
            row["qty"],
            (dt.datetime.fromisoformat(row["timestamp"]) - _EPOCH) // dt.timedelta(microseconds=1) * 1000,
            row["side"],
        )
        for row in message["data"]
    ]


def _kraken_say(symbols: Sequence[str]) -> list[str]:
    names = [symbol.replace("-", "/") for symbol in symbols]
    return [json.dumps({"method": "subscribe", "params": {"channel": "trade", "symbol": names, "snapshot": False}})]


def _bitstamp(message: Any) -> list[Seen]:
    if message.get("event") != "trade":
        return []
    row, pair = message["data"], message["channel"].removeprefix("live_trades_").upper()
    quote = "USDT" if pair.endswith("USDT") else pair[-3:]
    assert float(row["price"]) == float(row["price_str"])
    assert float(row["amount"]) == float(row["amount_str"])
    assert row["microtimestamp"][:-6] == row["timestamp"]
    return [
        Seen(
            f"{pair.removesuffix(quote)}-{quote}",
            str(row["id"]),
            row["price_str"],
            row["amount_str"],
            int(row["microtimestamp"]) * 1000,
            ("buy", "sell")[row["type"]],
        )
    ]


def _bitstamp_say(symbols: Sequence[str]) -> list[str]:
    channels = ["live_trades_" + symbol.replace("-", "").lower() for symbol in symbols]
    return [json.dumps({"event": "bts:subscribe", "data": {"channel": channel}}) for channel in channels]


def _bybit(message: Any) -> list[Seen]:
    if not message.get("topic", "").startswith("publicTrade."):
        return []
    rows = message["data"]
    assert all(f"publicTrade.{row['s']}" == message["topic"] for row in rows)
    return [
        # Spot has no tick direction; that is how one client knows which of the two it speaks to.
        Seen(
            row["s"].removesuffix("USDT") + ("-USDT-PERP" if "L" in row else "-USDT"),
            row["i"],
            row["p"],
            row["v"],
            row["T"] * 10**6,
            row["S"].lower(),
        )
        for row in rows
    ]


def _bybit_say(symbols: Sequence[str]) -> list[str]:
    topics = ["publicTrade." + symbol.removesuffix("-PERP").replace("-", "") for symbol in symbols]
    return [json.dumps({"op": "subscribe", "args": topics[at : at + 10]}) for at in range(0, len(topics), 10)]


PLAIN: dict[str, Plain] = {
    "binance": Plain(
        lambda symbols: "/stream?streams=" + "/".join(f"{s.replace('-', '').lower()}@trade" for s in symbols),
        lambda _: [],
        _binance,
    ),
    "bitstamp": Plain(lambda _: "/", _bitstamp_say, _bitstamp),
    "bybit": Plain(
        lambda symbols: "/v5/public/" + ("linear" if symbols[0].endswith("-PERP") else "spot"), _bybit_say, _bybit
    ),
    "kraken": Plain(lambda _: "/v2", _kraken_say, _kraken),
}
"""By the exchange's name."""


@contextmanager
def subscribe(venue: Simulator, *symbols: str) -> Iterator[ClientConnection]:
    """Connect and subscribe."""
    plain = PLAIN[venue.server.exchange.name]
    address = venue.ws_url + plain.target(symbols)
    with connect(address, compression=None, open_timeout=5, close_timeout=1) as client:
        for message in plain.say(symbols):
            client.send(message)
        yield client


def take(
    venue: Simulator,
    client: ClientConnection,
    *,
    enough: Callable[[list[Seen]], bool] = lambda _: False,
    until_closed: bool = False,
) -> tuple[list[Seen], ConnectionClosed | None]:
    """Return the trades until there are enough, the market has ended and all of it is here, or the connection ends.

    `until_closed` waits for that end, and for nothing else.
    """
    read, seen = PLAIN[venue.server.exchange.name].read, list[Seen]()
    pong: threading.Event | None = None  # comes after everything that was sent before
    while not enough(seen):
        try:
            if pong is None and not until_closed and venue.wait_ended(0):
                pong = client.ping()
            is_whole = pong is not None and pong.is_set()
            seen += read(json.loads(client.recv(timeout=0 if is_whole else 0.05), parse_float=str))
        except TimeoutError:
            if is_whole:
                break
        except ConnectionClosed as closed:
            return seen, closed
    return seen, None


def truth(venue: Simulator) -> list[tuple[Seen, bool]]:
    """Return what was issued, as a client sees it, and whether it was sent."""
    return [
        (
            Seen(
                line["symbol"],
                str(line.get("trade_uid", line["trade_id"])),
                line["price"],
                line["quantity"],
                line["ts_event"],
                line["side"],
            ),
            line["sent"],
        )
        for line in venue.truth()
    ]

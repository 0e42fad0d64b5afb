"""Binance's side of a stream connection: addresses, control messages, payloads. Pure: bytes in, bytes out.

After the exchange's web-socket-streams.md, its error texts included. REST is binance_rest.py, sockets venue_server.py.
Subscriptions to streams other than trades are accepted, as the venue does, and stay silent.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from trading_platform.simulate.tape import Print

MAX_STREAMS = 1024
_METHODS = "SUBSCRIBE UNSUBSCRIBE LIST_SUBSCRIPTIONS SET_PROPERTY GET_PROPERTY".split()


class BinanceSession:
    """What one connection is subscribed to.

    Attributes
    ----------
    streams : names as subscribed, in order.
    combined : whether events are wrapped in `{"stream":…,"data":…}`.
    micros : whether times are sent in µs.

    Examples
    --------
    >>> session = BinanceSession.open("/ws")
    >>> session.answer('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')
    '{"result":null,"id":1}'
    >>> list(session.streams)
    ['btcusdt@trade']
    """

    def __init__(self, streams: list[str], *, combined: bool, micros: bool) -> None:
        self.streams: dict[str, None] = dict.fromkeys(streams)
        self.combined = combined
        self.micros = micros

    @classmethod
    def open(cls, target: str) -> BinanceSession | None:
        """Return the session that a request's path and query ask for, None if there is nothing at that address."""
        streams = streams_of(target)
        if streams is None or len(streams) > MAX_STREAMS:
            return None
        address = urlsplit(target)
        micros = parse_qs(address.query).get("timeUnit", [""])[0].lower() == "microsecond"
        return cls(streams, combined=address.path.rstrip("/") == "/stream", micros=micros)

    @property
    def topics(self) -> dict[str, None]:
        """What it is subscribed to."""
        return self.streams

    @property
    def form(self) -> tuple[bool, bool]:
        """In which form it gets trades."""
        return self.combined, self.micros

    def greet(self) -> tuple[bytes, ...]:
        """Say nothing: the venue sends no first message."""
        return ()

    def reply(self, message: str | bytes) -> tuple[bytes, ...]:
        """Carry a control message out and return what is sent for it."""
        return (self.answer(message).encode(),)

    def answer(self, message: str | bytes) -> str:  # noqa: PLR0911  one return a kind of request
        """Carry a control message out and return the venue's answer to it."""
        try:
            told = msgspec.json.decode(message)
        except (ValueError, RecursionError):
            return _error(3, "Invalid JSON: expected value at line 1 column 1", bare=True)
        if not isinstance(told, dict):
            return _error(3, "Invalid JSON: expected value at line 1 column 1", bare=True)
        number = told.get("id")
        if not _is_id(number) or "id" not in told:
            return _error(2, "Invalid request: request ID must be an unsigned integer", bare=True)
        method, params = told.get("method"), told.get("params", [])
        if method is None:
            return _error(2, "Invalid request: missing field `method` at line 1 column 73", number)
        if method not in _METHODS:
            known = ", ".join(f"`{name}`" for name in _METHODS)
            text = f"Invalid request: unknown variant {method}, expected one of {known} at line 1 column 28"
            return _error(2, text, number)
        if set(told) - {"method", "params", "id"}:
            return _error(2, "Invalid request: too many parameters", number)
        if not isinstance(params, list):
            return _error(2, "Invalid request: params must be a list", number)
        return self._do(method, params, number)

    def _do(self, method: str, params: list[Any], number: Any) -> str:
        if method == "LIST_SUBSCRIPTIONS":
            return _result(list(self.streams), number)
        if method.endswith("_PROPERTY"):
            return self._property(params, number, write=method == "SET_PROPERTY")
        if not all(isinstance(name, str) for name in params):
            return _error(2, "Invalid request: a stream name must be a string", number)
        if method == "UNSUBSCRIBE":
            for name in params:
                self.streams.pop(name, None)
        else:
            if len(self.streams.keys() | set(params)) > MAX_STREAMS:
                return _error(2, f"Invalid request: more than {MAX_STREAMS} streams", number)
            self.streams.update(dict.fromkeys(params))
        return _result(None, number)

    def _property(self, params: list[Any], number: Any, *, write: bool) -> str:
        if not params or not isinstance(params[0], str):
            return _error(2, "Invalid request: property name must be a string", number)
        if params[0] != "combined":
            return _error(0, "Unknown property", number)
        if len(params) != 1 + write:
            return _error(2, "Invalid request: too many parameters", number)
        if not write:
            return _result(self.combined, number)
        if not isinstance(params[1], bool):
            return _error(1, "Invalid value type: expected Boolean", bare=True)
        self.combined = params[1]
        return _result(None, number)


def streams_of(target: str) -> list[str] | None:
    """Return the streams that a request's path and query name, None if there is nothing at that address.

    >>> streams_of("/stream?streams=btcusdt@trade/ethusdt@trade"), streams_of("/ws"), streams_of("/")
    (['btcusdt@trade', 'ethusdt@trade'], [], None)
    """
    address = urlsplit(target)
    if address.path.rstrip("/") == "/stream":
        names = parse_qs(address.query).get("streams", [""])[0].split("/")
    elif address.path == "/ws" or address.path.startswith("/ws/"):
        names = unquote(address.path[4:]).split("/")
    else:
        return None
    return [name for name in names if name]


def stream_of(venue_symbol: str) -> str:
    """Return the trade stream of a symbol.

    >>> stream_of("BTCUSDT")
    'btcusdt@trade'
    """
    return f"{venue_symbol.lower()}@trade"


def trade_payload(row: Print, *, combined: bool, micros: bool) -> bytes:
    """Return a trade event as the venue sends it; times stay in the unit of the tape unless µs are asked for."""
    factor = 1000 if micros and row.time < 10**14 else 1
    kind = "" if row.kind is None else f',"X":"{row.kind}"'
    maker = "true" if row.buyer_is_maker else "false"
    event = (
        f'{{"e":"trade","E":{row.event_time * factor},"s":"{row.venue_symbol}","t":{row.trade_id},"p":"{row.price}",'
        f'"q":"{row.quantity}","T":{row.time * factor}{kind},"m":{maker},"M":true}}'
    )
    return (f'{{"stream":"{stream_of(row.venue_symbol)}","data":{event}}}' if combined else event).encode()


def shutdown_payload(event_time: int, *, combined: bool) -> bytes:
    """Return the event that announces the end of the connection."""
    event = f'{{"e":"serverShutdown","E":{event_time}}}'
    return (f'{{"stream":"!serverShutdown","data":{event}}}' if combined else event).encode()


def _is_id(number: Any) -> bool:
    if number is None:
        return True
    if isinstance(number, str):
        return number.isalnum() and len(number) <= 36
    return type(number) is int and -(1 << 63) <= number < 1 << 63


def _result(result: Any, number: Any) -> str:
    return msgspec.json.encode({"result": result, "id": number}).decode()


def _error(code: int, text: str, number: Any = None, *, bare: bool = False) -> str:
    told = {"code": code, "msg": text}
    return msgspec.json.encode(told if bare else told | {"id": number}).decode()

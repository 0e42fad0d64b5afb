"""Read Binance's frames and pages slowly and strictly, with the standard library only. Imports nothing of ours.

The rules, from RFC 8259 and the venue's documents: UTF-8 without a mark of byte order; no NaN, no Infinity, no lone
surrogate; of the names that tell a trade none twice in an object; ids are integers of 63 bits, numbers are decimals in
quotes without sign, of at most 24 digits on either side of the point and an exponent within 18; times are ms or µs
between 2016 and 2100; what comes on a stream of trades is a trade.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NamedTuple

FRAME_NAMES = frozenset(("stream", "data", "e", "s", "t", "p", "q", "T", "m", "X"))
ROW_NAMES = frozenset(("id", "price", "qty", "time", "isBuyerMaker"))
MS = (1_451_606_400_000, 4_102_444_800_000)
_MISSING = object()


class RefusedError(Exception):
    """These bytes are nothing that a careful reader takes."""


class Number(str):
    """A number as it is written."""

    __slots__ = ()


class Told(NamedTuple):
    """One trade as it is told; `void`: an id used up without one."""

    symbol: str
    trade_id: int
    ts_event: int
    price: float
    quantity: float
    side: int
    void: bool

    def possible(self, earliest_ns: int, latest_ns: int) -> bool:
        """Tell whether it can be a trade at all."""
        sizes = 0 < self.price < 1e18 and 0 < self.quantity < 1e18
        return sizes and earliest_ns <= self.ts_event <= latest_ns


def read_json(data: bytes, names: frozenset[str], *, errors: str = "strict") -> Any:
    """Return what the bytes say; numbers stay text."""
    try:
        text = data.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise RefusedError(str(error)) from None

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            told = [name for name, _ in pairs if name in names]
            # What the last of two equal names hides counts too.
            if len(told) != len(set(told)) or any(_twice(value) for _, value in pairs):
                found["\0twice"] = True
        return found

    reader = json.JSONDecoder(
        object_pairs_hook=once, parse_float=Number, parse_int=Number, parse_constant=_refuse, strict=True
    )
    try:
        value = reader.decode(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(str(error)) from None
    if "\\u" in text and errors == "strict":
        _check_text(value)
    return value


def _refuse(word: str) -> Any:
    raise RefusedError(word)


def _check_text(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise RefusedError(str(error)) from None


def _twice(value: Any) -> bool:
    if isinstance(value, dict):
        return "\0twice" in value or any(map(_twice, value.values()))
    return isinstance(value, list) and any(map(_twice, value))


def read_frame(frame: bytes, symbols: dict[str, str]) -> Told | None:
    """Return the trade of a frame, None if it holds none of these symbols. Raises RefusedError."""
    told = read_json(frame, FRAME_NAMES)
    if not isinstance(told, dict | list):
        raise RefusedError("neither an object nor an array")
    if _twice(told):
        raise RefusedError("a name twice")
    if isinstance(told, list):
        return None
    stream = told.get("stream")
    on_stream = isinstance(stream, str) and not isinstance(stream, Number) and stream.endswith("@trade")
    event = told.get("data", told)
    claims = isinstance(event, dict) and event.get("e") == "trade" and not isinstance(event["e"], Number)
    if not claims:
        if on_stream:
            raise RefusedError("no trade on a stream of trades")
        return None
    name = text(event.get("s"))
    if "data" in told and (not on_stream or stream != f"{name.lower()}@trade"):
        raise RefusedError("a trade under another name")
    if "data" not in told and on_stream:
        raise RefusedError("a stream without data")
    if name not in symbols:
        if name.upper() in symbols:
            raise RefusedError("a symbol in another case")
        return None
    return _trade(event, symbols[name])


def _trade(event: dict[str, Any], symbol: str) -> Told:
    number, price, size = integer(event.get("t"), 1 << 63), text(event.get("p")), text(event.get("q"))
    kind, maker = text(event.get("X", "MARKET")), event.get("m")
    if maker is not True and maker is not False:
        raise RefusedError("neither true nor false")
    price_value = decimal(price)
    void = kind != "MARKET" or price_value == 0
    at = nanoseconds(event.get("T"))
    return Told(symbol, number, at, float(price_value), float(decimal(size)), 1 - 2 * maker, void)


def read_page(body: bytes, symbol: str) -> list[Told | RefusedError]:
    """Return each row of a page as a trade or as the error it is. Raises RefusedError for what is no page."""
    rows = read_json(body, ROW_NAMES, errors="surrogateescape")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RefusedError("no array of objects")
    found: list[Told | RefusedError] = []
    for row in rows:
        try:
            found.append(_row(row, symbol))
        except RefusedError as error:
            found.append(error)
    return found


def _row(row: dict[str, Any], symbol: str) -> Told:
    if _twice(row):
        raise RefusedError("a name twice")
    _check_text(row)
    maker = row.get("isBuyerMaker")
    if maker is not True and maker is not False:
        raise RefusedError("neither true nor false")
    price, size = decimal(text(row.get("price"))), decimal(text(row.get("qty")))
    number, at = integer(row.get("id"), 1 << 63), nanoseconds(row.get("time"))
    return Told(symbol, number, at, float(price), float(size), 1 - 2 * maker, price == 0)


def text(value: Any) -> str:
    """Return a string that is one."""
    if not isinstance(value, str) or isinstance(value, Number):
        raise RefusedError("no text")
    return value


def integer(value: Any, end: int) -> int:
    """Return a JSON integer of [0, end)."""
    if not isinstance(value, Number) or len(value) > 20 or not value.removeprefix("-").isdecimal():
        raise RefusedError("no integer")
    if not 0 <= int(value) < end:
        raise RefusedError("beyond its limits")
    return int(value)


def nanoseconds(value: Any) -> int:
    """Return a time in ns."""
    told = integer(value, 1 << 63)
    for unit, ns in ((1, 1_000_000), (1000, 1000)):
        if MS[0] * unit <= told < MS[1] * unit:
            return told * ns
    raise RefusedError("no time")


def decimal(literal: str) -> Decimal:
    """Return a decimal literal's value."""
    mantissa, mark, exponent = literal.replace("E", "e").partition("e")
    whole, point, fraction = mantissa.partition(".")
    sized = 1 <= len(whole) <= 24 and (1 <= len(fraction) <= 24 if point else not fraction)
    power = exponent[1:] if exponent[:1] in {"+", "-"} else exponent
    powered = 1 <= len(power) <= 2 and int(power if set(power) <= set("0123456789") else 99) <= 18 if mark else True
    if not sized or not powered or not set(whole + fraction + power) <= set("0123456789"):
        raise RefusedError("no decimal")
    return Decimal(literal)

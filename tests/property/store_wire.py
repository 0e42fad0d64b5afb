"""Records of the small world: frames and pages as the venue sends them, each with what it says in the model's words.

Trades follow from their number; variants of a copy are those a venue has been seen to give. Writing them into lanes is
store_world.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from tests.property.store_model import Copy, Told
from tests.support.builders.platform_in_process import MIDNIGHT, SYMBOLS, S
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind

Variant = Literal["plain", "fine", "odd", "late", "void", "refused"]
VARIANTS: tuple[Variant, ...] = ("plain", "fine", "odd", "late", "void", "refused")
"""As usual; in µs; another price; another time; used up without a trade; a time before any history."""

NAMES = {symbol: name for name, symbol in SYMBOLS.items()}
Item = tuple[int, Variant]


class Draft(NamedTuple):
    """A record that is not written yet."""

    kind: Kind
    connection: int
    frames: list[bytes]
    told: Told


def ts_event(number: int, variant: Variant) -> int:
    """Return when the trade of that id happened, ns: ids from 100 on are of the next day."""
    at = MIDNIGHT + (number - 100) * S + 250_000_000
    if variant == "refused":
        return 1_500_000_000 * S
    return at + {"fine": 123_000, "late": 40_000_000}.get(variant, 0)


def _fields(number: int, variant: Variant) -> tuple[str, str, int, bool]:
    """Return price, quantity, time and whether the buyer was the maker, as the venue prints them."""
    price = "0" if variant == "void" else f"{60000 + number + (variant == 'odd')}.5"
    at = ts_event(number, variant)
    return price, "0.25", at // 1000 if variant == "fine" else at // 10**6, number % 2 == 0


def frame(symbol: str, number: int, variant: Variant) -> bytes:
    """Return a trade as the stream sends it."""
    price, quantity, at, maker = _fields(number, variant)
    name = NAMES[symbol]
    data = {"e": "trade", "E": at, "s": name, "t": number, "p": price, "q": quantity, "T": at, "m": maker, "M": True}
    return json.dumps({"stream": f"{name.lower()}@trade", "data": data}, separators=(",", ":")).encode()


def page_body(items: Sequence[Item]) -> bytes:
    """Return trades as a page of REST."""
    listed = []
    for number, variant in items:
        price, quantity, at, maker = _fields(number, variant)
        listed.append({"id": number, "price": price, "qty": quantity, "time": at, "isBuyerMaker": maker})
    return json.dumps(listed).encode()


def _told(kind: Kind, connection: int, frames: list[bytes], ts_recv: int, **says: object) -> Draft:
    told = Told((0, 0), ts_recv, (int(kind), connection, tuple(frames)), **says)  # type: ignore[arg-type]
    return Draft(kind, connection, frames, told)


def _trades(symbol: str, items: Sequence[Item], ts_recv: int, source: str) -> dict[str, object]:
    copies, voids, refused = [], [], []
    for number, variant in items:
        if variant == "void":
            voids.append((symbol, number))
        elif variant == "refused":
            refused.append((symbol, number, source))
        else:
            price, quantity, _, maker = _fields(number, variant)
            side = "sell" if maker else "buy"
            terms = (float(price), float(quantity), side)
            copies.append((symbol, Copy(number, ts_event(number, variant), ts_recv, source, *terms)))
    return {"copies": tuple(copies), "voids": tuple(voids), "refused": tuple(refused)}


def run(symbol: str, items: Sequence[Item], connection: int, ts_recv: int) -> Draft:
    """Return a receive run of a stream."""
    frames = [frame(symbol, *item) for item in items]
    says = _trades(symbol, items, ts_recv, "ws")
    return _told(Kind.FRAMES, connection, frames, ts_recv, tails=((symbol, "live"),), **says)


def page(symbol: str, items: Sequence[Item], ts_recv: int, *, from_id: int | None, source: str = "rest") -> Draft:
    """Return a page: asked for from an id on, or the newest (`from_id` None)."""
    items = sorted(items)
    says = _trades(symbol, items, ts_recv, source)
    if from_id is None:
        head = control.PageHeader("binance", "head", symbol, source=source)  # type: ignore[arg-type]
        says["tails"] = ((symbol, "closed"),)
    else:
        head = control.PageHeader("binance", "trades", symbol, from_id, source=source)  # type: ignore[arg-type]
        ids = [number for number, _ in items]
        says["skips"] = tuple((symbol, a + 1, b - 1) for a, b in pairwise(ids) if b - a > 1)
    return _told(Kind.PAGE, 0, [control.encode_page(head), page_body(items)], ts_recv, **says)


def started(ts_recv: int) -> Draft:
    """Return the first record of a recorder."""
    fact = control.Started("binance", SYMBOLS)
    return _fact(fact, ts_recv, tails=tuple((symbol, "open") for symbol in NAMES))


def connected(connection: int, ts_recv: int) -> Draft:
    """Return the subscription of a connection to both symbols."""
    return _fact(control.Connected("binance", connection, SYMBOLS), ts_recv)


def disconnected(connection: int, ts_recv: int, *, last: bool) -> Draft:
    """Return the end of a connection, the lane's last one or not."""
    tails = tuple((symbol, "open") for symbol in NAMES) if last else ()
    return _fact(control.Disconnected(connection, "test"), ts_recv, tails=tails)


def lost(symbol: str, ts_recv: int) -> Draft:
    """Return the fact that nobody listened."""
    return _fact(control.LostRecord("binance", [symbol]), ts_recv, tails=((symbol, "open"),))


def declared(symbol: str, first: int, last: int, ts_recv: int) -> Draft:
    """Return the fact that a person gave ids up."""
    return _fact(control.Declared("binance", symbol, first, last, "test"), ts_recv, lost=((symbol, first, last),))


def undertaken(symbol: str, from_id: int, ts_recv: int) -> Draft:
    """Return a promise to hold all from an id on."""
    return _fact(control.Undertaken("binance", symbol, from_id), ts_recv, undertaken=((symbol, from_id),))


def _fact(fact: control.Control, ts_recv: int, **says: object) -> Draft:
    return _told(Kind.CONTROL, 0, [control.encode_control(fact)], ts_recv, **says)

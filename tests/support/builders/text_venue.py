"""A venue whose trade ids are text without an order, as small as can be: a frame is a JSON list of trades.

Spot symbols have ids that only the channel knows, perpetuals such that all channels know: the two ways by which
`trade_uid` comes to be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trading_platform.domain.errors import FrameError
from trading_platform.domain.trades.sequencing import Opaque
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues.adapter import StatelessDecoder
from trading_platform.venues.history import Asked, Page

NAME = "texts"


class Print(NamedTuple):
    """A trade as the venue tells it."""

    id: str
    ns: int
    price: str = "100.5"
    quantity: str = "0.1"
    side: str = "buy"


class TextHistory:
    """What decoding asks of a history, no more."""

    def read(self, body: bytes, symbol: str, asked: Asked | None = None) -> Page:
        """Return the trades of a page."""
        del asked
        return Page.of([_trade(symbol, row) for row in json.loads(body)["rows"]])


class TextArchive:
    """What decoding asks of an archive, no more."""

    row_form = None

    def read_row(self, row: bytes, symbol: str) -> Trade:
        """Return the trade of a row."""
        return _trade(symbol, json.loads(row))


class TextVenue:
    """What decoding asks of an adapter, no more."""

    name = NAME
    sequencing = Opaque()
    trade_frame = None
    history = TextHistory()
    archive = TextArchive()

    def decoder(self, symbols: Mapping[str, str], state: bytes = b"") -> StatelessDecoder:
        """Return what reads the frames of one connection."""
        del state
        return StatelessDecoder(_frame, symbols)

    def peek(self, frame: bytes) -> tuple[str, int] | None:
        """Return nothing."""
        del frame


def _frame(frame: bytes, symbols: Mapping[str, str]) -> list[Trade]:
    told = json.loads(frame)
    symbol = symbols[told["s"]]
    return [_trade(symbol, row) for row in told["rows"]]


def _trade(symbol: str, row: Sequence[Any]) -> Trade:
    told = Print(*row)
    if told.side not in ("buy", "sell"):
        raise FrameError("shape", "no side")
    uid, channel = (told.id, None) if symbol.endswith("-PERP") else (None, told.id)
    return Trade(symbol, None, told.ns, told.price, told.quantity, told.side, None, uid, channel)  # type: ignore[arg-type]


def frame(symbol: str, *rows: Print) -> bytes:
    """Return a frame, or the body of a page, of these trades."""
    return json.dumps({"s": symbol, "rows": rows}).encode()

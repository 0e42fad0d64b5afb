"""One print of a venue, as decoded and checked, before it is stored.

Prices stay the venue's own literal until the processor turns them into numbers.
How bytes become a Trade is venues/; how it is stored is store/lake/schema.py.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Side = Literal["buy", "sell"]
Source = Literal["ws", "rest", "archive"]

SOURCES: tuple[Source, ...] = ("ws", "rest", "archive")
"""Channels in order of preference among copies received at the same instant."""


class Trade(NamedTuple):
    """A trade, or the record of an id that the venue used up without one.

    Attributes
    ----------
    symbol : canonical name, ``BTC-USDT``.
    trade_id : the venue's id, None where ids are not integers that prove something.
    ts_event : exchange trade time, ns since the epoch, UTC.
    price, quantity : checked decimal literals (domain/decimals.py).
    side : the taker's side, None where unknown.
    void : why this id holds no order-book trade, None for a real one.
    trade_uid : the venue's text id, where all its channels name a trade by the same one.
    channel_id : the text id of a trade that only some channels name: it tells repeats of one trade from equal trades
        of one delivery. Its `trade_uid` is then made of its payload (ingest/decoder/payload_ids.py).
    """

    symbol: str
    trade_id: int | None
    ts_event: int
    price: str
    quantity: str
    side: Side | None
    void: str | None = None
    trade_uid: str | None = None
    channel_id: str | None = None

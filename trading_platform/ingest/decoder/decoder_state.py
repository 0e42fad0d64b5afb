"""What a decoder remembers from batch to batch and from process to process. Plain values; decoder.py uses them."""

from __future__ import annotations

import msgspec

from trading_platform.completeness.lane_clock import TailClock
from trading_platform.completeness.sequence_reset import Numbering
from trading_platform.ingest.decoder.payload_ids import EqualTrades


class Connection(msgspec.Struct, omit_defaults=True):
    """What a connection carries: the venue's spelling -> canonical name.

    `state`: what the venue's frames so far mean to those that follow.
    `heard`: when the first trade of a symbol came, by canonical name; only of symbols whose ids prove nothing.
    """

    venue: str
    symbols: dict[str, str]
    state: bytes = b""
    heard: dict[str, int] = {}


class ListingProgress(msgspec.Struct):
    """A venue's own listing of a day while it is read: how many of its trades are stored, and their names so far."""

    stored: int = 0
    equals: EqualTrades = msgspec.field(default_factory=EqualTrades)


class DecoderContext(msgspec.Struct):
    """All of it: connections by number, what streams have shown of ids by symbol, and the order of what was told.

    `equals`: of symbols whose trades are named by what they say, what the lane's streams have shown of late.
    `readings`: the listings that are being read, by ``venue symbol day``.
    """

    connections: dict[int, Connection] = {}
    numberings: dict[str, Numbering] = {}
    clock: TailClock = msgspec.field(default_factory=TailClock)
    equals: dict[str, EqualTrades] = {}
    readings: dict[str, ListingProgress] = {}

"""The usual form of a venue's trade frames, byte by byte: an option of an adapter, for reading many at a time.

The reading is ingest/decoder/trade_scanner.py. A venue without one is read frame by frame, with the same result.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Field = Literal["stream_symbol", "symbol", "id", "price", "quantity", "time", "buyer_is_maker", "integer", "bool"]
"""What stands at a place of a TradeFrame. `stream_symbol`: the symbol in lower case; `integer`, `bool`: anything."""


class TradeFrame(NamedTuple):
    """The form that a venue's trade frames usually have, for who reads many at a time.

    Whatever is not exactly so is for the StreamDecoder, and whatever is must mean the same to it.

    Attributes
    ----------
    parts : literals and fields in turn, from the first byte to the last.
    times : units of `time` by magnitude: first, end, ns in one.
    """

    parts: tuple[bytes | Field, ...]
    times: tuple[tuple[int, int, int], ...]

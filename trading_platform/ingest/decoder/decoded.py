"""What decoding a stretch of a lane gives: trades, ledger facts, listings. Decoding itself is decoder.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from trading_platform.completeness.records import Batch, SequenceKey
from trading_platform.domain.instrument import Instrument
from trading_platform.domain.trades.trade_columns import TradeColumns


class Listing(NamedTuple):
    """A venue's answer to what it lists, and when it came (ns)."""

    venue: str
    ts_recv: int
    instruments: Sequence[Instrument]


@dataclass
class Decoded:
    """What a stretch of a lane holds: `trades` for the sinks, `batch` for the ledger, `listings` as they came."""

    batch: Batch
    trades: dict[SequenceKey, TradeColumns]
    listings: Sequence[Listing] = ()

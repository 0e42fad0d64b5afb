"""What keeps decoded trades: the promise of a sink. Staging is the first one (staging_sink.py).

Feeding one that may lag is sink_follower.py; how far each has come is store/ledger/sinks.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from trading_platform.completeness.records import SequenceKey
from trading_platform.domain.position import Position
from trading_platform.domain.trades.trade_columns import TradeColumns


class Sink(Protocol):
    """Takes the trades of one lane in the order of its log, and says up to where it holds them durably.

    The position that `flush` returns is all that is remembered. After a crash, a failure or a restart `write` is
    repeated from there, in batches that may be cut otherwise: writing a trade again must change nothing. A sink whose
    writes are idempotent so holds every trade exactly once. The raw log is kept until every sink holds it.

    Attributes
    ----------
    name : under which the ledger keeps its positions; one name, one place where the trades go.
    """

    name: str

    def write(self, columns: Mapping[SequenceKey, TradeColumns], position: Position) -> None:
        """Take the trades that lie between the position of the last call and this one; none, for a quiet stretch."""

    def flush(self) -> Position:
        """Make durable what can be, and return up to where everything is: the position of a `write`, or the first."""

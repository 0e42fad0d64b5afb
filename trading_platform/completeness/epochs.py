"""Give the trades of a batch their epochs: those of a stream by what its lane has shown, pages by what is on record.

The rule itself is sequence_reset.py; bytes are ingest/decoder/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from trading_platform.completeness.records import Reach, SequenceKey, Turn
from trading_platform.completeness.sequence_reset import (
    AHEAD,
    SUSPECT,
    Numbering,
    Suspect,
    contradicts,
    epoch_of,
    extended,
)
from trading_platform.domain.position import Position
from trading_platform.domain.trade import SOURCES
from trading_platform.domain.trade_columns import TradeColumns, concatenate

Pair = tuple[str, str]
"""(venue, symbol)."""


class Book(Protocol):
    """What is on record of numberings; the ledger."""

    def turns(self, venue: str, symbol: str) -> list[Turn]:
        """Return where a symbol's ids started again, ascending."""
        ...

    def reach(self, venue: str, symbol: str, epoch: int = 0) -> Reach | None:
        """Return how far a sequence reaches, None if nothing of it is held."""
        ...

    def holds(self, venue: str, symbol: str, epoch: int, trade_id: int) -> bool:
        """Tell whether a trade is stored."""
        ...


class EpochBatches(NamedTuple):
    """A stretch of a symbol's stream, sorted by epochs.

    Attributes
    ----------
    trades : by sequence, readmitted ones among them.
    apart : rows of the stretch that were set apart.
    readmitted : where in the lane the readmitted ones lie.
    turns : by the sequence that begins.
    """

    trades: dict[SequenceKey, TradeColumns]
    apart: list[int]
    readmitted: list[tuple[Position, int]]
    turns: dict[SequenceKey, Turn]


class PageScope(NamedTuple):
    """In the light of what a page is understood.

    Attributes
    ----------
    turns : how many of its symbol's turns were on record; None: those known by the time when it came.
    asked : the ids (epoch, first, last) that were asked for; None: not any by their numbers.
    """

    ts_recv: int
    turns: int | None = None
    asked: tuple[int, int, int] | None = None


class Epochs:
    """The numberings of one lane, for one batch.

    Parameters
    ----------
    numberings : what the lane's streams have shown, by ``venue symbol``; changed in place, part of its context.
    book : asked once a batch for each symbol that needs it; None: nothing is on record.
    """

    def __init__(self, numberings: dict[str, Numbering], book: Book | None) -> None:
        self._numberings, self._book = numberings, book
        self._turns: dict[Pair, list[Turn]] = {}
        self._reach: dict[SequenceKey, Reach | None] = {}

    def of_stream(self, venue: str, symbol: str) -> Numbering:
        """Return what judges a symbol's stream."""
        name = f"{venue} {symbol}"
        if name not in self._numberings:
            turns = self._on_record(venue, symbol)
            self._numberings[name] = Numbering.after(turns, self._reach_of(SequenceKey(venue, symbol, len(turns))))
        return self._numberings[name]

    def place(self, venue: str, symbol: str, stream: TradeColumns) -> EpochBatches:
        """Judge the next trades of a symbol's stream."""
        numbering = self.of_stream(venue, symbol)
        judged = numbering.judge(stream)
        if judged.epochs is None:
            return EpochBatches({SequenceKey(venue, symbol, numbering.epoch): stream}, [], [], {})
        placed = EpochBatches({}, np.flatnonzero(judged.epochs == SUSPECT).tolist(), [], {})
        for epoch in np.unique(judged.epochs).tolist():
            if epoch != SUSPECT:
                placed.trades[SequenceKey(venue, symbol, epoch)] = stream.rows(judged.epochs == epoch)
        for epoch, suspect in judged.readmitted:
            key = SequenceKey(venue, symbol, epoch)
            parts = [_as_columns(suspect), *([placed.trades[key]] if key in placed.trades else [])]
            placed.trades[key] = concatenate(parts)
            placed.readmitted.append((Position(suspect.segment, suspect.offset), suspect.item))
        placed.turns.update((SequenceKey(venue, symbol, epoch), turn) for epoch, turn in judged.turns)
        return placed

    def locate(self, venue: str, symbol: str, places: Mapping[int, tuple[Position, int]]) -> None:
        """Say where in the lane (position, item) the rows that were just set apart lie."""
        told = {row: (*position, item) for row, (position, item) in places.items()}
        self.of_stream(venue, symbol).locate(told)

    def newest(self, venue: str, symbol: str, at_ns: int, turns: int | None = None) -> int:
        """Return the epoch that a symbol is in, as far as that was known at a receive time (`turns`: see PageScope)."""
        numbering = self._numberings.get(f"{venue} {symbol}")
        return len(self._known(venue, symbol, at_ns, turns)) if numbering is None else numbering.epoch

    def of_page(self, venue: str, symbol: str, trade_id: int, ts_event: int, page: PageScope) -> int:
        """Return the epoch of a page's trade, SUSPECT if it contradicts what is held; it counts from now."""
        epoch = epoch_of(self._known(venue, symbol, page.ts_recv, page.turns), trade_id, ts_event)
        key = SequenceKey(venue, symbol, epoch)
        reach = self._reach_of(key)
        if reach is not None and contradicts(reach, trade_id, ts_event, asked=_was_asked(page, epoch, trade_id)):
            # Another copy of what is held is a contradiction for the merge to tell; it says nothing of its neighbours.
            return epoch if self._holds(key, trade_id) else SUSPECT
        self._reach[key] = extended(reach, trade_id, ts_event)
        return epoch

    def is_stray(self, key: SequenceKey, trade_id: int) -> bool:
        """Tell whether an id whose trade could not be read lies too far ahead to be believed."""
        reach = self._reach_of(key)
        return reach is not None and trade_id - reach.head > AHEAD

    def _known(self, venue: str, symbol: str, at_ns: int, turns: int | None) -> list[Turn]:
        on_record = self._on_record(venue, symbol)
        if turns is not None:
            return on_record[:turns]
        return [turn for turn in on_record if turn.known_ns <= at_ns]

    def _on_record(self, venue: str, symbol: str) -> list[Turn]:
        if (venue, symbol) not in self._turns:
            self._turns[venue, symbol] = [] if self._book is None else self._book.turns(venue, symbol)
        return self._turns[venue, symbol]

    def _reach_of(self, key: SequenceKey) -> Reach | None:
        if key not in self._reach:
            self._reach[key] = None if self._book is None else self._book.reach(*key)
        return self._reach[key]

    def _holds(self, key: SequenceKey, trade_id: int) -> bool:
        return self._book is not None and self._book.holds(*key, trade_id)


def _was_asked(page: PageScope, epoch: int, trade_id: int) -> bool:
    return page.asked is not None and page.asked[0] == epoch and page.asked[1] <= trade_id <= page.asked[2]


def _as_columns(suspect: Suspect) -> TradeColumns:
    return TradeColumns(
        np.array([suspect.trade_id], np.int64),
        np.array([suspect.ts_event], np.int64),
        np.array([suspect.ts_recv], np.int64),
        np.array([suspect.price], np.float64),
        np.array([suspect.quantity], np.float64),
        np.array([suspect.side], np.int8),
        np.array([SOURCES.index("ws")], np.int8),
    )

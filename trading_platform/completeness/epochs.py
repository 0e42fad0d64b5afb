"""Assign each trade of a decoded batch its epoch: an epoch is a period in which a venue's ids are one rising numbering.

Stream trades are judged by what their lane has shown so far, REST pages by what the ledger records. The rule itself is
sequence_reset.py; decoding bytes is ingest/decoder/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from trading_platform.completeness.records import EpochReset, Reach, SequenceKey
from trading_platform.completeness.sequence_reset import (
    SUSPECT,
    Numbering,
    Suspect,
    contradicts,
    epoch_of,
    extended,
    is_later,
)
from trading_platform.domain.position import Position
from trading_platform.domain.trades.sequencing import Contiguous
from trading_platform.domain.trades.trade import SOURCES
from trading_platform.domain.trades.trade_columns import TradeColumns, concatenate

Int64 = npt.NDArray[np.int64]
Pair = tuple[str, str]
"""(venue, symbol)."""


class EpochLookup(Protocol):
    """Look up recorded epochs and stored trades; implemented by the ledger."""

    def all_resets(self) -> Mapping[Pair, list[EpochReset]]:
        """Return where ids restarted, ascending, of each symbol of which they did."""
        ...

    def reach(self, venue: str, symbol: str, epoch: int = 0) -> Reach | None:
        """Return the reach of a sequence, None if no trade of it is stored."""
        ...

    def holds(self, venue: str, symbol: str, epoch: int, trade_id: int) -> bool:
        """Tell whether a trade is stored."""
        ...


class EpochBatches(NamedTuple):
    """Some consecutive trades of a symbol's stream, grouped by epoch.

    Attributes
    ----------
    trades : by sequence, readmitted ones included.
    suspects : rows that were set aside as suspect.
    readmitted : positions in the lane of trades that were suspect and are now accepted.
    resets : epoch resets by the sequence that begins.
    """

    trades: dict[SequenceKey, TradeColumns]
    suspects: list[int]
    readmitted: list[tuple[Position, int]]
    resets: dict[SequenceKey, EpochReset]


class PageScope(NamedTuple):
    """The context in which a REST page is interpreted.

    Attributes
    ----------
    resets : how many of the symbol's epoch resets were recorded then; None: those known when the page was received.
    asked : the requested ids (epoch, first, last); None: it was not requested by ids.
    """

    ts_recv: int
    resets: int | None = None
    asked: tuple[int, int, int] | None = None


class Epochs:
    """The epochs of one lane's symbols, for one batch.

    Parameters
    ----------
    numberings : the state of each of the lane's streams, by ``venue symbol``; updated in place, part of its context.
    book : the ledger, asked once a batch for all resets, and at most once for each symbol's reach; None:
        nothing is recorded.
    facts : asked by venue: how its ids start again.
    """

    def __init__(
        self, numberings: dict[str, Numbering], book: EpochLookup | None, facts: Callable[[str], Contiguous]
    ) -> None:
        self._numberings, self._book, self._facts = numberings, book, facts
        self._resets: Mapping[Pair, list[EpochReset]] | None = None
        self._reach: dict[SequenceKey, Reach | None] = {}

    def of_stream(self, venue: str, symbol: str) -> Numbering:
        """Return the numbering state of a symbol's stream."""
        name = f"{venue} {symbol}"
        if name not in self._numberings:
            resets = self._on_record(venue, symbol)
            self._numberings[name] = Numbering.after(resets, self._reach_of(SequenceKey(venue, symbol, len(resets))))
        return self._numberings[name]

    def place(self, venue: str, symbol: str, stream: TradeColumns) -> EpochBatches:
        """Assign epochs to the next trades of a symbol's stream."""
        numbering = self.of_stream(venue, symbol)
        judged = numbering.judge(stream, self._facts(venue))
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
        placed.resets.update((SequenceKey(venue, symbol, epoch), reset) for epoch, reset in judged.resets)
        return placed

    def locate(self, venue: str, symbol: str, places: Mapping[int, tuple[Position, int]]) -> None:
        """Record the lane position (position, item) of the rows that were just set aside."""
        told = {row: (*position, item) for row, (position, item) in places.items()}
        self.of_stream(venue, symbol).locate(told)

    def believes(self, venue: str, symbol: str, trade_id: int, ts_event: int) -> int:
        """Return the epoch of an id that a stream says was used up, SUSPECT if it contradicts."""
        return self.of_stream(venue, symbol).believes(trade_id, ts_event, self._facts(venue))

    def newest(self, venue: str, symbol: str, at_ns: int, resets: int | None = None) -> int:
        """Return the epoch of a symbol as known at a receive time (`resets`: see PageScope)."""
        numbering = self._numberings.get(f"{venue} {symbol}")
        return len(self._known(venue, symbol, at_ns, resets)) if numbering is None else numbering.epoch

    def of_page(self, venue: str, symbol: str, trade_id: int, ts_event: int, page: PageScope) -> int:
        """Return the epoch of a page's trade, SUSPECT if it contradicts stored trades; note the trade."""
        epoch = epoch_of(self._known(venue, symbol, page.ts_recv, page.resets), trade_id, ts_event)
        key = SequenceKey(venue, symbol, epoch)
        reach, asked = self._reach_of(key), _was_asked(page, epoch, trade_id)
        if reach is not None and contradicts(reach, trade_id, ts_event, self._facts(venue), asked=asked):
            # A copy of a stored trade may differ: the merge detects that. It proves nothing about its neighbours.
            return epoch if self._holds(key, trade_id) else SUSPECT
        self._reach[key] = extended(reach, trade_id, ts_event)
        return epoch

    def of_rows(self, venue: str, symbol: str, ids: Int64, times: Int64, page: PageScope) -> int | None:
        """Return the one epoch of all of these trades (ids and times), and count them from now on.

        None if they must be judged one by one by `of_page`: they lie around a reset, or something may contradict what
        is held. So this may hesitate, but never answers what `of_page` would answer otherwise.
        """
        resets = self._known(venue, symbol, page.ts_recv, page.resets)
        first_ns, last_ns = int(times.min()), int(times.max())
        epoch = len([reset for reset in resets if is_later(first_ns, reset.begins_ns)])
        if epoch < len(resets) and not is_later(resets[epoch].ended_ns, last_ns):
            return None
        key = SequenceKey(venue, symbol, epoch)
        first, last = int(ids.min()), int(ids.max())
        reach = self._reach_of(key)
        steps, facts = np.diff(ids), self._facts(venue)
        if not bool((steps > 0).all()) or int(steps.max(initial=0)) > facts.reset_ahead:
            return None
        asked = _were_asked(page, epoch, first, last)
        if reach is not None and not _within(reach, ids, times, facts, asked=asked):
            return None
        self._reach[key] = extended(extended(reach, first, first_ns), last, last_ns)
        return epoch

    def is_stray(self, key: SequenceKey, trade_id: int) -> bool:
        """Tell whether an id whose trade was unreadable lies implausibly far ahead."""
        reach = self._reach_of(key)
        return reach is not None and trade_id - reach.head > self._facts(key.venue).stray_ahead

    def _known(self, venue: str, symbol: str, at_ns: int, resets: int | None) -> list[EpochReset]:
        on_record = self._on_record(venue, symbol)
        if resets is not None:
            return on_record[:resets]
        return [reset for reset in on_record if reset.known_ns <= at_ns]

    def _on_record(self, venue: str, symbol: str) -> list[EpochReset]:
        if self._resets is None:
            # All at once: few symbols have any, and a stop tells of the ends of 500.
            self._resets = {} if self._book is None else self._book.all_resets()
        return self._resets.get((venue, symbol), [])

    def _reach_of(self, key: SequenceKey) -> Reach | None:
        if key not in self._reach:
            self._reach[key] = None if self._book is None else self._book.reach(*key)
        return self._reach[key]

    def _holds(self, key: SequenceKey, trade_id: int) -> bool:
        return self._book is not None and self._book.holds(*key, trade_id)


def _was_asked(page: PageScope, epoch: int, trade_id: int) -> bool:
    return page.asked is not None and page.asked[0] == epoch and page.asked[1] <= trade_id <= page.asked[2]


def _were_asked(page: PageScope, epoch: int, first: int, last: int) -> bool:
    return _was_asked(page, epoch, first) and _was_asked(page, epoch, last)


def _within(reach: Reach, ids: Int64, times: Int64, facts: Contiguous, *, asked: bool) -> bool:
    """Tell whether no trade, of ids that rise in small steps, can contradict a reach, however it grows by them."""
    before, among = ids < reach.from_id, (ids >= reach.from_id) & (ids < reach.head)
    if before.any() and is_later(int(times[before].max()), reach.last_ns if asked else reach.first_ns):
        return False
    if among.any() and is_later(int(times[among].max()), reach.last_ns, facts.disorder_ms):
        return False
    return int(ids[0]) - reach.head <= facts.reset_ahead


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

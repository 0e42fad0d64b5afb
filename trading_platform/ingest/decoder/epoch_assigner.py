"""Give the trades of a batch their epochs, once all of it has been read: only then is a stream's next epoch confirmed.

The rule by which an epoch begins is completeness/sequence_reset.py. Trades of pages have their epochs already: theirs
follow from what is on record (page_decoder.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from trading_platform.completeness.epochs import Epochs
from trading_platform.completeness.records import SequenceKey
from trading_platform.completeness.sequence_reset import SUSPECT
from trading_platform.domain.errors import FrameError
from trading_platform.domain.trades.trade_columns import TradeColumns, concatenate
from trading_platform.ingest.decoder.batch_facts import BatchOutput
from trading_platform.ingest.decoder.frame_decoder import FrameDecoder, StreamVoid
from trading_platform.ingest.decoder.page_claims import raw_of
from trading_platform.ingest.decoder.trade_buffer import UNASSIGNED


class EpochAssigner:
    """Assigns the epochs of one batch."""

    def __init__(self, epochs: Epochs, frames: FrameDecoder, output: BatchOutput) -> None:
        self._epochs, self._frames, self._output = epochs, frames, output

    def assign(self) -> dict[SequenceKey, TradeColumns]:
        """Return the batch's trades by sequence; tell what else depended on the epochs."""
        found: dict[SequenceKey, list[TradeColumns]] = {}
        for key, trades in self._output.trades.by_key().items():
            placed = self._of_stream(key, trades) if key.epoch == UNASSIGNED else {key: trades}
            for each, part in placed.items():
                found.setdefault(each, []).append(part)
        for void in self._frames.voids():
            self._void(void)
        self._output.facts.assign_tails(self._epochs.newest)
        return {key: concatenate(parts) for key, parts in found.items()}

    def _of_stream(self, key: SequenceKey, stream: TradeColumns) -> Mapping[SequenceKey, TradeColumns]:
        placed = self._epochs.place(key.venue, key.symbol, stream)
        if placed.suspects:
            self._set_aside(key, stream, placed.suspects)
        self._output.facts.readmitted(placed.readmitted)
        self._output.facts.epoch_resets(placed.resets)
        return placed.trades

    def _set_aside(self, key: SequenceKey, stream: TradeColumns, rows: list[int]) -> None:
        """Quarantine trades whose ids contradict their times, and remember where they lie."""
        found = self._frames.find(key, stream, rows)
        places = {row: (origin.record.position, origin.item) for row, (origin, _) in found.items()}
        # What is not stored needs no word on its digits: a place has one row in the quarantine.
        self._output.quarantine.withdraw(set(places.values()))
        for row, (origin, frame) in found.items():
            number = int(stream.trade_id[row])
            told = f"id {number} traded at {stream.ts_event[row]} contradicts the ids before it"
            self._output.quarantine.refuse(origin, key.symbol, number, FrameError("numbering", told), frame)
        self._epochs.locate(key.venue, key.symbol, places)

    def _void(self, void: StreamVoid) -> None:
        """Tell the epoch of an id that a stream says was used up; refuse it if it contradicts."""
        origin, trade, frame = void
        assert trade.trade_id is not None
        epoch = self._epochs.believes(origin.venue, trade.symbol, trade.trade_id, trade.ts_event)
        if epoch != SUSPECT:
            key = SequenceKey(origin.venue, trade.symbol, epoch)
            self._output.facts.void(key, trade, origin.record.ts_recv)
            return
        told = f"id {trade.trade_id} traded at {trade.ts_event} contradicts what is held"
        error = FrameError("numbering", told)
        self._output.quarantine.refuse(origin, trade.symbol, trade.trade_id, error, raw_of(trade, frame))

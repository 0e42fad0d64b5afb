"""Turn records of a lane into trades as columns and facts for the ledger. Deterministic: no clock, no I/O.

This is the entry. Each kind of record has its part: stream frames go to frame_decoder.py, answers of REST endpoints and
archives to page_decoder.py, control records to control_reader.py. All of them write to one BatchOutput: trades
(trade_buffer.py), facts (batch_facts.py), refused things (quarantine.py). At the end epoch_assigner.py tells to which
numbering of its ids each trade belongs.

The decoder's only memory from batch to batch is decoder_state.py; it goes through `context` from process to process.
Wire formats are venues/, what the facts prove is completeness/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from trading_platform.completeness.epochs import EpochLookup, Epochs
from trading_platform.domain.position import Position
from trading_platform.ingest.decoder.batch_facts import BatchFacts, BatchOutput
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.control_reader import ControlReader
from trading_platform.ingest.decoder.decoded import Decoded
from trading_platform.ingest.decoder.decoder_state import DecoderContext
from trading_platform.ingest.decoder.epoch_assigner import EpochAssigner
from trading_platform.ingest.decoder.frame_decoder import FrameDecoder
from trading_platform.ingest.decoder.page_decoder import PageDecoder
from trading_platform.ingest.decoder.quarantine import Quarantine, unpacked
from trading_platform.ingest.decoder.trade_buffer import TradeBuffer
from trading_platform.ingest.decoder.venue_readers import SCAN_AFTER, VenueReaders
from trading_platform.store.log.writer import Kind, PackedRecord, Record
from trading_platform.venues.adapter import VenueAdapter

__all__ = ["SCAN_AFTER", "Decoder"]


class Decoder:
    """Decodes one lane from where `context` was taken.

    Parameters
    ----------
    venues : adapters by venue.
    context : what `context()` returned at the position where decoding goes on; empty at a lane's start.
    book : what is on record of the venues' numberings; None: nothing, so all is of the first.
    scan_after : see SCAN_AFTER.
    """

    def __init__(
        self,
        lane: str,
        venues: Mapping[str, VenueAdapter],
        bounds: Bounds,
        context: str = "",
        *,
        book: EpochLookup | None = None,
        scan_after: int = SCAN_AFTER,
    ) -> None:
        self._lane, self._bounds, self._book = lane, bounds, book
        self._context = msgspec.json.decode(context, type=DecoderContext) if context else DecoderContext()
        self._readers = VenueReaders(lane, venues, bounds, scan_after)

    def context(self) -> str:
        """Return the decoder's memory as text."""
        return msgspec.json.encode(self._context).decode()

    def decode(self, records: Iterable[Record | PackedRecord], start: Position, end: Position) -> Decoded:
        """Decode the records of [start, end). What cannot be read is quarantined, it never raises.

        Raises
        ------
        UsageError : if the lane tells of a venue or a channel that is not known here.
        """
        output = BatchOutput(TradeBuffer(), BatchFacts(), Quarantine())
        epochs = Epochs(self._context.numberings, self._book, self._readers.id_facts)
        frames = FrameDecoder(self._context, self._readers, self._bounds, output)
        pages = PageDecoder(self._context, epochs, self._readers, self._bounds, output)
        controls = ControlReader(self._context, self._readers, output)
        for record in records:
            if record.kind == Kind.FRAMES:
                frames.decode(record)
                continue
            frames.tell_alive()
            if record.kind == Kind.PAGE:
                pages.decode(unpacked(record))
            else:
                controls.read(unpacked(record))
        frames.tell_alive()
        trades = EpochAssigner(epochs, frames, output).assign()
        frames.keep_states()
        output.facts.traded(trades)
        batch = output.facts.batch(self._lane, start, end, output.quarantine.entries())
        return Decoded(batch, trades, output.facts.listings())

"""What one batch tells the ledger beside the trades: ids used up, lost or not served, ends of sequences, bans.

Here the facts are only collected, by sequence. What they prove is completeness/; how they are read from control
records, pages and frames is for the other parts of the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from trading_platform.completeness.records import (
    Batch,
    Claim,
    EpochReset,
    ListedDay,
    Quarantined,
    Seen,
    SequenceKey,
    Tail,
    TailEvent,
)
from trading_platform.domain.position import Position
from trading_platform.domain.trades.trade import Trade
from trading_platform.domain.trades.trade_columns import TradeColumns
from trading_platform.ingest.decoder.decoded import Listing
from trading_platform.ingest.decoder.quarantine import Quarantine
from trading_platform.ingest.decoder.trade_buffer import TradeBuffer


class BatchFacts:
    """The facts of one batch.

    Facts about the end of a symbol's stream (`tail`) wait until the symbol's epoch is known (`assign_tails`); all
    others name their sequence at once.
    """

    def __init__(self) -> None:
        self._seen: dict[SequenceKey, Seen] = {}
        self._tails: dict[tuple[str, str], list[TailEvent]] = {}
        self._resets: dict[SequenceKey, EpochReset] = {}
        self._readmitted: list[tuple[Position, int]] = []
        self._listings: list[Listing] = []
        self._bans: dict[str, int] = {}

    # ---- of one sequence

    def void(self, key: SequenceKey, trade: Trade, seen_ns: int) -> None:
        """Tell of an id that was used up without a trade, as its own record says."""
        if trade.trade_id is not None and trade.void is not None:
            seen = self._of(key)
            seen.voids.append(Claim(trade.trade_id, trade.trade_id, trade.void, seen_ns))
            seen.void_times[trade.trade_id] = trade.ts_event

    def lost(self, key: SequenceKey, claim: Claim) -> None:
        """Tell of ids that a person gave up."""
        self._of(key).lost.append(claim)

    def skipped(self, key: SequenceKey, claims: Iterable[Claim]) -> None:
        """Tell of ids that a listing leaves out."""
        if found := list(claims):
            self._of(key).skips += found

    def unserved(self, key: SequenceKey, claims: Iterable[Claim]) -> None:
        """Tell of ids that the venue was asked for and did not serve."""
        self._of(key).unserved += claims

    def promised(self, key: SequenceKey, from_id: int, seen_ns: int) -> None:
        """Tell that all ids from this one on are to be held."""
        seen = self._of(key)
        seen.undertaken = from_id if seen.undertaken is None else min(seen.undertaken, from_id)
        seen.promises.append(Claim(from_id, from_id, "", seen_ns))

    def head(self, key: SequenceKey, event: TailEvent, ids: Iterable[int]) -> None:
        """Tell of a sequence's end, as an answer of the venue has it: the event, and ids that it names."""
        seen = self._of(key)
        seen.tails.append(event)
        seen.witnessed = max(seen.witnessed, *ids, -1)

    def epoch_resets(self, resets: Mapping[SequenceKey, EpochReset]) -> None:
        """Tell of numberings that began, by the sequence that begins."""
        self._resets.update(resets)
        for key, reset in resets.items():
            self._of(key._replace(epoch=key.epoch - 1))  # it ends
            seen = self._of(key)
            seen.undertaken = reset.first_id
            seen.promises.append(Claim(reset.first_id, reset.first_id, "", reset.known_ns))

    def traded(self, trades: Mapping[SequenceKey, TradeColumns]) -> None:
        """Tell of the ids that are stored, and when each was traded."""
        for key, columns in trades.items():
            if columns.trade_uid is not None:
                self.unproven(key)
                continue
            seen, ids = self._of(key), columns.trade_id
            if bool((ids[1:] > ids[:-1]).all()):
                seen.ids, seen.ts = ids, columns.ts_event
            else:
                seen.ids, first = np.unique(ids, return_index=True)
                seen.ts = columns.ts_event[first]

    # ---- of a symbol whose ids prove nothing

    def unproven(self, key: SequenceKey) -> None:
        """Tell that a symbol is recorded whose ids prove nothing: its account of ids is begun, and stays empty."""
        self._of(key).undertaken = 0

    def heard(self, key: SequenceKey, begun_ns: int, ts_recv: int) -> None:
        """Tell that a connection which delivered its first trade of a symbol at `begun_ns` delivers still."""
        heard = self._of(key).heard
        heard[begun_ns] = max(heard.get(begun_ns, ts_recv), ts_recv)

    def whole_day(self, key: SequenceKey, day: ListedDay) -> None:
        """Tell that a venue's own listing of a day has been taken in."""
        self.unproven(key)
        self._of(key).listed.append(day)

    # ---- of the end of a symbol's stream

    def tail(self, venue: str, symbol: str, tail: Tail, seen_ns: int) -> None:
        """Tell what was learned of the end of a symbol's stream; of repeats only the latest is kept."""
        event = TailEvent(tail, seen_ns)
        events = self._tails.setdefault((venue, symbol), [])
        if events and events[-1].tail == tail:
            events[-1] = max(events[-1], event, key=lambda each: each.seen_ns)
        else:
            events.append(event)

    def assign_tails(self, epoch_of: Callable[[str, str, int], int]) -> None:
        """Give each symbol's events to the epoch that it is in at its last event: ``epoch_of(venue, symbol, ns)``."""
        for (venue, symbol), events in self._tails.items():
            newest = epoch_of(venue, symbol, events[-1].seen_ns)
            self._of(SequenceKey(venue, symbol, newest)).tails += events

    # ---- of a venue, or of the log

    def readmitted(self, places: Iterable[tuple[Position, int]]) -> None:
        """Tell where trades lie (position, item) that an earlier batch refused, and that count after all."""
        self._readmitted += places

    def listed(self, listing: Listing) -> None:
        """Tell what a venue lists."""
        self._listings.append(listing)

    def banned(self, what: str, until_ns: int) -> None:
        """Tell until when a venue, or a channel of it, is not to be asked."""
        self._bans[what] = max(self._bans.get(what, 0), until_ns)

    # ---- the result

    def listings(self) -> list[Listing]:
        """Return what venues list, as it came."""
        return self._listings

    def batch(self, lane: str, start: Position, end: Position, quarantined: list[Quarantined]) -> Batch:
        """Return all of it for the ledger."""
        instruments = [instrument for listing in self._listings for instrument in listing.instruments]
        listed_ns = [listing.ts_recv for listing in self._listings for _ in listing.instruments]
        facts = (quarantined, instruments, self._bans, self._resets, self._readmitted, listed_ns)
        return Batch(lane, start, end, self._seen, *facts)

    def _of(self, key: SequenceKey) -> Seen:
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = Seen()
        return seen


class BatchOutput(NamedTuple):
    """What the parts of the decoder write to while they read one batch."""

    trades: TradeBuffer
    facts: BatchFacts
    quarantine: Quarantine

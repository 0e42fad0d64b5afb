"""Decode the answers of a REST endpoint or an archive: pages in, trades, facts about their ids and refused rows out.

The wire format is venues/, whether a page answers what was asked and what it covers too; what that says of the ids that
it lacks is page_claims.py.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from trading_platform.completeness.epochs import Epochs, PageScope
from trading_platform.completeness.records import SequenceKey, TailEvent
from trading_platform.completeness.sequence_reset import SUSPECT
from trading_platform.domain.channels import check_channel
from trading_platform.domain.errors import FrameError
from trading_platform.domain.id_ranges import Range
from trading_platform.domain.trades.sequencing import prove_completeness
from trading_platform.domain.trades.trade import Trade
from trading_platform.ingest.decoder.archive.pieces import PieceDecoder
from trading_platform.ingest.decoder.batch_facts import BatchOutput
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoded import Listing
from trading_platform.ingest.decoder.decoder_state import DecoderContext, ListingProgress
from trading_platform.ingest.decoder.page_claims import RawRows, raw_of, skipped, unserved
from trading_platform.ingest.decoder.payload_ids import EqualTrades
from trading_platform.ingest.decoder.quarantine import Origin
from trading_platform.ingest.decoder.trade_buffer import UNASSIGNED
from trading_platform.ingest.decoder.venue_readers import VenueReaders
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Record
from trading_platform.venues.adapter import VenueAdapter
from trading_platform.venues.history import Asked, Cursor, History, Page


class _PageBeingRead(NamedTuple):
    """A page of trades while it is read: its record, what it answers, and in the light of what it is understood."""

    record: Record
    page: control.PageHeader
    scope: PageScope

    def origin(self, item: int) -> Origin:
        return Origin(self.record, item, self.page.venue, self.page.source)


class PageDecoder:
    """Decodes the pages of one batch."""

    def __init__(
        self, context: DecoderContext, epochs: Epochs, readers: VenueReaders, bounds: Bounds, output: BatchOutput
    ) -> None:
        self._readings, self._clock = context.readings, context.clock
        self._epochs, self._readers, self._bounds = epochs, readers, bounds
        self._trades, self._facts, self._quarantine = output
        self._pieces = PieceDecoder(epochs, bounds, output)

    def decode(self, record: Record) -> None:
        """Take one record: what was asked, and the answer's body.

        Raises
        ------
        UsageError : if it is the answer of a venue, or of a channel, that is not known here.
        """
        try:
            page = control.decode_page(b"".join(record.frames[:1]))
        except FrameError as error:
            self._quarantine.refuse(Origin(record, 0, "?", "rest"), None, None, error)
            return
        body = record.frames[1] if len(record.frames) > 1 else b""
        adapter = self._readers.adapter(page.venue)
        check_channel(page.channel)
        try:
            if page.kind == "instruments":
                self._facts.listed(Listing(page.venue, record.ts_recv, adapter.decode_instruments(body)))
                return
            if page.kind == "archive":
                self._piece(record, page, adapter)
                return
            rows = _history(adapter).read(body, page.symbol, _asked(page))
        except FrameError as error:
            whole = Origin(record, 1, page.venue, page.source)
            self._quarantine.refuse(whole, page.symbol or None, None, error, body)
            return
        self._rows(_PageBeingRead(record, page, _scope(record, page, adapter)), rows, RawRows(_history(adapter), body))

    def _piece(self, record: Record, page: control.PageHeader, adapter: VenueAdapter) -> None:
        """Take a piece of a daily file. Raises FrameError if it is none."""
        asked = None if page.from_id is None or page.to_id is None else (page.epoch, page.from_id, page.to_id)
        answer = _PageBeingRead(record, page, PageScope(record.ts_recv, page.resets, asked))

        if prove_completeness(adapter.sequencing):

            def take(origin: Origin, trade: Trade, row: bytes) -> None:
                self._trade(answer, origin, trade, row)

        else:
            key = SequenceKey(page.venue, page.symbol)
            self._facts.unproven(key)
            reading = self._readings.get(f"{page.venue} {page.symbol} {page.day}") or ListingProgress()

            def take(origin: Origin, trade: Trade, row: bytes) -> None:
                reading.stored += self._store(key, origin, trade, row, reading.equals)

        self._pieces.decode(record, page, adapter.archive, answer.scope, take)

    def _rows(self, answer: _PageBeingRead, rows: Page, raw: RawRows) -> None:
        page = answer.page
        if not prove_completeness(self._readers.adapter(page.venue).sequencing):
            self._unnumbered(answer, rows)
            return
        believed: list[tuple[int, int]] = []
        for item, trade in enumerate(rows.trades, start=1):
            epoch = self._trade(answer, answer.origin(item), trade, raw)
            if epoch is not None and trade.trade_id is not None:
                believed.append((epoch, trade.trade_id))
        for item, row in enumerate(rows.refused, start=len(rows.trades) + 1):
            self._quarantine.refuse(answer.origin(item), page.symbol, row.trade_id, row.error, row.raw)
        if any(row.trade_id is None for row in rows.refused):
            return  # a row whose id nobody can tell: it may be any that the page seems to lack
        refused = [row.trade_id for row in rows.refused if row.trade_id is not None]
        if page.kind == "head":
            self._head(answer, believed, refused)
        elif rows.covers is not None:
            mine = (number for epoch, number in believed if epoch in (page.epoch, UNASSIGNED))
            self._listed(answer, rows, rows.covers, sorted([*mine, *refused]))

    def _unnumbered(self, answer: _PageBeingRead, rows: Page) -> None:
        """Take the trades of a page whose ids prove nothing: it lists some, and says nothing of others."""
        key = SequenceKey(answer.page.venue, answer.page.symbol)
        self._facts.unproven(key)
        delivery = EqualTrades()
        for item, trade in enumerate(rows.trades, start=1):
            self._store(key, answer.origin(item), trade, msgspec.json.encode(trade), delivery)
        for item, refused in enumerate(rows.refused, start=len(rows.trades) + 1):
            self._quarantine.refuse(answer.origin(item), answer.page.symbol, None, refused.error, refused.raw)

    def _store(self, key: SequenceKey, origin: Origin, trade: Trade, raw: bytes, delivery: EqualTrades) -> bool:
        """Take one trade whose ids prove nothing, named by its delivery unless it has a text id; return whether."""
        ts_recv = origin.record.ts_recv
        price, quantity, wrong, stored = self._bounds.check(trade, ts_recv)
        if wrong is not None:
            self._quarantine.refuse(origin, trade.symbol, None, wrong, raw)
        if stored:
            named = trade if trade.trade_uid is not None else delivery.name(trade)
            self._trades.append(self._trades.number(key), named, ts_recv, price, quantity, origin.source)
        return stored

    def _trade(self, answer: _PageBeingRead, origin: Origin, trade: Trade, raw: bytes | RawRows) -> int | None:
        """Take one trade in; return its epoch, None if its id counts for none.

        A trade that is refused for its price, quantity or time returns UNASSIGNED: the page lists its id all the same.
        """
        ts_recv = origin.record.ts_recv
        if trade.trade_id is None:
            error = FrameError("id", "a trade without an id")
            self._quarantine.refuse(origin, trade.symbol, None, error, raw_of(trade, raw))
            return None
        if trade.void is not None:
            epoch = self._epoch(answer, origin, trade, raw)
            if epoch is not None:
                self._facts.void(SequenceKey(origin.venue, trade.symbol, epoch), trade, ts_recv)
            return epoch
        price, quantity, wrong, stored = self._bounds.check(trade, ts_recv)
        if wrong is not None:
            self._quarantine.refuse(origin, trade.symbol, trade.trade_id, wrong, raw_of(trade, raw))
        if not stored:
            return UNASSIGNED
        epoch = self._epoch(answer, origin, trade, raw)
        if epoch is not None:
            key = SequenceKey(origin.venue, trade.symbol, epoch)
            self._trades.append(self._trades.number(key), trade, ts_recv, price, quantity, origin.source)
        return epoch

    def _epoch(self, answer: _PageBeingRead, origin: Origin, trade: Trade, raw: bytes | RawRows) -> int | None:
        """Return the epoch of a trade's id, None if it contradicts what is held; then it is refused."""
        assert trade.trade_id is not None
        epoch = self._epochs.of_page(origin.venue, trade.symbol, trade.trade_id, trade.ts_event, answer.scope)
        if epoch != SUSPECT:
            return epoch
        told = f"id {trade.trade_id} traded at {trade.ts_event} contradicts what is held"
        error = FrameError("numbering", told)
        self._quarantine.refuse(origin, trade.symbol, trade.trade_id, error, raw_of(trade, raw))
        return None

    def _listed(self, answer: _PageBeingRead, rows: Page, covers: Range, listed: list[int]) -> None:
        """Take note of what a page says of ids that it covers and lacks; it lists these, ascending."""
        page, now = answer.page, answer.record.ts_recv
        key = SequenceKey(page.venue, page.symbol, page.epoch)
        self._facts.skipped(key, skipped(listed, now))
        if page.to_id is not None:
            self._facts.unserved(key, unserved(listed, covers, now, ends=rows.ends))

    def _head(self, answer: _PageBeingRead, believed: list[tuple[int, int]], refused: list[int]) -> None:
        """Take note of where a sequence ends, as an answer says: ids by epoch, and those of rows that are no trades."""
        page, scope = answer.page, answer.scope
        told_ns = self._clock.event(scope.ts_recv, page.after_ns)
        newest = self._epochs.newest(page.venue, page.symbol, scope.ts_recv, scope.resets)
        key = SequenceKey(page.venue, page.symbol, newest)
        ids = [number for epoch, number in believed if epoch in (newest, UNASSIGNED)] + refused
        ids = [number for number in ids if not self._epochs.is_stray(key, number)]
        self._facts.head(key, TailEvent("live" if page.listening else "closed", told_ns), ids)


def _history(adapter: VenueAdapter) -> History:
    if adapter.history is None:
        raise FrameError("page", f"{adapter.name} serves no pages of trades")
    return adapter.history


def _asked(page: control.PageHeader) -> Asked | None:
    """Return what a page answers; before cursors were logged, it was the first id."""
    if page.cursor is None and page.from_id is None:
        return None
    return Asked(Cursor(page.cursor or str(page.from_id)), page.from_id, page.to_id)


def _scope(record: Record, page: control.PageHeader, adapter: VenueAdapter) -> PageScope:
    """Return in the light of what a page is understood."""
    asked = _asked(page)
    span = None if asked is None or adapter.history is None else adapter.history.span(asked)
    if span is None:
        return PageScope(record.ts_recv, page.resets)
    to_id = span.last if page.to_id is None else page.to_id
    return PageScope(record.ts_recv, page.resets, (page.epoch, span.first, to_id))

"""Turn records of a lane into trades as columns and facts for the ledger. Deterministic: no clock, no I/O.

Wire formats are venues/, limits are bounds.py, numberings are epochs.py, what the facts amount to is gap_detector.py.
The decoder's only memory is which symbols each connection carries, and what its streams have shown of each symbol's
ids; it goes through `context` from process to process.

A venue's usual trade frames are read many at a time (decoder/trade_scanner.py), with the same result as one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from trading_platform.completeness import answer_checks as doubt
from trading_platform.completeness.epochs import Book, Epochs
from trading_platform.completeness.records import Batch, Claim, Quarantined, Seen, SequenceKey, TailEvent, Turn
from trading_platform.completeness.sequence_reset import APART
from trading_platform.domain.decimals import EXACT_DIGITS, significant_digits
from trading_platform.domain.errors import FrameError, UsageError
from trading_platform.domain.position import Position
from trading_platform.domain.trade import SOURCES, Source, Trade
from trading_platform.domain.trade_columns import Columns, together
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.bulk_scan import SCAN_AFTER, Scanning, find_frames
from trading_platform.ingest.decoder.decoded import Decoded, Listing
from trading_platform.ingest.decoder.decoder_state import Connection, Context
from trading_platform.ingest.decoder.page_claims import RawRows, raw_of, skipped, unserved
from trading_platform.ingest.decoder.trade_scanner import Rows, Scanner, SymbolTable
from trading_platform.store.log import control_records as control
from trading_platform.store.log.segment_format import TABLE_AT
from trading_platform.store.log.writer import Kind, PackedRecord, Record
from trading_platform.venues.adapter import TradePage, VenueAdapter

__all__ = ["SCAN_AFTER", "Columns", "Decoder"]

_SIDES = {"buy": 1, "sell": -1, None: 0}
Int64 = npt.NDArray[np.int64]
_NEVER = np.iinfo(np.int64).min
_LATER = -1
"""The epoch of a trade before it is known: a stream's is, once all of the batch has been read."""


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
        book: Book | None = None,
        scan_after: int = SCAN_AFTER,
    ) -> None:
        self._lane = lane
        self._venues = venues
        self._bounds = bounds
        self._context = msgspec.json.decode(context, type=Context) if context else Context()
        self._book = book
        self._scanning = Scanning(venues, bounds, scan_after)

    def context(self) -> str:
        """Return the decoder's memory as text."""
        return msgspec.json.encode(self._context).decode()

    def decode(self, records: Iterable[Record | PackedRecord], start: Position, end: Position) -> Decoded:
        """Decode the records of [start, end). Nothing raises: what cannot be read is quarantined."""
        epochs = Epochs(self._context.numberings, self._book)
        work = _Work(self._lane, self._venues, self._bounds, self._context, self._scanning, epochs)
        for record in records:
            work.take(record)
        return work.finish(start, end)


class _Work:
    """One call of `Decoder.decode`."""

    def __init__(
        self,
        lane: str,
        venues: Mapping[str, VenueAdapter],
        bounds: Bounds,
        context: Context,
        scanning: Scanning,
        epochs: Epochs,
    ) -> None:
        self.lane, self.venues, self.bounds, self.context, self.scanning = lane, venues, bounds, context, scanning
        self.epochs = epochs
        self.keys: dict[SequenceKey, int] = {}
        self.rows = Rows()
        # For each key when it was last seen alive and that is not told yet.
        self.alive = np.full(16, _NEVER)
        # For each connection its table and the keys of its symbols, until a control record may change that.
        self.tables: dict[int, tuple[SymbolTable, Int64]] = {}
        self.seen: dict[SequenceKey, Seen] = {}
        # What waits for the epochs of a symbol's stream to be known.
        self.tails: dict[tuple[str, str], list[TailEvent]] = {}
        self.voids: list[tuple[Record | PackedRecord, int, str, Trade, bytes | RawRows]] = []
        self.streamed: list[tuple[Record | PackedRecord, dict[str, str]]] = []
        self.turns: dict[SequenceKey, Turn] = {}
        self.readmitted: list[tuple[Position, int]] = []
        self.quarantine: list[Quarantined] = []
        self.listings: list[Listing] = []
        self.bans: dict[str, int] = {}

    def take(self, record: Record | PackedRecord) -> None:
        if record.kind == Kind.FRAMES:
            self.context.clock.frames(record.ts_recv)
            self._frames(record)
            return
        self._tell_alive()
        self.tables.clear()
        if isinstance(record, PackedRecord):
            record = record.record()
        if record.kind == Kind.PAGE:
            self._page(record)
        else:
            self._control(record)

    def finish(self, start: Position, end: Position) -> Decoded:
        self._tell_alive()
        columns = self._by_epoch()
        for key, mine in columns.items():
            seen = self._of(key)
            ids = mine.trade_id
            if bool((ids[1:] > ids[:-1]).all()):
                seen.ids, seen.ts = ids, mine.ts_event
            else:
                seen.ids, first = np.unique(ids, return_index=True)
                seen.ts = mine.ts_event[first]
        instruments = [instrument for listing in self.listings for instrument in listing.instruments]
        facts = (self.quarantine, instruments, self.bans, self.turns, self.readmitted)
        return Decoded(Batch(self.lane, start, end, self.seen, *facts), columns, self.listings)

    def _by_epoch(self) -> dict[SequenceKey, Columns]:
        """Return the trades by sequence; give what was waiting for their epochs to these."""
        found: dict[SequenceKey, list[Columns]] = {}
        for key, mine in self._columns().items():
            if key.epoch != _LATER:
                found.setdefault(key, []).append(mine)
                continue
            placed = self.epochs.place(key.venue, key.symbol, mine)
            for each, part in placed.trades.items():
                found.setdefault(each, []).append(part)
            if placed.apart:
                self._set_apart(key, mine, placed.apart)
            self.readmitted += placed.readmitted
            self._turn(placed.turns)
        for record, item, venue, trade, raw in self.voids:
            self._void(record, item, venue, trade, "ws", raw)
        for (venue, symbol), events in self.tails.items():
            newest = self.epochs.newest(venue, symbol, events[-1].seen_ns)
            self._of(SequenceKey(venue, symbol, newest)).tails += events
        return {key: together(parts) for key, parts in found.items()}

    def _turn(self, turns: Mapping[SequenceKey, Turn]) -> None:
        self.turns.update(turns)
        for key, turn in turns.items():
            self._of(key._replace(epoch=key.epoch - 1))  # it ends
            seen = self._of(key)
            seen.undertaken = turn.first_id
            seen.promises.append(Claim(turn.first_id, turn.first_id, "", turn.known_ns))

    def _set_apart(self, key: SequenceKey, stream: Columns, rows: list[int]) -> None:
        """Quarantine trades whose ids contradict their times, and remember where they lie."""
        found = find_frames(self.streamed, self.venues[key.venue], key.symbol, stream, rows)
        places = {row: (record.position, item) for row, (record, item, _) in found.items()}
        taken = set(places.values())
        # What is not stored needs no word on its digits: a place has one row in the quarantine.
        self.quarantine = [kept for kept in self.quarantine if (kept.position, kept.item) not in taken]
        for row, (record, item, frame) in found.items():
            number = int(stream.trade_id[row])
            error = FrameError(
                "numbering", f"id {number} traded at {stream.ts_event[row]} contradicts the ids before it"
            )
            self._refuse(record, item, key.venue, key.symbol, number, "ws", error, frame)
        self.epochs.locate(key.venue, key.symbol, places)

    def _columns(self) -> dict[SequenceKey, Columns]:
        key_of_row, *columns = self.rows.columns()
        # int16 is sorted by radix, in one pass; there are never that many symbols in a lane.
        small = key_of_row.astype(np.int16) if len(self.keys) < 1 << 15 else key_of_row
        order = np.argsort(small, kind="stable")
        ends = np.cumsum(np.bincount(key_of_row, minlength=len(self.keys)))
        sorted_columns = [column[order] for column in columns]
        found = {}
        for key, number in self.keys.items():
            mine = slice(ends[number - 1] if number else 0, ends[number])
            if mine.start < mine.stop:
                found[key] = Columns._make(column[mine] for column in sorted_columns)
        return found

    def _key(self, key: SequenceKey) -> int:
        number = self.keys.get(key)
        if number is None:
            number = self.keys[key] = len(self.keys)
            if number >= len(self.alive):
                self.alive = np.concatenate([self.alive, np.full_like(self.alive, _NEVER)])
        return number

    def _tell_alive(self) -> None:
        """Turn what was seen alive into events, before anything else is said of tails."""
        keys = list(self.keys)
        for number in np.flatnonzero(self.alive != _NEVER):
            key = keys[number]
            self._tail(key.venue, key.symbol, TailEvent("live", self.context.clock.live(int(self.alive[number]))))
        self.alive[:] = _NEVER

    def _of(self, key: SequenceKey) -> Seen:
        return self.seen.setdefault(key, Seen())

    def _adapter(self, venue: str) -> VenueAdapter:
        if venue not in self.venues:
            raise UsageError(f"lane {self.lane}: the venue {venue[:40]!r} is not known here; use a newer version")
        return self.venues[venue]

    # ---- frames of a stream

    def _frames(self, record: Record | PackedRecord) -> None:
        connection = self.context.connections.get(record.connection)
        if connection is None:
            self._refuse(record, 0, "?", None, None, "ws", FrameError("connection", "frames of an unknown connection"))
            return
        self.streamed.append((record, connection.symbols))
        if isinstance(record, PackedRecord):
            scanner = self.scanning.scanner(connection.venue)
            if scanner is not None:
                self._scan(record, connection, scanner)
                return
            self.scanning.frames_left -= record.frame_count
            record = record.record()
        for item, frame in enumerate(record.frames):
            self._frame(record, item, connection, frame)

    def _scan(self, record: PackedRecord, connection: Connection, scanner: Scanner) -> None:
        """Take the usual frames many at a time, each of the others by itself, all in their order."""
        if record.connection not in self.tables:
            table = self.scanning.table(connection.symbols)
            names = [connection.symbols[name] for name in table.names]
            keys = [self._key(SequenceKey(connection.venue, name, _LATER)) for name in names]
            self.tables[record.connection] = table, np.asarray(keys, np.int64)
        table, numbers = self.tables[record.connection]
        body, count = record.body, record.frame_count
        item, at = 0, record.frames_at
        while True:
            item, at = scanner.scan(
                body, TABLE_AT, count, (item, at), record.ts_recv, table, numbers, self.alive, self.rows
            )
            if item == count:
                return
            end = at + int.from_bytes(body[TABLE_AT + 4 * item : TABLE_AT + 4 * item + 4], "little")
            self._frame(record, item, connection, body[at:end])
            item, at = item + 1, end

    def _frame(self, record: Record | PackedRecord, item: int, connection: Connection, frame: bytes) -> None:
        try:
            trades = self.venues[connection.venue].decode_frame(frame, connection.symbols)
        except FrameError as error:
            self._refuse_frame(record, item, connection, error, frame)
            return
        for trade in trades:
            number = self._key(SequenceKey(connection.venue, trade.symbol, _LATER))
            self.alive[number] = max(self.alive[number], record.ts_recv)
            self._trade(record, item, connection.venue, trade, "ws", frame)

    def _refuse_frame(
        self, record: Record | PackedRecord, item: int, connection: Connection, error: FrameError, frame: bytes
    ) -> None:
        """Keep a frame apart, under the id that it seems to be about."""
        told = self.venues[connection.venue].peek(frame)
        symbol = None if told is None else connection.symbols.get(told[0])
        trade_id = None if told is None or symbol is None else told[1]
        self._refuse(record, item, connection.venue, symbol, trade_id, "ws", error, frame)

    def _trade(
        self, record: Record | PackedRecord, item: int, venue: str, trade: Trade, source: Source, raw: bytes | RawRows
    ) -> int | None:
        """Take one trade in; `raw` is the frame that it came in, or what finds its row in a page.

        Returns its epoch, `_LATER` if that is not known, None if its id is to be believed of none.
        """
        number = trade.trade_id
        if number is None:
            error = FrameError("id", "a trade without an id")
            self._refuse(record, item, venue, trade.symbol, None, source, error, raw_of(trade, raw))
            return None
        if trade.void is not None:
            if source != "ws":
                return self._void(record, item, venue, trade, source, raw)
            self.voids.append((record, item, venue, trade, raw))
            return _LATER
        price, quantity = float(trade.price), float(trade.quantity)
        broken = self.bounds.broken(trade, price, quantity, record.ts_recv)
        if broken is not None:
            error = FrameError(broken, f"{trade.price} x {trade.quantity} at {trade.ts_event}")
            self._refuse(record, item, venue, trade.symbol, number, source, error, raw_of(trade, raw))
            return _LATER
        if len(trade.price) > EXACT_DIGITS or len(trade.quantity) > EXACT_DIGITS:
            self._flag_precision(record, item, venue, trade, source, raw_of(trade, raw))
        epoch = _LATER if source == "ws" else self._epoch(record, item, venue, trade, source, raw)
        if epoch is None:
            return None
        self.rows.append(
            self._key(SequenceKey(venue, trade.symbol, epoch)),
            number,
            trade.ts_event,
            record.ts_recv,
            price,
            quantity,
            _SIDES[trade.side],
            SOURCES.index(source),
        )
        return epoch

    def _void(
        self, record: Record | PackedRecord, item: int, venue: str, trade: Trade, source: Source, raw: bytes | RawRows
    ) -> int | None:
        epoch = self._epoch(record, item, venue, trade, source, raw)
        if epoch is not None and trade.trade_id is not None and trade.void is not None:
            seen = self._of(SequenceKey(venue, trade.symbol, epoch))
            seen.voids.append(Claim(trade.trade_id, trade.trade_id, trade.void, record.ts_recv))
            seen.void_times[trade.trade_id] = trade.ts_event
        return epoch

    def _epoch(
        self, record: Record | PackedRecord, item: int, venue: str, trade: Trade, source: Source, raw: bytes | RawRows
    ) -> int | None:
        """Return the epoch of an id that a page brought, or that was used up; None if it had to be kept apart."""
        number, ts_event = trade.trade_id, trade.ts_event
        assert number is not None
        if source == "ws":
            epoch = self.epochs.of_stream(venue, trade.symbol).believes(number, ts_event)
        else:
            epoch = self.epochs.of_page(venue, trade.symbol, number, ts_event, record.ts_recv)
        if epoch != APART:
            return epoch
        error = FrameError("numbering", f"id {number} traded at {ts_event} contradicts what is held")
        self._refuse(record, item, venue, trade.symbol, number, source, error, raw_of(trade, raw))
        return None

    def _flag_precision(
        self, record: Record | PackedRecord, item: int, venue: str, trade: Trade, source: Source, raw: bytes
    ) -> None:
        if max(significant_digits(trade.price), significant_digits(trade.quantity)) > EXACT_DIGITS:
            # Stored all the same, as the nearest float64; the raw bytes keep every digit.
            error = FrameError("precision", f"{trade.price} x {trade.quantity} has more than {EXACT_DIGITS} digits")
            self._refuse(record, item, venue, trade.symbol, trade.trade_id, source, error, raw)

    # ---- answers of a REST endpoint or archive

    def _page(self, record: Record) -> None:
        body = record.frames[1] if len(record.frames) > 1 else b""
        try:
            page = control.decode_page(b"".join(record.frames[:1]))
        except FrameError as error:
            self._refuse(record, 0, "?", None, None, "rest", error)
            return
        adapter = self._adapter(page.venue)
        try:
            if page.kind == "instruments":
                listed = adapter.decode_instruments(body)
                self.listings.append(Listing(page.venue, record.ts_recv, listed))
                return
            rows = adapter.read_page(body, page.symbol)
        except FrameError as error:
            self._refuse(record, 1, page.venue, page.symbol or None, None, page.source, error, body)
            return
        if page.from_id is not None and adapter.ids == "contiguous":
            rows = rows.placed(page.from_id)
            wrong = doubt.page(rows.ids(), page.from_id, page.to_id, adapter.page_limit)
            if wrong is not None:
                odd = FrameError("page", f"not what was asked for: {wrong}")
                self._refuse(record, 1, page.venue, page.symbol, None, page.source, odd, body)
                return
            to_id = page.from_id + adapter.page_limit - 1 if page.to_id is None else page.to_id
            self.epochs.asked = page.epoch, page.from_id, to_id
        self.epochs.turns = page.turns
        self._rows(record, page, adapter, rows, body)
        self.epochs.turns = self.epochs.asked = None

    def _rows(self, record: Record, page: control.Page, adapter: VenueAdapter, rows: TradePage, body: bytes) -> None:
        raw = RawRows(adapter, body)
        believed: list[tuple[int, int]] = []
        for item, trade in enumerate(rows.trades, start=1):
            epoch = self._trade(record, item, page.venue, trade, page.source, raw)
            if epoch is not None and trade.trade_id is not None:
                believed.append((epoch, trade.trade_id))
        for item, row in enumerate(rows.refused, start=len(rows.trades) + 1):
            self._refuse(record, item, page.venue, page.symbol, row.trade_id, page.source, row.error, row.raw)
        if any(row.trade_id is None for row in rows.refused):
            return  # a row whose id nobody can tell: it may be any that the page seems to lack
        refused = [row.trade_id for row in rows.refused if row.trade_id is not None]
        if page.kind == "head":
            self._head(record, page, believed, refused)
        elif page.from_id is not None and adapter.ids == "contiguous":
            listed = sorted([*(number for epoch, number in believed if epoch in (page.epoch, _LATER)), *refused])
            key = SequenceKey(page.venue, page.symbol, page.epoch)
            if skips := skipped(listed, record.ts_recv):
                self._of(key).skips += skips
            if page.to_id is not None:
                lacking = unserved(listed, page.from_id, page.to_id, adapter.page_limit, record.ts_recv)
                self._of(key).unserved += lacking

    def _head(self, record: Record, page: control.Page, believed: list[tuple[int, int]], refused: list[int]) -> None:
        """Take note of where a sequence ends, as an answer says: ids by epoch, and those of rows that are no trades."""
        told_ns = self.context.clock.event(record.ts_recv, page.after_ns)
        key = SequenceKey(page.venue, page.symbol, self.epochs.newest(page.venue, page.symbol, record.ts_recv))
        self._of(key).tails.append(TailEvent("live" if page.listening else "closed", told_ns))
        ids = [number for epoch, number in believed if epoch in (key.epoch, _LATER)] + refused
        ids = [number for number in ids if not self.epochs.is_stray(key, number)]
        if ids:
            self._of(key).witnessed = max(self._of(key).witnessed, *ids)

    # ---- control records

    def _control(self, record: Record) -> None:
        try:
            fact = control.decode(b"".join(record.frames[:1]))
        except FrameError as error:
            self._refuse(record, 0, "?", None, None, "ws", error)
            return
        now, told_ns = record.ts_recv, self.context.clock.event(record.ts_recv, getattr(fact, "after_ns", 0))
        match fact:
            case control.Started():
                self.context.connections.clear()
                for symbol in fact.symbols.values():
                    self._tail(fact.venue, symbol, TailEvent("open", told_ns))
            case control.Connected():
                self._adapter(fact.venue)
                self.context.connections[fact.connection] = Connection(fact.venue, fact.symbols)
            case control.Disconnected():
                self._disconnected(fact, told_ns)
            case control.Lost():
                for symbol in fact.symbols:
                    self._tail(fact.venue, symbol, TailEvent("open", told_ns))
            case control.Declared():
                claim = Claim(fact.first_id, fact.last_id, fact.reason, now)
                self._of(SequenceKey(fact.venue, fact.symbol, fact.epoch)).lost.append(claim)
            case control.Unserved():
                claim = Claim(fact.first_id, fact.last_id, fact.reason, now)
                self._of(SequenceKey(fact.venue, fact.symbol, fact.epoch)).unserved.append(claim)
            case control.Undertaken():
                seen = self._of(SequenceKey(fact.venue, fact.symbol, fact.epoch))
                seen.undertaken = fact.from_id if seen.undertaken is None else min(seen.undertaken, fact.from_id)
                seen.promises.append(Claim(fact.from_id, fact.from_id, "", now))
            case control.BanSeen():
                # Streams have an address of their own: a ban from REST must not end recording.
                banned = fact.venue if fact.channel == "rest" else f"{fact.venue}/{fact.channel}"
                self.bans[banned] = max(self.bans.get(banned, 0), fact.until_ns)
            case control.Handover():
                pass  # for people: the connections' own records say what follows from it

    def _disconnected(self, fact: control.Disconnected, told_ns: int) -> None:
        gone = self.context.connections.pop(fact.connection, None)
        if gone is None:
            return
        others = [c for c in self.context.connections.values() if c.venue == gone.venue]
        for venue_symbol, symbol in gone.symbols.items():
            if not any(venue_symbol in other.symbols for other in others):
                self._tail(gone.venue, symbol, TailEvent("open", told_ns))

    def _tail(self, venue: str, symbol: str, event: TailEvent) -> None:
        tails = self.tails.setdefault((venue, symbol), [])
        if tails and tails[-1].tail == event.tail:
            tails[-1] = max(tails[-1], event, key=lambda e: e.seen_ns)
        else:
            tails.append(event)

    def _refuse(
        self,
        record: Record | PackedRecord,
        item: int,
        venue: str,
        symbol: str | None,
        trade_id: int | None,
        source: Source,
        error: FrameError,
        raw: bytes | None = None,
    ) -> None:
        if raw is None:
            frames = (record.record() if isinstance(record, PackedRecord) else record).frames
            raw = frames[item] if item < len(frames) else b""
        detail = str(error)[:500]
        at = record.position
        self.quarantine.append(
            Quarantined(at, item, venue, symbol, trade_id, source, error.kind, detail, record.ts_recv, raw[:65536])
        )

"""Turn records of a lane into trades as columns and facts for the ledger. Deterministic: no clock, no I/O.

Wire formats are venues/, limits are bounds.py, what the facts amount to is gap_detector.py. The decoder's only
memory is which symbols each connection carries; it goes through `context` from process to process.

A venue's usual trade frames are read many at a time (analytics/trade_scanner.py), with the same result as one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from trading_platform.analytics.trade_scanner import Rows, Scanner, SymbolTable
from trading_platform.domain.decimals import EXACT_DIGITS, significant_digits
from trading_platform.domain.errors import FrameError
from trading_platform.domain.instrument import Instrument
from trading_platform.domain.position import Position
from trading_platform.domain.trade import SOURCES, Source, Trade
from trading_platform.domain.venue import TradePage, VenueAdapter
from trading_platform.ingest import control
from trading_platform.ingest.bounds import Bounds
from trading_platform.store.ledger.rows import Batch, Claim, Quarantined, Seen, SequenceKey, TailEvent
from trading_platform.store.segment_format import TABLE_AT
from trading_platform.store.segment_log import Kind, PackedRecord, Record

_SIDES = {"buy": 1, "sell": -1, None: 0}


SCAN_AFTER = 20_000
"""Frames that a decoder reads one by one before it loads the kernels that read many: a quiet market needs none."""

Int64 = npt.NDArray[np.int64]
_NEVER = np.iinfo(np.int64).min


class Columns(NamedTuple):
    """Trades of one sequence in the order of the log (side: 1 buy, -1 sell, 0 unknown; source: place in SOURCES)."""

    trade_id: Int64
    ts_event: Int64
    ts_recv: Int64
    price: npt.NDArray[np.float64]
    quantity: npt.NDArray[np.float64]
    side: npt.NDArray[np.int8]
    source: npt.NDArray[np.int8]


class _Connection(msgspec.Struct):
    venue: str
    symbols: dict[str, str]


class _Context(msgspec.Struct):
    connections: dict[int, _Connection] = {}


@dataclass
class Decoded:
    """What a stretch of a lane holds: `trades` for the sinks, `batch` for the ledger."""

    batch: Batch
    trades: dict[SequenceKey, Columns]


class Decoder:
    """Decodes one lane from where `context` was taken.

    Parameters
    ----------
    venues : adapters by venue.
    context : what `context()` returned at the position where decoding goes on; empty at a lane's start.
    scan_after : see SCAN_AFTER.
    """

    def __init__(
        self,
        lane: str,
        venues: Mapping[str, VenueAdapter],
        bounds: Bounds,
        context: str = "",
        *,
        scan_after: int = SCAN_AFTER,
    ) -> None:
        self._lane = lane
        self._venues = venues
        self._bounds = bounds
        self._context = msgspec.json.decode(context, type=_Context) if context else _Context()
        self._scanning = _Scanning(venues, bounds, scan_after)

    def context(self) -> str:
        """Return the decoder's memory as text."""
        return msgspec.json.encode(self._context).decode()

    def decode(self, records: Iterable[Record | PackedRecord], start: Position, end: Position) -> Decoded:
        """Decode the records of [start, end). Nothing raises: what cannot be read is quarantined."""
        work = _Work(self._lane, self._venues, self._bounds, self._context, self._scanning)
        for record in records:
            work.take(record)
        return work.finish(start, end)


class _RawRows:
    """Finds the bytes of a page's rows; they are looked up only once one is to be kept apart."""

    def __init__(self, adapter: VenueAdapter, body: bytes) -> None:
        self._adapter, self._body = adapter, body
        self._rows: dict[int, bytes] | None = None

    def of(self, trade: Trade) -> bytes | None:
        """Return the row that a trade was read from."""
        if self._rows is None:
            self._rows = self._adapter.raw_rows(self._body)
        return None if trade.trade_id is None else self._rows.get(trade.trade_id)


def _raw_of(trade: Trade, raw: bytes | _RawRows) -> bytes:
    found = raw.of(trade) if isinstance(raw, _RawRows) else raw
    return found or msgspec.json.encode(trade)


class _Scanning:
    """What reads many frames at a time, kept from batch to batch."""

    def __init__(self, venues: Mapping[str, VenueAdapter], bounds: Bounds, scan_after: int) -> None:
        self._venues, self._bounds, self.frames_left = venues, bounds, scan_after
        self._scanners: dict[str, Scanner | None] = {}
        self._tables: dict[tuple[str, ...], SymbolTable] = {}

    def scanner(self, venue: str) -> Scanner | None:
        """Return the venue's scanner, None if it has no usual form or too few frames were seen so far."""
        if self.frames_left > 0:
            return None
        if venue not in self._scanners:
            form = self._venues[venue].trade_frame
            limits = self._bounds.earliest_ns, self._bounds.ahead_ns
            self._scanners[venue] = None if form is None else Scanner(form, *limits)
        return self._scanners[venue]

    def table(self, symbols: Mapping[str, str]) -> SymbolTable:
        """Return the table of a connection's symbols."""
        names = tuple(symbols)
        if names not in self._tables:
            self._tables = {names: SymbolTable(names)}  # connections of one lane seldom differ
        return self._tables[names]


class _Work:
    """One call of `Decoder.decode`."""

    def __init__(
        self,
        lane: str,
        venues: Mapping[str, VenueAdapter],
        bounds: Bounds,
        context: _Context,
        scanning: _Scanning,
    ) -> None:
        self.lane, self.venues, self.bounds, self.context, self.scanning = lane, venues, bounds, context, scanning
        self.keys: dict[SequenceKey, int] = {}
        self.rows = Rows()
        # For each key when it was last seen alive and that is not told yet.
        self.alive = np.full(16, _NEVER)
        # For each connection its table and the keys of its symbols, until a control record may change that.
        self.tables: dict[int, tuple[SymbolTable, Int64]] = {}
        self.seen: dict[SequenceKey, Seen] = {}
        self.quarantine: list[Quarantined] = []
        self.instruments: list[Instrument] = []
        self.bans: dict[str, int] = {}

    def take(self, record: Record | PackedRecord) -> None:
        if record.kind == Kind.FRAMES:
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
        columns = self._columns()
        for key, mine in columns.items():
            seen = self._of(key)
            ids = mine.trade_id
            if bool((ids[1:] > ids[:-1]).all()):
                seen.ids, seen.ts = ids, mine.ts_event
            else:
                seen.ids, first = np.unique(ids, return_index=True)
                seen.ts = mine.ts_event[first]
        batch = Batch(self.lane, start, end, self.seen, self.quarantine, self.instruments, self.bans)
        return Decoded(batch, columns)

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
            self._tail(key.venue, key.symbol, TailEvent("live", int(self.alive[number])))
        self.alive[:] = _NEVER

    def _of(self, key: SequenceKey) -> Seen:
        return self.seen.setdefault(key, Seen())

    # ---- frames of a stream

    def _frames(self, record: Record | PackedRecord) -> None:
        connection = self.context.connections.get(record.connection)
        if connection is None:
            self._refuse(record, 0, "?", None, None, "ws", FrameError("connection", "frames of an unknown connection"))
            return
        if isinstance(record, PackedRecord):
            scanner = self.scanning.scanner(connection.venue)
            if scanner is not None:
                self._scan(record, connection, scanner)
                return
            self.scanning.frames_left -= record.frame_count
            record = record.record()
        for item, frame in enumerate(record.frames):
            self._frame(record, item, connection, frame)

    def _scan(self, record: PackedRecord, connection: _Connection, scanner: Scanner) -> None:
        """Take the usual frames many at a time, each of the others by itself, all in their order."""
        if record.connection not in self.tables:
            table = self.scanning.table(connection.symbols)
            keys = [self._key(SequenceKey(connection.venue, connection.symbols[name])) for name in table.names]
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

    def _frame(self, record: Record | PackedRecord, item: int, connection: _Connection, frame: bytes) -> None:
        try:
            trades = self.venues[connection.venue].decode_frame(frame, connection.symbols)
        except FrameError as error:
            self._refuse_frame(record, item, connection, error, frame)
            return
        for trade in trades:
            number = self._key(SequenceKey(connection.venue, trade.symbol))
            self.alive[number] = max(self.alive[number], record.ts_recv)
            self._trade(record, item, connection.venue, trade, "ws", frame)

    def _refuse_frame(
        self, record: Record | PackedRecord, item: int, connection: _Connection, error: FrameError, frame: bytes
    ) -> None:
        """Keep a frame apart, under the id that it seems to be about."""
        told = self.venues[connection.venue].peek(frame)
        symbol = None if told is None else connection.symbols.get(told[0])
        trade_id = None if told is None or symbol is None else told[1]
        self._refuse(record, item, connection.venue, symbol, trade_id, "ws", error, frame)

    def _trade(
        self, record: Record | PackedRecord, item: int, venue: str, trade: Trade, source: Source, raw: bytes | _RawRows
    ) -> None:
        """Take one trade in; `raw` is the frame that it came in, or what finds its row in a page."""
        number = trade.trade_id
        if number is None:
            error = FrameError("id", "a trade without an id")
            self._refuse(record, item, venue, trade.symbol, None, source, error, _raw_of(trade, raw))
            return
        key = SequenceKey(venue, trade.symbol)
        if trade.void is not None:
            self._of(key).voids.append(Claim(number, number, trade.void, record.ts_recv))
            return
        price, quantity = float(trade.price), float(trade.quantity)
        broken = self.bounds.broken(trade, price, quantity, record.ts_recv)
        if broken is not None:
            error = FrameError(broken, f"{trade.price} x {trade.quantity} at {trade.ts_event}")
            self._refuse(record, item, venue, trade.symbol, number, source, error, _raw_of(trade, raw))
            return
        if len(trade.price) > EXACT_DIGITS or len(trade.quantity) > EXACT_DIGITS:
            self._flag_precision(record, item, venue, trade, source, _raw_of(trade, raw))
        self.rows.append(
            self._key(key),
            number,
            trade.ts_event,
            record.ts_recv,
            price,
            quantity,
            _SIDES[trade.side],
            SOURCES.index(source),
        )

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
            page = control.decode_page(record.frames[0])
        except FrameError as error:
            self._refuse(record, 0, "?", None, None, "rest", error)
            return
        adapter = self.venues[page.venue]
        try:
            if page.kind == "instruments":
                self.instruments = adapter.decode_instruments(body)
                return
            rows = adapter.read_page(body, page.symbol)
        except FrameError as error:
            self._refuse(record, 1, page.venue, page.symbol or None, None, page.source, error, body)
            return
        if page.from_id is not None and adapter.ids == "contiguous":
            rows = rows.placed(page.from_id)
        raw = _RawRows(adapter, body)
        for item, trade in enumerate(rows.trades, start=1):
            self._trade(record, item, page.venue, trade, page.source, raw)
        for item, row in enumerate(rows.refused, start=len(rows.trades) + 1):
            self._refuse(record, item, page.venue, page.symbol, row.trade_id, page.source, row.error, row.raw)
        self._listing(record, page, adapter, rows)

    def _listing(self, record: Record, page: control.Page, adapter: VenueAdapter, rows: TradePage) -> None:
        """Take what a page says beside its trades: where the sequence ends, and what the venue does not have."""
        key = SequenceKey(page.venue, page.symbol)
        ids = [trade.trade_id for trade in rows.trades] + [row.trade_id for row in rows.refused]
        listed = sorted(number for number in ids if number is not None)
        if any(row.trade_id is None for row in rows.refused):
            return  # a row whose id nobody can tell: it may be any that the page seems to lack
        if page.kind == "head":
            self._tail(page.venue, page.symbol, TailEvent("live" if page.listening else "closed", record.ts_recv))
            if listed:
                self._of(key).witnessed = max(self._of(key).witnessed, listed[-1])
        elif page.from_id is not None and adapter.ids == "contiguous":
            for before, after in pairwise(listed):
                if after - before > 1:
                    claim = Claim(before + 1, after - 1, "the venue's listing skips it twice", record.ts_recv)
                    self._of(key).skips.append(claim)
            if page.to_id is not None:
                for first, last, reason in _unserved(listed, page.from_id, page.to_id, adapter.page_limit):
                    self._of(key).unserved.append(Claim(first, last, reason, record.ts_recv))

    # ---- control records

    def _control(self, record: Record) -> None:
        try:
            fact = control.decode(record.frames[0])
        except FrameError as error:
            self._refuse(record, 0, "?", None, None, "ws", error)
            return
        now = record.ts_recv
        match fact:
            case control.Started():
                self.context.connections.clear()
                for symbol in fact.symbols.values():
                    self._tail(fact.venue, symbol, TailEvent("open", now))
            case control.Connected():
                self.context.connections[fact.connection] = _Connection(fact.venue, fact.symbols)
            case control.Disconnected():
                self._disconnected(fact, now)
            case control.Lost():
                for symbol in fact.symbols:
                    self._tail(fact.venue, symbol, TailEvent("open", now))
            case control.Declared():
                claim = Claim(fact.first_id, fact.last_id, fact.reason, now)
                self._of(SequenceKey(fact.venue, fact.symbol)).lost.append(claim)
            case control.Unserved():
                claim = Claim(fact.first_id, fact.last_id, fact.reason, now)
                self._of(SequenceKey(fact.venue, fact.symbol)).unserved.append(claim)
            case control.Undertaken():
                seen = self._of(SequenceKey(fact.venue, fact.symbol))
                seen.undertaken = fact.from_id if seen.undertaken is None else min(seen.undertaken, fact.from_id)
            case control.BanSeen():
                # Streams have an address of their own: a ban from REST must not end recording.
                banned = fact.venue if fact.channel == "rest" else f"{fact.venue}/{fact.channel}"
                self.bans[banned] = max(self.bans.get(banned, 0), fact.until_ns)
            case control.Handover():
                pass  # for people: the connections' own records say what follows from it

    def _disconnected(self, fact: control.Disconnected, now: int) -> None:
        gone = self.context.connections.pop(fact.connection, None)
        if gone is None:
            return
        others = [c for c in self.context.connections.values() if c.venue == gone.venue]
        for venue_symbol, symbol in gone.symbols.items():
            if not any(venue_symbol in other.symbols for other in others):
                self._tail(gone.venue, symbol, TailEvent("open", now))

    def _tail(self, venue: str, symbol: str, event: TailEvent) -> None:
        tails = self._of(SequenceKey(venue, symbol)).tails
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


def _unserved(listed: list[int], first: int, last: int, limit: int) -> list[tuple[int, int, str]]:
    """Return the ranges before and behind what a page lists of [first, last], and what that says of them.

    A page that begins late has forgotten what lies before; one that is not full has nothing behind its end.

    >>> _unserved([12, 13], 10, 15, 1000)
    [(10, 11, 'retention'), (14, 15, 'not served')]
    >>> _unserved([12, 13], 10, 15, 2)
    [(10, 11, 'retention')]
    >>> _unserved([], 10, 15, 1000)
    [(10, 15, 'not served')]
    """
    if not listed:
        return [(first, last, "not served")]
    ends = [(first, listed[0] - 1, "retention")]
    if len(listed) < limit:
        ends.append((listed[-1] + 1, last, "not served"))
    return [end for end in ends if end[0] <= end[1]]

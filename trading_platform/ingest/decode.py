"""Turn records of a lane into trades as columns and facts for the ledger. Deterministic: no clock, no I/O.

Wire formats are venues/, limits are bounds.py, what the facts amount to is gap_detector.py. The decoder's only
memory is which symbols each connection carries; it goes through `context` from process to process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from trading_platform.domain.decimals import EXACT_DIGITS, significant_digits
from trading_platform.domain.errors import FrameError
from trading_platform.domain.instrument import Instrument
from trading_platform.domain.position import Position
from trading_platform.domain.trade import Source, Trade
from trading_platform.domain.venue import VenueAdapter
from trading_platform.ingest import control
from trading_platform.ingest.bounds import Bounds
from trading_platform.store.ledger.rows import Batch, Claim, Quarantined, Seen, SequenceKey, TailEvent
from trading_platform.store.segment_log import Kind, Record

_SIDES = {"buy": 1, "sell": -1, None: 0}


@dataclass
class Columns:
    """Trades of one sequence in the order of the log, one list a column (side: 1 buy, -1 sell, 0 unknown)."""

    trade_id: list[int] = field(default_factory=list)
    ts_event: list[int] = field(default_factory=list)
    ts_recv: list[int] = field(default_factory=list)
    price: list[float] = field(default_factory=list)
    quantity: list[float] = field(default_factory=list)
    side: list[int] = field(default_factory=list)
    source: list[Source] = field(default_factory=list)

    def extend(self, other: Columns) -> None:
        """Append the other's rows."""
        for name in self.__dataclass_fields__:
            getattr(self, name).extend(getattr(other, name))


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
    """

    def __init__(self, lane: str, venues: Mapping[str, VenueAdapter], bounds: Bounds, context: str = "") -> None:
        self._lane = lane
        self._venues = venues
        self._bounds = bounds
        self._context = msgspec.json.decode(context, type=_Context) if context else _Context()

    def context(self) -> str:
        """Return the decoder's memory as text."""
        return msgspec.json.encode(self._context).decode()

    def decode(self, records: Iterable[Record], start: Position, end: Position) -> Decoded:
        """Decode the records of [start, end). Nothing raises: what cannot be read is quarantined."""
        work = _Work(self._lane, self._venues, self._bounds, self._context)
        for record in records:
            work.take(record)
        return work.finish(start, end)


class _Work:
    """One call of `Decoder.decode`."""

    def __init__(self, lane: str, venues: Mapping[str, VenueAdapter], bounds: Bounds, context: _Context) -> None:
        self.lane, self.venues, self.bounds, self.context = lane, venues, bounds, context
        self.columns: dict[SequenceKey, Columns] = {}
        self.seen: dict[SequenceKey, Seen] = {}
        self.quarantine: list[Quarantined] = []
        self.instruments: list[Instrument] = []
        self.bans: dict[str, int] = {}

    def take(self, record: Record) -> None:
        if record.kind == Kind.FRAMES:
            self._frames(record)
        elif record.kind == Kind.PAGE:
            self._page(record)
        else:
            self._control(record)

    def finish(self, start: Position, end: Position) -> Decoded:
        for key, columns in self.columns.items():
            ids = np.asarray(columns.trade_id, np.int64)
            unique, first = np.unique(ids, return_index=True)
            seen = self._of(key)
            seen.ids, seen.ts = unique, np.asarray(columns.ts_event, np.int64)[first]
        batch = Batch(self.lane, start, end, self.seen, self.quarantine, self.instruments, self.bans)
        return Decoded(batch, self.columns)

    def _of(self, key: SequenceKey) -> Seen:
        return self.seen.setdefault(key, Seen())

    # ---- frames of a stream

    def _frames(self, record: Record) -> None:
        connection = self.context.connections.get(record.connection)
        if connection is None:
            self._refuse(record, 0, "?", None, None, "ws", FrameError("connection", "frames of an unknown connection"))
            return
        adapter = self.venues[connection.venue]
        live: set[str] = set()
        for item, frame in enumerate(record.frames):
            try:
                trades = adapter.decode_frame(frame, connection.symbols)
            except FrameError as error:
                self._refuse(record, item, connection.venue, None, None, "ws", error, frame)
                continue
            for trade in trades:
                self._trade(record, item, connection.venue, trade, "ws", frame)
                live.add(trade.symbol)
        for symbol in live:
            self._tail(connection.venue, symbol, TailEvent("live", record.ts_recv))

    def _trade(self, record: Record, item: int, venue: str, trade: Trade, source: Source, raw: bytes | None) -> None:
        """Take one trade in; `raw` None: it came in a page, which is too large to keep once for each bad trade."""
        number = trade.trade_id
        if number is None:
            error = FrameError("id", "a trade without an id")
            self._refuse(record, item, venue, trade.symbol, None, source, error, raw or msgspec.json.encode(trade))
            return
        key = SequenceKey(venue, trade.symbol)
        if trade.void is not None:
            self._of(key).voids.append(Claim(number, number, trade.void, record.ts_recv))
            return
        price, quantity = float(trade.price), float(trade.quantity)
        broken = self.bounds.broken(trade, price, quantity, record.ts_recv)
        if broken is not None:
            error = FrameError(broken, f"{trade.price} x {trade.quantity} at {trade.ts_event}")
            self._refuse(record, item, venue, trade.symbol, number, source, error, raw or msgspec.json.encode(trade))
            return
        if len(trade.price) > EXACT_DIGITS or len(trade.quantity) > EXACT_DIGITS:
            self._flag_precision(record, item, venue, trade, source, raw or msgspec.json.encode(trade))
        columns = self.columns.get(key)
        if columns is None:
            columns = self.columns[key] = Columns()
        columns.trade_id.append(number)
        columns.ts_event.append(trade.ts_event)
        columns.ts_recv.append(record.ts_recv)
        columns.price.append(price)
        columns.quantity.append(quantity)
        columns.side.append(_SIDES[trade.side])
        columns.source.append(source)

    def _flag_precision(self, record: Record, item: int, venue: str, trade: Trade, source: Source, raw: bytes) -> None:
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
            trades = adapter.decode_page(body, page.symbol)
        except FrameError as error:
            self._refuse(record, 1, page.venue, page.symbol or None, None, page.source, error, body)
            return
        for item, trade in enumerate(trades, start=1):
            self._trade(record, item, page.venue, trade, page.source, None)
        self._listing(record, page, adapter, [trade.trade_id for trade in trades if trade.trade_id is not None])

    def _listing(self, record: Record, page: control.Page, adapter: VenueAdapter, ids: list[int]) -> None:
        key = SequenceKey(page.venue, page.symbol)
        if page.kind == "head":
            self._tail(page.venue, page.symbol, TailEvent("closed", record.ts_recv))
        elif page.from_id is not None and adapter.ids == "contiguous":
            expected = page.from_id
            for number in sorted(ids):
                if number > expected:
                    claim = Claim(expected, number - 1, "the venue's listing skips it twice", record.ts_recv)
                    self._of(key).skips.append(claim)
                expected = max(expected, number + 1)

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
            case control.Undertaken():
                seen = self._of(SequenceKey(fact.venue, fact.symbol))
                seen.undertaken = fact.from_id if seen.undertaken is None else min(seen.undertaken, fact.from_id)
            case control.BanSeen():
                self.bans[fact.venue] = max(self.bans.get(fact.venue, 0), fact.until_ns)

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
        record: Record,
        item: int,
        venue: str,
        symbol: str | None,
        trade_id: int | None,
        source: Source,
        error: FrameError,
        raw: bytes | None = None,
    ) -> None:
        if raw is None:
            raw = record.frames[item] if item < len(record.frames) else b""
        detail = str(error)[:500]
        at = record.position
        self.quarantine.append(
            Quarantined(at, item, venue, symbol, trade_id, source, error.kind, detail, record.ts_recv, raw[:65536])
        )

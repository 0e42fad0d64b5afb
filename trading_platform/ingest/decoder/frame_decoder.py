"""Decode the stream frames of a lane's connections, for one batch: frames in, trades and refused frames out.

There is one object for each connection. Frames of a venue's usual form are read many at a time (trade_scanner.py), all
others one by one by the venue's adapter, with the same result. Which connections there are is told by control records
(control_reader.py); to which epoch a stream's trade belongs is decided at the batch's end (epoch_assigner.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.completeness.records import SequenceKey
from trading_platform.domain.errors import FrameError
from trading_platform.domain.trades.sequencing import prove_completeness
from trading_platform.domain.trades.trade import Trade
from trading_platform.domain.trades.trade_columns import TradeColumns
from trading_platform.ingest.decoder.batch_facts import BatchOutput
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoder_state import Connection, DecoderContext
from trading_platform.ingest.decoder.page_claims import raw_of
from trading_platform.ingest.decoder.payload_ids import EqualTrades
from trading_platform.ingest.decoder.quarantine import Origin, unpacked
from trading_platform.ingest.decoder.trade_buffer import UNASSIGNED
from trading_platform.ingest.decoder.trade_scanner import SymbolTable
from trading_platform.ingest.decoder.venue_readers import VenueReaders
from trading_platform.store.log.segment_format import TABLE_AT, PackedRecord
from trading_platform.store.log.writer import Record
from trading_platform.venues.adapter import StreamDecoder, VenueAdapter

Int64 = npt.NDArray[np.int64]
_NEVER = np.iinfo(np.int64).min
_Mark = tuple[int | None, int, int, float, float]
"""The first five of a trade's TradeColumns."""


class StreamVoid(NamedTuple):
    """An id that a stream says holds no trade: where it was read, and the bytes of its frame."""

    origin: Origin
    trade: Trade
    frame: bytes


class ConnectionDecoder:
    """Reads the frames of one connection by its venue's adapter.

    What a venue's frames mean only in the order of their connection is known to the adapter's own decoder; its state is
    kept with the connection from batch to batch.

    Attributes
    ----------
    decode : returns the trades of a frame; raises FrameError only.
    epoch : of the trades: UNASSIGNED, or that of a venue whose ids prove nothing.
    numbers : for each symbol that delivered in this batch, the number of its key in the buffer.
    """

    def __init__(self, connection: Connection, adapter: VenueAdapter) -> None:
        self.connection = connection
        self.venue = connection.venue
        self._adapter, self._began = adapter, connection.state
        self._frames = self.again()
        self.decode: Callable[[bytes], list[Trade]] = self._frames.decode
        self.epoch = UNASSIGNED if prove_completeness(adapter.sequencing) else 0
        self.numbers: dict[str, int] = {}
        self._scan_keys: tuple[SymbolTable, Int64] | None = None

    def keep_state(self) -> None:
        """Have the connection remember what its frames so far mean to those that follow."""
        self.connection.state = self._frames.state()

    @property
    def stateless(self) -> bool:
        """Whether no frame so far depended on another, or means anything to a later one."""
        return not self._began and not self._frames.state()

    def again(self) -> StreamDecoder:
        """Return a decoder of the same frames, from the first one of the batch on."""
        return self._adapter.decoder(self.connection.symbols, self._began)

    def about(self, frame: bytes) -> tuple[str | None, int | None]:
        """Return symbol and id of the first trade that a frame which does not decode seems to hold."""
        for name, trade_id in self._adapter.peek(frame)[:1]:
            if (symbol := self.connection.symbols.get(name)) is not None:
                return symbol, trade_id
        return None, None

    def scan_keys(self, readers: VenueReaders, output: BatchOutput) -> tuple[SymbolTable, Int64]:
        """Return the scanner's table of the symbols, and for each of them the number of its key in the buffer."""
        if self._scan_keys is None:
            table = readers.table(self.connection.symbols)
            keys = [SequenceKey(self.venue, self.connection.symbols[name], UNASSIGNED) for name in table.names]
            self._scan_keys = table, np.asarray([output.trades.number(key) for key in keys], np.int64)
        return self._scan_keys


class FrameDecoder:
    """Decodes the stream frames of one batch."""

    def __init__(self, context: DecoderContext, readers: VenueReaders, bounds: Bounds, output: BatchOutput) -> None:
        self._connections, self._clock, self._equals = context.connections, context.clock, context.equals
        self._readers, self._bounds, self._output = readers, bounds, output
        self._decoders: dict[int, ConnectionDecoder] = {}
        self._read: list[tuple[Record | PackedRecord, ConnectionDecoder]] = []
        self._voids: list[StreamVoid] = []
        # For each key number the latest receive time of a frame that is not told yet.
        self._alive = np.full(16, _NEVER)
        # The key numbers of trades read one by one in this record.
        self._delivered: set[int] = set()

    def decode(self, record: Record | PackedRecord) -> None:
        """Take the frames of one record."""
        self._clock.frames(record.ts_recv)
        connection = self._connections.get(record.connection)
        if connection is None:
            error = FrameError("connection", "frames of an unknown connection")
            self._output.quarantine.refuse(Origin(record, 0, "?", "ws"), None, None, error)
            return
        decoder = self._decoder(record.connection, connection)
        self._read.append((record, decoder))
        if isinstance(record, PackedRecord):
            if self._readers.scanner(decoder.venue) is not None:
                self._scan(record, decoder)
                self._note_delivered(decoder, record.ts_recv)
                return
            self._readers.count_unscanned(record.frame_count)
            record = record.record()
        for item, frame in enumerate(record.frames):
            self._frame(record, item, decoder, frame)
        self._note_delivered(decoder, record.ts_recv)

    def keep_states(self) -> None:
        """Have each connection remember what later frames depend on; at the batch's end."""
        for decoder in self._decoders.values():
            decoder.keep_state()

    def tell_alive(self) -> None:
        """Report the streams that delivered since the last call. Call it before reporting that a stream ended."""
        for number in np.flatnonzero(self._alive != _NEVER).tolist():
            key = self._output.trades.key(number)
            self._output.facts.tail(key.venue, key.symbol, "live", self._clock.live(int(self._alive[number])))
        self._alive[:] = _NEVER

    def voids(self) -> Sequence[StreamVoid]:
        """Return the ids without a trade; their epochs are known at the batch's end."""
        return self._voids

    def find(self, key: SequenceKey, stream: TradeColumns, rows: Sequence[int]) -> Mapping[int, tuple[Origin, bytes]]:
        """Return for some rows of a symbol's trades where each was read, and the bytes of its frame.

        Columns of trades do not say where they came from: of nearly none is it ever asked. Each record is read once.
        """
        asked = stream.rows(np.asarray(rows, np.int64))
        wanted: dict[_Mark, list[int]] = {}
        marks = zip(*(column.tolist() for column in asked[:5]), strict=True)
        for row, mark in zip(rows, marks, strict=True):
            wanted.setdefault(mark, []).append(row)
        instants = set(asked.ts_recv.tolist())
        found: dict[int, tuple[Origin, bytes]] = {}
        again: dict[ConnectionDecoder, StreamDecoder] = {}
        for record, decoder in self._read:
            if decoder.venue != key.venue or (record.ts_recv not in instants and decoder.stateless):
                continue
            if decoder not in again:
                again[decoder] = decoder.again()
            for item, frame in enumerate(unpacked(record).frames):
                for mark in _marks(again[decoder], key.symbol, frame, record.ts_recv):
                    if waiting := wanted.get(mark):
                        found[waiting.pop(0)] = Origin(record, item, key.venue, "ws"), frame
        return found

    def _decoder(self, number: int, connection: Connection) -> ConnectionDecoder:
        held = self._decoders.get(number)
        if held is None or held.connection is not connection:  # its number may have been given again
            held = self._decoders[number] = ConnectionDecoder(connection, self._readers.adapter(connection.venue))
        return held

    def _scan(self, record: PackedRecord, decoder: ConnectionDecoder) -> None:
        """Take the usual frames many at a time, each of the others by itself, all in their order."""
        scanner = self._readers.scanner(decoder.venue)
        assert scanner is not None
        table, numbers = decoder.scan_keys(self._readers, self._output)
        self._make_room(self._output.trades.key_count())
        body, count = record.body, record.frame_count
        item, at = 0, record.frames_at
        while True:
            item, at = scanner.scan(
                body, TABLE_AT, count, (item, at), record.ts_recv, table, numbers, self._alive, self._output.trades
            )
            if item == count:
                return
            end = at + int.from_bytes(body[TABLE_AT + 4 * item : TABLE_AT + 4 * item + 4], "little")
            self._frame(record, item, decoder, body[at:end])
            item, at = item + 1, end

    # Venues without a usual form have every frame read here: what a frame seldom needs (its origin, what a record's
    # frames have in common) is made once a record, or where it is needed.
    def _frame(self, record: Record | PackedRecord, item: int, decoder: ConnectionDecoder, frame: bytes) -> None:
        try:
            trades = decoder.decode(frame)
        except FrameError as error:
            origin = Origin(record, item, decoder.venue, "ws")
            self._output.quarantine.refuse(origin, *decoder.about(frame), error, frame)
            return
        ts_recv = record.ts_recv
        for read in trades:
            number = decoder.numbers.get(read.symbol)
            if number is None:
                key = SequenceKey(decoder.venue, read.symbol, decoder.epoch)
                number = decoder.numbers[read.symbol] = self._output.trades.number(key)
            self._delivered.add(number)
            if decoder.epoch != UNASSIGNED:
                trade = self._named(decoder, read)
            elif read.trade_id is None or read.void is not None:
                self._no_trade(Origin(record, item, decoder.venue, "ws"), read, frame)
                continue
            else:
                trade = read
            price, quantity, wrong, stored = self._bounds.check(trade, ts_recv)
            if wrong is not None:
                origin, raw = Origin(record, item, decoder.venue, "ws"), raw_of(trade, frame)
                self._output.quarantine.refuse(origin, trade.symbol, trade.trade_id, wrong, raw)
            if stored:
                self._output.trades.append(number, trade, ts_recv, price, quantity, "ws")

    def _no_trade(self, origin: Origin, trade: Trade, frame: bytes) -> None:
        """Take what has no id, though the venue's ids are to prove completeness, or an id that holds no trade."""
        if trade.trade_id is not None:
            self._voids.append(StreamVoid(origin, trade, frame))
            return
        error = FrameError("id", "a trade without an id")
        self._output.quarantine.refuse(origin, trade.symbol, None, error, raw_of(trade, frame))

    def _named(self, decoder: ConnectionDecoder, trade: Trade) -> Trade:
        """Return a trade whose ids prove nothing with its text id."""
        if trade.trade_uid is not None:
            return trade
        return self._equals.setdefault(f"{decoder.venue} {trade.symbol}", EqualTrades()).name(trade)

    def _note_delivered(self, decoder: ConnectionDecoder, ts_recv: int) -> None:
        """Take note that symbols' streams delivered in a record; if their ids prove nothing, also since when."""
        if not self._delivered:
            return
        self._make_room(self._output.trades.key_count())
        for number in self._delivered:
            self._alive[number] = max(self._alive[number], ts_recv)
            if decoder.epoch != UNASSIGNED:
                key = self._output.trades.key(number)
                begun_ns = decoder.connection.heard.setdefault(key.symbol, ts_recv)
                self._output.facts.heard(key, begun_ns, ts_recv)
        self._delivered.clear()

    def _make_room(self, keys: int) -> None:
        if (lacking := keys - len(self._alive)) > 0:
            self._alive = np.concatenate([self._alive, np.full(max(lacking, len(self._alive)), _NEVER)])


def _marks(decoder: StreamDecoder, symbol: str, frame: bytes, ts_recv: int) -> list[_Mark]:
    """Return the values by which a symbol's trades in a frame are known again in their columns."""
    try:
        trades = decoder.decode(frame)
    except FrameError:
        return []
    return [
        (trade.trade_id, trade.ts_event, ts_recv, float(trade.price), float(trade.quantity))
        for trade in trades
        if trade.symbol == symbol and trade.void is None
    ]

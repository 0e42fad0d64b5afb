"""Read control records: which connection carries what, and facts that the recorder and the recovery wrote down.

The records themselves are store/log/control_records.py; what the facts prove is completeness/.
"""

from __future__ import annotations

from trading_platform.completeness.records import Claim, ListedDay, SequenceKey
from trading_platform.domain.channels import check_channel
from trading_platform.domain.errors import FrameError
from trading_platform.ingest.decoder.batch_facts import BatchOutput
from trading_platform.ingest.decoder.decoder_state import Connection, DecoderContext, ListingProgress
from trading_platform.ingest.decoder.quarantine import Origin
from trading_platform.ingest.decoder.venue_readers import VenueReaders
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Record

_OfIds = control.Declared | control.Unserved | control.Undertaken
_OfConnections = control.Started | control.Connected | control.Disconnected | control.LostRecord


class ControlReader:
    """Reads the control records of one batch; keeps the table of connections in `context`."""

    def __init__(self, context: DecoderContext, readers: VenueReaders, output: BatchOutput) -> None:
        self._connections, self._clock, self._readers = context.connections, context.clock, readers
        self._readings = context.readings
        self._facts, self._quarantine = output.facts, output.quarantine

    def read(self, record: Record) -> None:
        """Take one record.

        Raises
        ------
        UsageError : if it tells of a connection to a venue, or of a channel, that is not known here.
        """
        try:
            fact = control.decode_control(b"".join(record.frames[:1]))
        except FrameError as error:
            self._quarantine.refuse(Origin(record, 0, "?", "ws"), None, None, error)
            return
        # Every record, of whatever kind, has its place in the order in which the lane tells of ends.
        told_ns = self._clock.event(record.ts_recv, getattr(fact, "after_ns", 0))
        match fact:
            case control.Started() | control.Connected() | control.Disconnected() | control.LostRecord():
                self._of_connections(fact, told_ns)
            case control.Declared() | control.Unserved() | control.Undertaken():
                self._of_ids(fact, record.ts_recv)
            case control.BanSeen():
                # Streams have an address of their own: a ban from REST must not end recording.
                banned = fact.venue if fact.channel == "rest" else f"{fact.venue}/{fact.channel}"
                self._facts.banned(banned, fact.until_ns)
            case control.ListingBegins() | control.Listed():
                self._of_listing(fact, record.ts_recv)
            case control.HandoverRecord():
                pass  # for people: the connections' own records say what follows from it

    def _of_connections(self, fact: _OfConnections, told_ns: int) -> None:
        match fact:
            case control.Started():
                self._connections.clear()
                for symbol in fact.symbols.values():
                    self._facts.tail(fact.venue, symbol, "open", told_ns)
            case control.Connected():
                self._readers.adapter(fact.venue)  # raises for a venue that is not known
                check_channel(fact.channel)
                self._connections[fact.connection] = Connection(fact.venue, fact.symbols)
            case control.Disconnected():
                self._disconnected(fact, told_ns)
            case control.LostRecord():
                for symbol in fact.symbols:
                    self._facts.tail(fact.venue, symbol, "open", told_ns)

    def _of_ids(self, fact: _OfIds, now_ns: int) -> None:
        key = SequenceKey(fact.venue, fact.symbol, fact.epoch)
        match fact:
            case control.Declared():
                self._facts.lost(key, Claim(fact.first_id, fact.last_id, fact.reason, now_ns))
            case control.Unserved():
                self._facts.unserved(key, [Claim(fact.first_id, fact.last_id, fact.reason, now_ns)])
            case control.Undertaken():
                self._facts.promised(key, fact.from_id, now_ns)

    def _of_listing(self, fact: control.ListingBegins | control.Listed, now_ns: int) -> None:
        key, name = SequenceKey(fact.venue, fact.symbol), f"{fact.venue} {fact.symbol} {fact.day}"
        match fact:
            case control.ListingBegins():
                self._facts.unproven(key)
                self._readings[name] = ListingProgress()
            case control.Listed():
                reading = self._readings.pop(name, None) or ListingProgress()
                refused = max(0, fact.trades - reading.stored)
                self._facts.whole_day(key, ListedDay(fact.day, fact.trades, refused, now_ns))

    def _disconnected(self, fact: control.Disconnected, told_ns: int) -> None:
        gone = self._connections.pop(fact.connection, None)
        if gone is None:
            return
        others = [each for each in self._connections.values() if each.venue == gone.venue]
        for venue_symbol, symbol in gone.symbols.items():
            if not any(venue_symbol in other.symbols for other in others):
                self._facts.tail(gone.venue, symbol, "open", told_ns)

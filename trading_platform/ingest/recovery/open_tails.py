"""Tell which sequences have an end that nobody watches, and cut gaps to ids. What is done about it is recovery.py."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from trading_platform.completeness.open_ends import OpenEnd
from trading_platform.domain.id_ranges import Range
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import held_by
from trading_platform.store.ledger import Gap, Ledger, SequenceRow


def ingest_lock(data: DataDir, venue: str) -> Path:
    """Return the lock that a running ingest of the venue holds."""
    return data.run / f"ingest-{venue}.lock"


def open_tails(data: DataDir, ledger: Ledger, venue: str | None = None) -> list[SequenceRow]:
    """Return the sequences whose end is unknown: lost, or called live while nobody listens."""
    return unknown_ends(data, ledger.sequences(venue))


def unknown_ends(data: DataDir, rows: Iterable[SequenceRow]) -> list[SequenceRow]:
    """Return those of the sequences whose end is unknown; each venue's lock is looked at once.

    A symbol whose ids prove nothing has no end that a venue could name: its days are compared with the venue's listing.
    """
    known = [row for row in rows if row.numbered]
    return _unknown(data, known)


def open_ends(data: DataDir, rows: Iterable[SequenceRow]) -> list[OpenEnd]:
    """Return the symbols of which nothing is known since a time: only the newest epoch of each has an end.

    A symbol whose ids prove nothing counts while its venue is recorded: a stop leaves nothing that could be asked.
    """
    newest = {(row.venue, row.symbol): row for row in rows}  # in the order of their epochs
    found = _unknown(data, newest.values())
    unproved = {row.venue for row in found if not row.numbered}
    recorded = {venue for venue in unproved if held_by(ingest_lock(data, venue)) is not None}
    return [OpenEnd(row.venue, row.symbol, row.tail_ns) for row in found if row.numbered or row.venue in recorded]


def _unknown(data: DataDir, known: Collection[SequenceRow]) -> list[SequenceRow]:
    live = {row.venue for row in known if row.tail == "live"}
    unwatched = {venue for venue in live if held_by(ingest_lock(data, venue)) is None}
    return [row for row in known if row.tail == "open" or (row.tail == "live" and row.venue in unwatched)]


def within_ids(gaps: Iterable[Gap], wanted: Mapping[tuple[str, str], Range]) -> Iterable[Gap]:
    """Cut gaps to the ids wanted of their symbols; what lies outside is left out."""
    for gap in gaps:
        first, last = wanted.get((gap.venue, gap.symbol), (0, -1))
        cut = gap._replace(first_missing=max(first, gap.first_missing), last_missing=min(last, gap.last_missing))
        if cut.missing > 0:
            yield cut

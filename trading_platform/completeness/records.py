"""Value types of the completeness ledger: sequences, gaps, days, leaves, claims, batches. Storing is store/ledger/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.domain.id_ranges import IdRanges, Range
from trading_platform.domain.instrument import Instrument
from trading_platform.domain.position import Position
from trading_platform.domain.trades.trade import Source
from trading_platform.domain.verdict import Verdict

Tail = Literal["live", "open", "closed"]
GapState = Literal["open", "leased", "filled", "unrecoverable", "void"]
DayState = Literal["recording", "repairing", "complete", "reconciled", "incomplete", "unproven"]


class SequenceKey(NamedTuple):
    """One id sequence: a venue's symbol, and the epoch of its numbering."""

    venue: str
    symbol: str
    epoch: int = 0


class SequenceRow(NamedTuple):
    """Where a sequence begins and ends, and whether it is being recorded; `tail_ns` says when that was learned."""

    venue: str
    symbol: str
    epoch: int
    from_id: int
    head: int
    tail: Tail
    tail_ns: int = 0

    @property
    def numbered(self) -> bool:
        """Whether there is an account of ids: there is none of a symbol whose ids prove nothing."""
        return (self.from_id, self.head) != (0, -1)


class DayRow(NamedTuple):
    """The stored ids of one symbol-day."""

    day: str
    epoch: int
    first_id: int
    last_id: int
    stored: int


class Gap(NamedTuple):
    """A closed range of missing ids and the state of its recovery (times in ns)."""

    id: int
    venue: str
    symbol: str
    epoch: int
    first_missing: int
    last_missing: int
    state: GapState
    reason: str
    attempts: int
    due_ns: int
    prev_ts: int | None
    next_ts: int | None

    @property
    def missing(self) -> int:
        """Return how many ids are missing."""
        return self.last_missing - self.first_missing + 1


class Lease(NamedTuple):
    """A bounded batch of gaps that one worker may fetch until `until_ns`."""

    id: str
    gaps: tuple[Gap, ...]
    until_ns: int


class DayStatus(NamedTuple):
    """Completeness of one symbol-day; counts of ids, None where unknown."""

    venue: str
    symbol: str
    day: str
    first_id: int | None
    last_id: int | None
    expected: int | None
    stored: int
    void: int
    open: int
    unrecoverable: int
    state: DayState


class LeafRecord(NamedTuple):
    """The ledger's entry for a published file.

    `content_hash` covers the content that downstream depends on, `file_sha256` the bytes, `input_hash` the inputs;
    `end_state` names the state in which a stateful dataset ended the day; `first_id`, `last_id` are the least and the
    greatest id of ticks, None where they have none.
    """

    rows: int
    content_hash: str
    file_sha256: str
    input_hash: str | None = None
    end_state: str | None = None
    first_id: int | None = None
    last_id: int | None = None


class LeafEntry(NamedTuple):
    """The ledger's whole entry for a leaf: the published file, a pending one, and the gate's last verdict."""

    record: LeafRecord | None = None
    intent: LeafRecord | None = None
    verdict: Verdict | None = None


class Conflict(NamedTuple):
    """Two copies of one trade that differ; payload texts, the stored one first."""

    venue: str
    symbol: str
    epoch: int
    trade_id: int
    kept: str
    other: str


class Quarantined(NamedTuple):
    """A quarantined record, with its raw bytes and the reason."""

    position: Position
    item: int
    venue: str
    symbol: str | None
    trade_id: int | None
    source: Source
    kind: str
    detail: str
    ts_recv: int
    raw: bytes


class Claim(NamedTuple):
    """A statement of `seen_ns` about a range of ids: void, lost, skipped by a listing, or not served."""

    first_id: int
    last_id: int
    reason: str
    seen_ns: int


class EpochReset(NamedTuple):
    """Where a venue restarted its ids: the end of one epoch and the beginning of the next.

    Attributes
    ----------
    ended_id, ended_ns : the greatest id of the old epoch, and its trade time.
    first_id, begins_ns : the least id of the new epoch, and its trade time.
    known_ns : receive time of the trade that confirmed it.
    """

    ended_id: int
    ended_ns: int
    first_id: int
    begins_ns: int
    known_ns: int


class Reach(NamedTuple):
    """The least and the greatest id, and the earliest and the latest time, of a sequence's stored trades."""

    from_id: int
    head: int
    first_ns: int
    last_ns: int


class TailEvent(NamedTuple):
    """A fact about a sequence's end (its tail), and when it was learned (receive time)."""

    tail: Tail
    seen_ns: int


Int64 = npt.NDArray[np.int64]


def _none() -> Int64:
    return np.empty(0, np.int64)


class ListedDay(NamedTuple):
    """A venue's own listing of one day: how many trades, how many rows that could not be read, when it was taken."""

    day: str
    trades: int
    refused: int
    seen_ns: int


class TextDay(NamedTuple):
    """A day of a symbol whose ids prove nothing: trades published, and the venue's listing of it, if there is one.

    `disputed`: how many conflicts there are between a published trade and its copy in the listing.
    """

    venue: str
    symbol: str
    day: str
    held: int
    listed: ListedDay | None
    disputed: int = 0

    @property
    def equal(self) -> bool:
        """Whether the published trades are those of the listing.

        All of it was taken in, so equal numbers tell that they are the same ones; no copy differs, that they say the
        same.
        """
        whole = self.listed is not None and not self.listed.refused and self.listed.trades == self.held
        return whole and not self.disputed


@dataclass
class Seen:
    """What one decoded batch shows about one sequence.

    `ids` ascending without repeats, `ts` their trade times; `voids`: ids whose record says by its type that they are
    no trade, `void_times` when they were used; `undertaken`: the id from which on all trades are to be stored;
    `promises`: every such id, and when it was promised;
    `witnessed`: the greatest id that the venue is known to have used although its trade was unreadable (-1: none).

    For a symbol whose ids prove nothing: `heard`: by connection, the receive times of its first and its latest trade;
    `listed`: the days whose listing by the venue was read.
    """

    ids: Int64 = field(default_factory=_none)
    ts: Int64 = field(default_factory=_none)
    voids: list[Claim] = field(default_factory=list)
    void_times: dict[int, int] = field(default_factory=dict)
    lost: list[Claim] = field(default_factory=list)
    skips: list[Claim] = field(default_factory=list)
    unserved: list[Claim] = field(default_factory=list)
    tails: list[TailEvent] = field(default_factory=list)
    undertaken: int | None = None
    promises: list[Claim] = field(default_factory=list)
    witnessed: int = -1
    heard: dict[int, int] = field(default_factory=dict)
    listed: list[ListedDay] = field(default_factory=list)


@dataclass
class SequenceState:
    """The gap detector's state of one sequence; `from_id` is None before its first id.

    `used_up` are the void ids whose own records say that they are no trade: none of them is ever stored.
    `skips` and `unserved` keep only the earliest and the latest claim about each range.
    """

    from_id: int | None = None
    head: int = -1
    head_ts: int = 0
    tail: Tail = "live"
    tail_ts: int = 0
    stored: IdRanges = field(default_factory=IdRanges)
    void: IdRanges = field(default_factory=IdRanges)
    used_up: IdRanges = field(default_factory=IdRanges)
    unrecoverable: IdRanges = field(default_factory=IdRanges)
    skips: list[Claim] = field(default_factory=list)
    unserved: list[Claim] = field(default_factory=list)

    def open(self) -> list[Range]:
        """Return the maximal ranges of [from_id, head] that are neither stored nor void nor unrecoverable."""
        if self.from_id is None:
            return []
        accounted = self.stored.copy()
        accounted.update(self.void)
        accounted.update(self.unrecoverable)
        return list(accounted.missing(self.from_id, self.head))


@dataclass
class Batch:
    """All facts from one decoded part of a lane: written to the ledger in one transaction.

    `resets`: the epoch reset with which a sequence begins. `readmitted`: positions (position, item) of records
    that were quarantined earlier and are accepted now. `listed_ns`: when each of the instruments was listed.
    """

    lane: str
    start: Position
    end: Position
    seen: Mapping[SequenceKey, Seen] = field(default_factory=dict)
    quarantine: list[Quarantined] = field(default_factory=list)
    instruments: list[Instrument] = field(default_factory=list)
    bans: dict[str, int] = field(default_factory=dict)
    resets: dict[SequenceKey, EpochReset] = field(default_factory=dict)
    readmitted: list[tuple[Position, int]] = field(default_factory=list)
    listed_ns: list[int] = field(default_factory=list)

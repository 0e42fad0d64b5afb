"""Detect that a venue restarted its trade ids, and tell to which epoch (numbering) a trade belongs. Pure.

Within an epoch ids rise with the trades' times. A trade whose id contradicts its time (traded later than a greater id,
or implausibly far ahead) is set aside; a second such trade close to it confirms that the venue restarted its ids, and a
new epoch begins. Nothing else starts an epoch: no duplicate, no history sent again, no disorder, no single stray id.

Only a stream starts epochs, in the order of its lane (`Numbering`). The epoch of any other copy follows from its time
and the recorded resets (`epoch_of`); `contradicts` checks it against stored trades. How far is "far ahead", and by how
much times may disagree, are facts of the venue, handed in: `Contiguous` (domain/trades/sequencing.py). Why:
docs/decisions/0014-a-numbering-that-starts-again.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import msgspec
import numpy as np
import numpy.typing as npt

from trading_platform.completeness.records import EpochReset, Reach
from trading_platform.domain.trades.sequencing import Contiguous
from trading_platform.domain.trades.trade_columns import TradeColumns
from trading_platform.domain.units import NS_PER_S

Int64 = npt.NDArray[np.int64]

_MS = 1_000_000
MOST_SUSPECTS = 8
SUSPECT = -1
"""The epoch of a trade that belongs to no known epoch."""
HERE = -1
"""The segment of a suspect in the batch being judged; its `item` is then the row."""


class Suspect(msgspec.Struct, frozen=True, array_like=True):
    """A trade set aside until a second one confirms it: its columns, and where in the lane it lies."""

    trade_id: int
    ts_event: int
    ts_recv: int
    price: float
    quantity: float
    side: int
    segment: int = HERE
    offset: int = 0
    item: int = 0


class EpochAssignment(NamedTuple):
    """The result for some consecutive trades of a stream.

    Attributes
    ----------
    epochs : the epoch of each trade, or SUSPECT; None: all belong to the newest.
    rising : whether the ids ascend, so that callers need not check again.
    readmitted : suspects of earlier batches that are confirmed now, each with its epoch.
    resets : the confirmed resets, each with the number of the epoch that begins.
    """

    epochs: Int64 | None
    rising: bool = False
    readmitted: Sequence[tuple[int, Suspect]] = ()
    resets: Sequence[tuple[int, EpochReset]] = ()


class _Judging(NamedTuple):
    facts: Contiguous
    epochs: Int64
    readmitted: list[tuple[int, Suspect]]
    resets: list[tuple[int, EpochReset]]


def epoch_of(resets: Sequence[EpochReset], trade_id: int, ts_event: int) -> int:
    """Return the epoch of a trade by its time; near a reset, by the epoch to which its id is closer.

    Examples
    --------
    >>> resets = [EpochReset(1000, 50_000_000, 1, 90_000_000, 95_000_000)]
    >>> epoch_of(resets, 990, 49_000_000), epoch_of(resets, 5, 91_000_000), epoch_of(resets, 2000, 93_000_000)
    (0, 1, 1)
    >>> epoch_of(resets, 1003, 70_000_000), epoch_of(resets, 1, 70_000_000)
    (0, 1)
    """
    for epoch, reset in enumerate(resets):
        if is_later(reset.ended_ns, ts_event):
            return epoch
        if not is_later(ts_event, reset.begins_ns):
            new = is_later(ts_event, reset.ended_ns) and trade_id <= reset.ended_id
            if not new and abs(trade_id - reset.ended_id) < abs(trade_id - reset.first_id):
                return epoch
    return len(resets)


def is_later(ts_event: int, than_ns: int, tolerance_ms: int = 0) -> bool:
    """Tell whether a time is later, in whole milliseconds: a venue's channels truncate times differently."""
    return ts_event // _MS > than_ns // _MS + tolerance_ms


def is_ahead(trade_id: int, ts_event: int, head: int, head_ns: int, facts: Contiguous, by: int) -> bool:
    """Tell whether an id lies further beyond the newest one than any symbol can have traded since.

    >>> facts = Contiguous(fastest=100_000)
    >>> is_ahead(10**12, 1_000, 5, 0, facts, 10**8), is_ahead(10**9, 10**15, 5, 0, facts, 10**8)
    (True, False)
    """
    return trade_id - head > by + facts.fastest * max(0, ts_event - head_ns) // NS_PER_S


def contradicts(reach: Reach, trade_id: int, ts_event: int, facts: Contiguous, *, asked: bool = False) -> bool:
    """Tell whether a trade that is not stored cannot belong to a sequence of this reach.

    The earliest stored time may be the wrong time of a single trade. It counts against lower ids that were not
    requested, but not against ids `asked` for by number: a restarted id is later than everything stored.

    >>> held = Reach(100, 200, 5 * _MS, 9 * _MS)
    >>> [contradicts(held, 50, ms * _MS, Contiguous()) for ms in (20, 4)]
    [True, False]
    >>> [contradicts(held, 50, 7 * _MS, Contiguous(), asked=asked) for asked in (False, True)]
    [True, False]
    """
    if trade_id > reach.head:
        return is_ahead(trade_id, ts_event, reach.head, reach.last_ns, facts, facts.reset_ahead)
    if trade_id < reach.from_id:
        return is_later(ts_event, reach.last_ns if asked else reach.first_ns)
    return trade_id < reach.head and is_later(ts_event, reach.last_ns, facts.disorder_ms)


def extended(reach: Reach | None, trade_id: int, ts_event: int) -> Reach:
    """Return the reach of a sequence with one more trade."""
    if reach is None:
        return Reach(trade_id, trade_id, ts_event, ts_event)
    return Reach(
        min(reach.from_id, trade_id),
        max(reach.head, trade_id),
        min(reach.first_ns, ts_event),
        max(reach.last_ns, ts_event),
    )


class Numbering(msgspec.Struct):
    """What a lane's stream has shown of one symbol's ids: the state that is needed to judge the next trade.

    The result does not depend on how the stream is cut into batches.

    Attributes
    ----------
    first, first_ns, head, head_ns : the least and the greatest id of the newest epoch, and their times; `head` is None
        before the first trade.
    hole : the ids skipped by the latest step forward of more than one. If the id after it was a stray one, the
        epoch goes on inside the hole.
    resets : the ends of all epochs but the newest.
    suspects : contradicting trades, not yet confirmed; at most a few.
    run : the first and last of consecutive ids that came just now, lie below the head and are as late as it. A new
        epoch that begins in the millisecond in which the old one ended looks like this.
    """

    first: int = 0
    first_ns: int = 0
    head: int | None = None
    head_ns: int = 0
    hole: tuple[int, int] | None = None
    resets: list[EpochReset] = msgspec.field(default_factory=list, name="turns")  # the name in stored state
    suspects: list[Suspect] = []
    run: tuple[int, int] | None = None

    @property
    def epoch(self) -> int:
        """The newest epoch."""
        return len(self.resets)

    @classmethod
    def after(cls, resets: Sequence[EpochReset], reach: Reach | None) -> Self:
        """Return the initial state of a lane without context: what the ledger records."""
        if reach is None:
            return cls(resets=list(resets))
        first, head, first_ns, last_ns = reach
        return cls(first=first, first_ns=first_ns, head=head, head_ns=last_ns, resets=list(resets))

    def judge(self, trades: TradeColumns, facts: Contiguous) -> EpochAssignment:
        """Assign epochs to the next trades of the symbol's stream, in the order of their lane."""
        ids, times = trades.trade_id, trades.ts_event
        if self.head is None:
            self.first = self.head = int(ids[0])
            self.first_ns = self.head_ns = int(times[0])
        if self._rises(ids, times, facts):
            return EpochAssignment(None, rising=True)
        return EpochAssignment(None) if self._agrees(ids, times, facts) else self._one_by_one(trades, facts)

    def believes(self, trade_id: int, ts_event: int, facts: Contiguous) -> int:
        """Return the epoch of a void id, SUSPECT if it contradicts."""
        epoch = epoch_of(self.resets, trade_id, ts_event)
        return SUSPECT if epoch == self.epoch and self._contradicts(trade_id, ts_event, facts) else epoch

    def locate(self, places: Mapping[int, tuple[int, int, int]]) -> None:
        """Record the lane position (segment, offset, item) of the rows that were just set aside."""
        for at, suspect in enumerate(self.suspects):
            if suspect.segment == HERE:
                segment, offset, item = places[suspect.item]
                self.suspects[at] = msgspec.structs.replace(suspect, segment=segment, offset=offset, item=item)

    # ---- the two fast paths, for nearly all trades

    def _rises(self, ids: Int64, times: Int64, facts: Contiguous) -> bool:
        """Take trades that simply continue the epoch (a few comparisons); return whether they do."""
        assert self.head is not None
        before, last = self.head, int(ids[-1])
        if (
            self.suspects
            or int(ids[0]) <= before
            or last - before > facts.stray_ahead
            or not bool((ids[1:] > ids[:-1]).all())
            or not self._is_of_newest(times)
        ):
            return False
        if last - before > len(ids):
            self._note_hole(np.concatenate(([before], ids)))
        self.head, self.head_ns, self.run = last, int(times[-1]), None
        return True

    def _is_of_newest(self, times: Int64) -> bool:
        return not self.resets or is_later(int(times.min()), self.resets[-1].begins_ns)

    def _note_hole(self, heads: Int64) -> None:
        steps = np.flatnonzero(np.diff(heads) > 1)
        if len(steps):
            self.hole = int(heads[steps[-1]]) + 1, int(heads[steps[-1] + 1]) - 1

    def _agrees(self, ids: Int64, times: Int64, facts: Contiguous) -> bool:
        """Take trades with repeats or disorder but no contradiction; return whether that is so."""
        assert self.head is not None
        if self.suspects or int(ids.min()) < self.first or not self._is_of_newest(times):
            return False
        # For each trade the greatest id before it, and that id's trade time.
        known, known_ns = np.concatenate(([self.head], ids)), np.concatenate(([self.head_ns], times))
        heads = np.maximum.accumulate(known)
        new = np.concatenate(([True], heads[1:] > heads[:-1]))
        place = np.maximum.accumulate(np.where(new, np.arange(len(known)), 0))
        before, before_ns = heads[:-1], known_ns[place[:-1]]
        as_late = (ids < before) & (times // _MS >= before_ns // _MS)
        if bool(as_late.any()) or int((ids - before).max()) > facts.stray_ahead:
            return False
        self._note_hole(heads)
        self.head, self.head_ns, self.run = int(heads[-1]), int(known_ns[place[-1]]), None
        return True

    # ---- the slow path

    def _one_by_one(self, trades: TradeColumns, facts: Contiguous) -> EpochAssignment:
        epochs = np.empty(len(trades.trade_id), np.int64)
        judged = _Judging(facts, epochs, [], [])
        columns = (column.tolist() for column in trades[:6])  # a suspect always comes from a stream
        for row, (trade_id, ts_event, ts_recv, price, quantity, side) in enumerate(zip(*columns, strict=True)):
            trade = Suspect(trade_id, ts_event, ts_recv, price, quantity, side, item=row)
            epochs[row] = self._take(trade, judged)
        return EpochAssignment(epochs, readmitted=judged.readmitted, resets=judged.resets)

    def _take(self, trade: Suspect, judged: _Judging) -> int:
        assert self.head is not None
        trade_id, ts_event = trade.trade_id, trade.ts_event
        epoch = epoch_of(self.resets, trade_id, ts_event)
        if epoch < self.epoch:
            self.run = None
            return epoch
        if self._contradicts(trade_id, ts_event, judged.facts):
            return self._suspect(trade, judged)
        if trade_id > self.head:
            if any(ts_event >= suspect.ts_event for suspect in self.suspects):
                self.suspects = []  # the epoch goes on
            self._advance(trade_id, ts_event)
            return epoch
        if trade_id < self.first:
            self.first, self.first_ns = trade_id, ts_event
        as_late = trade_id < self.head and ts_event // _MS >= self.head_ns // _MS
        if not as_late or self._in_hole(trade_id):
            self.run = None
        elif self.run is not None and self.run[1] <= trade_id <= self.run[1] + 1:
            self.run = (self.run[0], trade_id)
        else:
            self.run = (trade_id, trade_id)
        return epoch

    def _advance(self, trade_id: int, ts_event: int) -> None:
        assert self.head is not None
        if trade_id > self.head + 1:
            self.hole = self.head + 1, trade_id - 1
        self.head, self.head_ns, self.run = trade_id, ts_event, None

    def _in_hole(self, trade_id: int) -> bool:
        return self.hole is not None and self.hole[0] <= trade_id <= self.hole[1]

    def _contradicts(self, trade_id: int, ts_event: int, facts: Contiguous) -> bool:
        if self.head is None or trade_id == self.head:
            return False
        if trade_id > self.head:
            return is_ahead(trade_id, ts_event, self.head, self.head_ns, facts, facts.stray_ahead)
        if trade_id < self.first:
            return is_later(ts_event, self.first_ns)
        return is_later(ts_event, self.head_ns, facts.disorder_ms) and not self._in_hole(trade_id)

    def _suspect(self, trade: Suspect, judged: _Judging) -> int:
        """Set a trade aside, or accept it together with those that it confirms."""
        assert self.head is not None
        facts = judged.facts
        confirmed = [suspect for suspect in self.suspects if _confirm(suspect, trade, facts)]
        if not any(suspect.trade_id != trade.trade_id for suspect in confirmed):
            self.suspects = [*self.suspects, trade][-MOST_SUSPECTS:]
            return SUSPECT
        members = sorted([*confirmed, trade], key=lambda member: (member.trade_id, member.ts_event))
        least, greatest = members[0], members[-1]
        far = is_ahead(least.trade_id, least.ts_event, self.head, self.head_ns, facts, facts.reset_ahead)
        if least.trade_id < self.head or far:
            self._reset(least, greatest, trade.ts_recv, judged)
        else:
            for member in members:
                if member.trade_id > self.head:
                    self._advance(member.trade_id, member.ts_event)
        self.suspects = []
        for suspect in confirmed:
            if suspect.segment == HERE:
                judged.epochs[suspect.item] = self.epoch
            else:
                judged.readmitted.append((self.epoch, suspect))
        return self.epoch

    def _reset(self, least: Suspect, greatest: Suspect, known_ns: int, judged: _Judging) -> None:
        """Begin an epoch."""
        assert self.head is not None
        first_id = least.trade_id
        if self.run is not None and self.run[1] + 1 == first_id:
            first_id = self.run[0]
        self.resets = [*self.resets, EpochReset(self.head, self.head_ns, first_id, least.ts_event, known_ns)]
        self.first, self.first_ns = first_id, least.ts_event
        self.head, self.head_ns = greatest.trade_id, greatest.ts_event
        self.hole = (least.trade_id + 1, greatest.trade_id - 1) if greatest.trade_id > least.trade_id + 1 else None
        self.run = None
        judged.resets.append((self.epoch, self.resets[-1]))


def _confirm(one: Suspect, other: Suspect, facts: Contiguous) -> bool:
    """Tell whether two suspects may belong to one epoch: ids close together, and the greater one not earlier."""
    ids, later = other.trade_id - one.trade_id, other.ts_event - one.ts_event
    return abs(ids) <= facts.nearby and (ids == 0 or later == 0 or (ids > 0) == (later > 0))

"""Derive each day's completeness from the account of ids. Pure: the ledger's rows in, one row a day out.

A boundary between two days is witnessed when both days hold a trade and no missing id lies between them.
Only a held trade is a witness: not a clock, not a connection, not the venue's word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from trading_platform.domain.days import day_range
from trading_platform.domain.sequence import IdRanges, Range
from trading_platform.store.ledger.rows import DayRow, DayState, DayStatus, SequenceKey, Tail


class Account(NamedTuple):
    """What is needed of one sequence: days ascending, missing ids by kind, voids, the tail, whether another began."""

    key: SequenceKey
    days: Sequence[DayRow]
    open: Sequence[Range]
    unrecoverable: Sequence[Range]
    void: Iterable[Range]
    tail: Tail
    ended: bool = False


def day_statuses(account: Account, today: str) -> list[DayStatus]:
    """Return one row for each day that holds a trade or is touched by a gap, ascending.

    Parameters
    ----------
    today : the UTC day that is not over yet.
    """
    if not account.days:
        return []  # what is missing lies on no day that is known: a day is witnessed by trades that are held
    spans = [
        (kind, *_span(account.days, gap), gap) for kind in ("open", "unrecoverable") for gap in getattr(account, kind)
    ]
    held = {row.day: row for row in account.days}
    names = set(held)
    for _, first, last, _ in spans:
        names.update(day_range(first, last))
    void = IdRanges(account.void)
    return [_status(account, day, held.get(day), spans, void, today) for day in sorted(names)]


def _span(days: Sequence[DayRow], gap: Range) -> tuple[str, str]:
    """Return the first and last day a missing range may touch: those of the held trades around it."""
    before = [row.day for row in days if row.first_id < gap[0]]
    after = [row.day for row in days if row.last_id > gap[1]]
    if not before:
        return after[0], after[0]
    return before[-1], after[0] if after else before[-1]


def _status(
    account: Account,
    day: str,
    row: DayRow | None,
    spans: Sequence[tuple[str, str, str, Range]],
    void: IdRanges,
    today: str,
) -> DayStatus:
    counts = {"open": 0, "unrecoverable": 0}
    left, right = _witnessed(account.days, day)
    for kind, first, last, gap in spans:
        if first <= day <= last:
            counts[kind] += gap[1] - gap[0] + 1
            left, right = left and first == day, right and last == day
    voids = sum(b - a + 1 for a, b in void.within(row.first_id, row.last_id)) if row else 0
    expected = row.last_id - row.first_id + 1 if row and left and right else None
    newest = bool(account.days) and day == account.days[-1].day
    return DayStatus(
        account.key.venue,
        account.key.symbol,
        day,
        row.first_id if row else None,
        row.last_id if row else None,
        expected,
        row.stored if row else 0,
        voids,
        counts["open"],
        counts["unrecoverable"],
        _state(account, left, right, counts, newest=newest, over=day < today),
    )


def _witnessed(days: Sequence[DayRow], day: str) -> tuple[bool, bool]:
    return any(row.day < day for row in days), any(row.day > day for row in days)


def _state(account: Account, left: bool, right: bool, counts: dict[str, int], *, newest: bool, over: bool) -> DayState:
    tail = account.tail if newest else None
    if not over or tail == "live":
        return "recording"
    if counts["open"] or tail == "open":
        return "repairing"
    if counts["unrecoverable"] or not left or (newest and account.ended):
        return "incomplete"
    return "complete" if right else "unproven"


_WORST: tuple[DayState, ...] = ("recording", "repairing", "incomplete", "unproven", "reconciled", "complete")


def together(statuses: Sequence[DayStatus]) -> DayStatus:
    """Return one row for a day of several numberings, given ascending: what lies between them is not proved.

    Its first id is of the oldest and its last of the newest numbering; how many to expect, nobody knows.
    """
    if len(statuses) == 1:
        return statuses[0]
    states = {status.state for status in statuses} | {"incomplete"}
    last_ids = [status.last_id for status in statuses if status.last_id is not None]
    return statuses[0]._replace(
        last_id=last_ids[-1] if last_ids else None,
        expected=None,
        stored=sum(status.stored for status in statuses),
        void=sum(status.void for status in statuses),
        open=sum(status.open for status in statuses),
        unrecoverable=sum(status.unrecoverable for status in statuses),
        state=next(state for state in _WORST if state in states),
    )

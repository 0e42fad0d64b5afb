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
    """What is needed of one sequence: days ascending, missing ids by kind, voids, the tail."""

    key: SequenceKey
    days: Sequence[DayRow]
    open: Sequence[Range]
    unrecoverable: Sequence[Range]
    void: Iterable[Range]
    tail: Tail


def day_statuses(account: Account, today: str) -> list[DayStatus]:
    """Return one row for each day that holds a trade or is touched by a gap, ascending.

    Parameters
    ----------
    today : the UTC day that is not over yet.
    """
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
        _state(account.tail if newest else None, left, right, counts, over=day < today),
    )


def _witnessed(days: Sequence[DayRow], day: str) -> tuple[bool, bool]:
    return any(row.day < day for row in days), any(row.day > day for row in days)


def _state(tail: Tail | None, left: bool, right: bool, counts: dict[str, int], *, over: bool) -> DayState:
    if not over or tail == "live":
        return "recording"
    if counts["open"] or tail == "open":
        return "repairing"
    if counts["unrecoverable"] or not left:
        return "incomplete"
    return "complete" if right else "unproven"

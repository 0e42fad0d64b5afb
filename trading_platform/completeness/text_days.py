"""Judge the days of symbols whose ids prove nothing: equal to the venue's own listing, or not proved. Pure.

Days of symbols whose ids prove which trades are missing are day_status.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from trading_platform.completeness.day_status import STATES, DayTable, ordinal_of
from trading_platform.completeness.records import DayState, SequenceRow, Tail, TextDay


def with_text_days(table: DayTable, days: Sequence[TextDay], sequences: Sequence[SequenceRow], today: str) -> DayTable:
    """Return the table with the days of symbols whose ids prove nothing in their places.

    `expected` is the number of trades that the venue lists, and known once its listing was taken in.

    Parameters
    ----------
    sequences : where every symbol stands; each of a listed symbol too, whose account of ids is empty.
    today : the UTC day that is not over yet.
    """
    number = {pair: at for at, pair in enumerate(table.pairs)}
    days = [day for day in days if (day.venue, day.symbol) in number]
    if not days:
        return table
    newest: dict[tuple[str, str], str] = {}
    for day in days:
        newest[day.venue, day.symbol] = max(day.day, newest.get((day.venue, day.symbol), ""))
    tails: Mapping[tuple[str, str], Tail] = {(row.venue, row.symbol): row.tail for row in sequences}
    none, no = np.zeros(len(days), np.int64), np.zeros(len(days), bool)
    states = [_state(day, today, live=_is_live(day, newest, tails)) for day in days]
    added = DayTable(
        table.pairs,
        np.array([number[day.venue, day.symbol] for day in days], np.int64),
        np.array([ordinal_of(day.day) for day in days], np.int64),
        no,
        no,
        none,
        none,
        np.array([day.listed is not None for day in days], bool),
        np.array([0 if day.listed is None else day.listed.trades for day in days], np.int64),
        np.array([day.held for day in days], np.int64),
        none,
        none,
        none,
        np.array([STATES.index(state) for state in states], np.int64),
    )
    columns = (np.concatenate(pair) for pair in zip(table[1:], added[1:], strict=True))
    joined = DayTable(table.pairs, *columns)
    return joined.take(np.lexsort((joined.ordinal, joined.pair)))


def _is_live(day: TextDay, newest: Mapping[tuple[str, str], str], tails: Mapping[tuple[str, str], Tail]) -> bool:
    pair = day.venue, day.symbol
    return day.day == newest[pair] and tails.get(pair) == "live"


def _state(day: TextDay, today: str, *, live: bool) -> DayState:
    if day.equal:
        return "reconciled"
    return "recording" if live or day.day >= today else "unproven"

"""Cross-check a venue's REST answers against other known facts before they are believed. Pure.

What to request, and retries, are ingest/recovery/ (fetcher.py, head_prober.py); contradictions between ids and times
are sequence_reset.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from trading_platform.completeness.records import Reach
from trading_platform.completeness.sequence_reset import is_later
from trading_platform.domain.trades.trade import Trade

SAME_MS = 1000
"""Two endpoints may give times of one trade that differ by this much."""
_MS = 1_000_000


def first_trade(first: tuple[int, int], since_ns: int, now_ns: int, listed: Sequence[Trade]) -> str | None:
    """Return why a trade cannot be the first at or after an instant, None if it can.

    Parameters
    ----------
    first : its id and time, as the venue gave them.
    now_ns : the latest possible trade time.
    listed : trades that another endpoint lists, from the id before it on.

    Examples
    --------
    >>> rows = [Trade("A-B", number, number * _MS, "1", "1", "buy") for number in (6, 7)]
    >>> first_trade((7, 7 * _MS), 7 * _MS, 9 * _MS, rows)
    >>> first_trade((7, 5 * _MS), 7 * _MS, 9 * _MS, rows)
    'it traded at 5000000, before that'
    >>> first_trade((7, 7 * _MS), 5 * _MS, 9 * _MS, rows)
    'trade 6 before it is of 6000000 already'
    """
    trade_id, told_ns = first
    if is_later(since_ns, told_ns):
        return f"it traded at {told_ns}, before that"
    if told_ns > now_ns:
        return f"it traded at {told_ns}, which is not yet"
    times = {trade.trade_id: trade.ts_event for trade in listed}
    own_ns, before_ns = times.get(trade_id), times.get(trade_id - 1)
    if own_ns is not None and abs(own_ns - told_ns) > SAME_MS * _MS:
        return f"its listing says that it traded at {own_ns}, not at {told_ns}"
    if before_ns is not None and not is_later(since_ns, before_ns):
        return f"trade {trade_id - 1} before it is of {before_ns} already"
    later = [
        number for number, ts_event in times.items() if number and number > trade_id and is_later(since_ns, ts_event)
    ]
    return f"trade {later[0]} after it is of {times[later[0]]} still" if later else None


def stale_head(head: Trade | None, held: Reach | None) -> str | None:
    """Return why a trade cannot be a symbol's newest, because a newer one is stored; None if it can.

    A lower id with a later time is not an older trade: the venue restarted its ids.
    """
    if held is None:
        return None
    if head is None or head.trade_id is None:
        return f"it has none, although {held.head} was delivered"
    if head.trade_id < held.head and not is_later(head.ts_event, held.last_ns):
        return f"it is {head.trade_id}, although {held.head} was delivered"
    return None

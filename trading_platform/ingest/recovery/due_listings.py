"""Which days of symbols whose ids prove nothing are to be compared with the venue's own file by now, and when again.

Fetching and comparing a file is archive_days.py, who asks is recovery.py and the sensor compare_days. How often a day
was asked for is kept in the ledger's facts: forgotten, it is asked for once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from trading_platform.domain.days import day_after, day_of, day_range, day_start
from trading_platform.domain.trades.sequencing import prove_completeness
from trading_platform.domain.units import NS_PER_S
from trading_platform.ingest.recovery.fetcher import Endpoint
from trading_platform.store.ledger import Ledger
from trading_platform.venues.archive import DailyArchive

WAITS_S = (0.0, 3_600.0, 6 * 3_600.0, 86_400.0, 3 * 86_400.0, 7 * 86_400.0)
"""How long after the attempt before a day is asked for again that does not equal its file: files come late, and are
published again. After the last attempt the day stays unproven until a person asks."""

Pair = tuple[str, str]
"""(venue, symbol)."""


class Attempts(msgspec.Struct, frozen=True, array_like=True):
    """How often a day was asked for, and when last."""

    count: int
    at_ns: int


def archives_of(endpoints: Mapping[str, Endpoint]) -> dict[str, DailyArchive]:
    """Return the daily files of venues whose ids prove nothing, by venue."""
    return {
        name: endpoint.adapter.archive
        for name, endpoint in endpoints.items()
        if endpoint.adapter.archive is not None and not prove_completeness(endpoint.adapter.sequencing)
    }


def due_days(ledger: Ledger, archives: Mapping[str, DailyArchive], now_ns: int) -> dict[Pair, list[str]]:
    """Return the days to ask for now, by (venue, symbol), ascending.

    All days from a symbol's first one on that are over, those without a trade too: while nothing is received, nothing
    else would tell that trades are missing.

    Parameters
    ----------
    archives : of the venues that can be asked.
    """
    found: dict[Pair, list[str]] = {}
    by_pair: dict[Pair, dict[str, bool]] = {}
    for known in ledger.text_days():
        if known.venue in archives:
            by_pair.setdefault((known.venue, known.symbol), {})[known.day] = known.equal
    for pair, equal in by_pair.items():
        asked, published_after_s = _asked(ledger, pair), archives[pair[0]].published_after_s
        over = (day for day in day_range(min(equal), day_of(now_ns)) if not equal.get(day, False))
        if due := [day for day in over if is_due(day, asked.get(day), published_after_s, now_ns)]:
            found[pair] = due
    return found


def is_due(day: str, asked: Attempts | None, published_after_s: float, now_ns: int) -> bool:
    """Tell whether a day's file is to be asked for now.

    >>> noon = day_start("2024-08-09") + 12 * 3600 * NS_PER_S
    >>> is_due("2024-08-08", None, 3600.0, noon), is_due("2024-08-09", None, 3600.0, noon)
    (True, False)
    >>> [is_due("2024-08-08", Attempts(1, noon), 3600.0, noon + minutes * 60 * NS_PER_S) for minutes in (59, 60)]
    [False, True]
    >>> is_due("2024-08-08", Attempts(len(WAITS_S), 0), 3600.0, noon)
    False
    """
    if day_start(day_after(day)) + int(published_after_s * NS_PER_S) > now_ns:
        return False
    if asked is None:
        return True
    return asked.count < len(WAITS_S) and asked.at_ns + int(WAITS_S[asked.count] * NS_PER_S) <= now_ns


def note_asked(ledger: Ledger, pair: Pair, days: Sequence[str], now_ns: int) -> None:
    """Remember that days were asked for; those that are equal by now are forgotten."""
    asked = _asked(ledger, pair)
    for day in days:
        asked[day] = Attempts(asked[day].count + 1 if day in asked else 1, now_ns)
    for found in ledger.text_days(*pair):
        if found.equal:
            asked.pop(found.day, None)
    ledger.remember(_fact(pair), msgspec.json.encode(asked).decode())


def _asked(ledger: Ledger, pair: Pair) -> dict[str, Attempts]:
    return msgspec.json.decode(ledger.fact(_fact(pair)) or "{}", type=dict[str, Attempts])


def _fact(pair: Pair) -> str:
    return f"listings:{pair[0]}:{pair[1]}"

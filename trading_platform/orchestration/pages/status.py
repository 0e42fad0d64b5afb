"""The completeness of every symbol, as the page `/platform/` shows it: what `status` prints, from the same ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from trading_platform.completeness.open_ends import Concern
from trading_platform.domain.days import day_after, day_of, day_range
from trading_platform.domain.units import NS_PER_S
from trading_platform.ingest.recovery.open_tails import open_ends
from trading_platform.store.fs.layout import DataDir

if TYPE_CHECKING:
    from trading_platform.completeness.records import DayState, DayStatus
    from trading_platform.store.ledger import Ledger

HEAT_DAYS, LEAST_HEAT_DAYS = 35, 7
MOST_SYMBOLS = 200


class SymbolRow(NamedTuple):
    """One symbol over all its days; `end` says whether anything is known of it up to now."""

    venue: str
    symbol: str
    days: int
    stored: int
    void: int
    open: int
    unrecoverable: int
    newest: str
    state: DayState
    end: str
    concern: Concern


class DayCells(NamedTuple):
    """A symbol's row of the calendar: state and number of missing trades of each day, None where nothing is held."""

    venue: str
    symbol: str
    cells: tuple[tuple[DayState, int] | None, ...]


class StatusPage(NamedTuple):
    """Everything the page shows."""

    root: str
    kind: str
    at: str
    symbols: Sequence[SymbolRow]
    days: Sequence[str]
    months: Sequence[tuple[str, int]]
    heat: Sequence[DayCells]
    most: int = MOST_SYMBOLS


def status_page(data: DataDir, ledger: Ledger | None, now_ns: int) -> StatusPage:
    """Return what the page shows of a data directory; `ledger` is None where nothing was ever recorded."""
    rows = [] if ledger is None else ledger.day_report(now_ns)
    kind = (ledger.kind() if ledger is not None else None) or "no"
    at = f"{datetime.fromtimestamp(now_ns // NS_PER_S, UTC):%Y-%m-%d %H:%M:%S} UTC"
    by_pair: dict[tuple[str, str], list[DayStatus]] = defaultdict(list)
    for row in rows:
        by_pair[row.venue, row.symbol].append(row)
    ends = {}
    if ledger is not None:
        ends = {(end.venue, end.symbol): end for end in open_ends(data, ledger.sequences())}
    symbols = []
    for pair, held in by_pair.items():
        end = ends.get(pair)
        concern = Concern.NONE if end is None else end.concern(now_ns)
        told = "known up to now" if end is None or not concern else end.text(now_ns)
        stored, void = sum(row.stored for row in held), sum(row.void for row in held)
        missing, lost = sum(row.open for row in held), sum(row.unrecoverable for row in held)
        newest = held[-1]
        counts = (len(held), stored, void, missing, lost)
        symbols.append(SymbolRow(*pair, *counts, newest.day, newest.state, told, concern))
    symbols.sort(key=lambda s: (not s.unrecoverable, not s.open, -s.concern, s.venue, s.symbol))
    days = _days(rows, day_of(now_ns))
    heat = [DayCells(s.venue, s.symbol, _cells(by_pair[s.venue, s.symbol], days)) for s in symbols]
    months = [(month, len(list(of))) for month, of in groupby(days, lambda day: day[:7])]
    return StatusPage(str(data.root), kind, at, symbols, days, months, heat)


def _days(rows: Sequence[DayStatus], today: str) -> tuple[str, ...]:
    """Return the calendar's days, up to the newest that is held."""
    newest = max((row.day for row in rows), default=today)
    oldest = max(min((row.day for row in rows), default=today), day_after(newest, 1 - HEAT_DAYS))
    return tuple(day_range(min(oldest, day_after(newest, 1 - LEAST_HEAT_DAYS)), newest))


def _cells(held: Sequence[DayStatus], days: Sequence[str]) -> tuple[tuple[DayState, int] | None, ...]:
    by_day = {row.day: (row.state, row.open + row.unrecoverable) for row in held}
    return tuple(by_day.get(day) for day in days)

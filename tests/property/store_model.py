"""What the store must come to, said plainly: sets of ids and copies of trades, from records in the model's own words.

Imports nothing that is tested. The records themselves are made, written and crashed upon in store_world.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tests.support.judges.naive import merge

DAYS = ("2024-08-08", "2024-08-09")
TAIL_RANK = {"live": 0, "open": 1, "closed": 2}
MIN_CONFIRMATION_INTERVAL_NS = 600 * 10**9


class Copy(NamedTuple):
    """One copy of a trade."""

    trade_id: int
    ts_event: int
    ts_recv: int
    source: str
    price: float
    quantity: float
    side: str
    epoch: int = 0


@dataclass(frozen=True)
class Told:
    """What one record of the log says; (symbol, …) everywhere."""

    end: tuple[int, int]
    ts_recv: int
    raw: tuple[int, int, tuple[bytes, ...]]  # kind, connection, frames
    copies: tuple[tuple[str, Copy], ...] = ()
    voids: tuple[tuple[str, int], ...] = ()
    refused: tuple[tuple[str, int, str], ...] = ()  # with the source
    lost: tuple[tuple[str, int, int], ...] = ()
    skips: tuple[tuple[str, int, int], ...] = ()
    tails: tuple[tuple[str, str], ...] = ()
    undertaken: tuple[tuple[str, int], ...] = ()


class Account(NamedTuple):
    """One symbol's ids."""

    from_id: int
    head: int
    tail: str
    stored: frozenset[int]
    void: frozenset[int]
    lost: frozenset[int]
    open: frozenset[int]


def account(told: Iterable[Told], symbol: str) -> Account | None:
    """Return the account of a symbol, None before anything shows that it has ids."""
    told = list(told)
    served = {copy.trade_id for t in told for name, copy in t.copies if name == symbol}
    voids = {number for t in told for name, number in t.voids if name == symbol}
    stored = served - voids
    undertaken = {number for t in told for name, number in t.undertaken if name == symbol}
    lost = {n for t in told for name, a, b in t.lost if name == symbol for n in range(a, b + 1)}
    if not (stored or voids or undertaken):
        return None
    evidence = served | voids | lost
    first = min(evidence | undertaken)
    head = max(evidence, default=first - 1)
    void = (voids | {n for n in skipped_twice(told, symbol) if first <= n <= head}) - stored
    refused = {n for t in told for name, n, source in t.refused if name == symbol and source != "ws"}
    lost = (lost | {n for n in refused if first <= n <= head}) - stored - void
    tails = [(t.ts_recv, TAIL_RANK[tail], tail) for t in told for name, tail in t.tails if name == symbol]
    tail = max(tails)[2] if tails else "live"
    rest = set(range(first, head + 1)) - stored - void - lost
    return Account(first, head, tail, *map(frozenset, (stored, void, lost, rest)))


def skipped_twice(told: Iterable[Told], symbol: str) -> set[int]:
    """Return the ids that two listings skip, ten minutes apart."""
    skips = [(t.ts_recv, set(range(a, b + 1))) for t in told for name, a, b in t.skips if name == symbol]
    return {
        n
        for at, ids in skips
        for later, others in skips
        if later - at >= MIN_CONFIRMATION_INTERVAL_NS
        for n in ids & others
    }


def rows(told: Iterable[Told]) -> dict[tuple[str, str], list[Copy]]:
    """Return the rows of every (symbol, day)."""
    by_leaf: dict[tuple[str, str], list[Copy]] = {}
    told = list(told)
    voids = {id_ for record in told for id_ in record.voids}
    for record in told:
        for symbol, copy in record.copies:
            if (symbol, copy.trade_id) in voids:
                continue
            by_leaf.setdefault((symbol, day_of(copy)), []).append(copy)
    return {leaf: merge.publish(copies)[0] for leaf, copies in by_leaf.items()}


def day_of(copy: Copy) -> str:
    """Return the day of a trade; all of them lie within a few minutes of one midnight."""
    return DAYS[copy.ts_event >= 1_723_161_600 * 10**9]

"""What is wrong with the data now, by cause: a silent venue is one, whatever symbols and gaps it shows in.

Reads the ledger. Failed runs are Dagster's and come from sensors/notify.py; who is told is telemetry/notices.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trading_platform.completeness.open_ends import Concern
from trading_platform.domain.cause import Cause
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.days import day_after, day_of
from trading_platform.ingest.recovery.open_tails import open_ends
from trading_platform.store.fs.layout import DataDir

if TYPE_CHECKING:
    from trading_platform.store.ledger import Ledger

STUBBORN = 5
"""A gap that as many attempts have not closed does not close by itself."""


def causes_now(data: DataDir, ledger: Ledger, now_ns: int) -> list[Cause]:
    """Return what is wrong, each cause once, ordered by key."""
    silent = _silent(data, ledger, now_ns)
    found = [*_of_silence(silent, ledger), *_of_gaps(ledger, set(silent)), *_of_gates(ledger, now_ns)]
    return sorted(found)


def _silent(data: DataDir, ledger: Ledger, now_ns: int) -> dict[str, list[tuple[int, str]]]:
    """Return the symbols of each venue of which nothing is known for too long, with since when."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for end in open_ends(data, ledger.sequences()):
        if end.concern(now_ns) is Concern.RED:
            found[end.venue].append((end.since_ns, f"{end.symbol} {end.text(now_ns)}"))
    return {venue: sorted(ends) for venue, ends in found.items()}


def _of_silence(silent: dict[str, list[tuple[int, str]]], ledger: Ledger) -> Iterator[Cause]:
    venues = {venue for venue, _ in ledger.symbols()}
    if len(silent) > 1 and silent.keys() == venues:
        first = min(ends[0] for ends in silent.values())
        symbols = sum(map(len, silent.values()))
        yield Cause("silent", "page", f"all {len(venues)} venues are silent, {symbols} symbols; {first[1]}")
        return
    for venue, ends in silent.items():
        more = f" and {len(ends) - 1} more symbols" if len(ends) > 1 else ""
        yield Cause(f"silent {venue}", "page", f"{venue} is silent: {ends[0][1]}{more}")


def _of_gaps(ledger: Ledger, silent: set[str]) -> Iterator[Cause]:
    """Name gaps that do not close, but of a silent venue: its gaps cannot."""
    gaps: Counter[str] = Counter()
    trades: Counter[str] = Counter()
    for gap in ledger.gaps():
        if gap.attempts >= STUBBORN and gap.venue not in silent:
            gaps[gap.venue] += 1
            trades[gap.venue] += gap.missing
    for venue, count in gaps.items():
        text = f"{venue}: {count:,} gaps with {trades[venue]:,} trades did not close in {STUBBORN} attempts"
        yield Cause(f"gaps {venue}", "ticket", text)


def _of_gates(ledger: Ledger, now_ns: int) -> Iterator[Cause]:
    """Name files of the last two days that their gate refused; of one symbol's day only the first dataset.

    What is computed from a refused file is refused or skipped because of it.
    """
    today = day_of(now_ns)
    refused: dict[tuple[str, str, str], str] = {}
    for leaf in sorted(
        ledger.refused((day_after(today, -1), today)), key=lambda leaf: list(DATASETS).index(leaf.dataset)
    ):
        refused.setdefault((leaf.venue, leaf.symbol, leaf.day), leaf.dataset)
    by_dataset: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for of, dataset in refused.items():
        by_dataset[dataset].append(of)
    for dataset, places in by_dataset.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        yield Cause(f"refused {dataset}", "ticket", f"{dataset} refused by the gate: {' '.join(places[0])}{more}")

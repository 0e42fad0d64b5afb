"""What the ledger knows of the leaves around one symbol-day, each day of a dataset asked for once.

A symbol-day has a leaf a timeframe, and each needs its own record, its inputs' and its predecessor's.
"""

from __future__ import annotations

from typing import Protocol

from trading_platform.completeness.records import LeafEntry, LeafRecord
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.verdict import Verdict
from trading_platform.pipeline.datasets.table import above
from trading_platform.pipeline.results import describe
from trading_platform.store.fs.layout import Leaf


class LeafEntryReader(Protocol):
    """What is asked of the ledger."""

    def entries(self, dataset: str, venue: str, symbol: str, day: str) -> dict[Leaf, LeafEntry]:
        """Return everything known of a symbol-day's leaves."""


class LedgerSnapshot:
    """The ledger's entries as they were when first asked for."""

    def __init__(self, ledger: LeafEntryReader) -> None:
        self._ledger = ledger
        self._days: dict[tuple[str, str, str, str], dict[Leaf, LeafEntry]] = {}

    def of_day(self, leaf: Leaf) -> dict[Leaf, LeafEntry]:
        """Return the entries of all leaves of the dataset, symbol and day of `leaf`."""
        key = (leaf.dataset, leaf.venue, leaf.symbol, leaf.day)
        if key not in self._days:
            self._days[key] = self._ledger.entries(*key)
        return self._days[key]

    def leaf(self, leaf: Leaf) -> LeafRecord | None:
        """Return what is published there."""
        return self._entry(leaf).record

    def verdict(self, leaf: Leaf) -> Verdict | None:
        """Return the gate's last answer."""
        return self._entry(leaf).verdict

    def refusal_above(self, leaf: Leaf) -> str:
        """Return why an input of the leaf was refused, empty if none was."""
        while DATASETS[leaf.dataset].upstream is not None:
            leaf = above(leaf)
            verdict = self.verdict(leaf)
            if verdict is not None and not verdict.passed:
                return f"{leaf.dataset} of {leaf.day} were refused: {describe(verdict)}"
        return ""

    def refused(self, leaf: Leaf) -> bool:
        """Tell whether the leaf, or an input of it, was refused when last computed."""
        verdict = self.verdict(leaf)
        return bool(self.refusal_above(leaf)) or (verdict is not None and not verdict.passed)

    def _entry(self, leaf: Leaf) -> LeafEntry:
        return self.of_day(leaf).get(leaf, LeafEntry())

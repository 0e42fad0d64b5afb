"""A symbol-day's inputs as the lake holds them, checked to be the very files the ledger speaks of.

What is done with them is the datasets' modules; the same from memory is as_of.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from trading_platform.analytics.regimes.scaled import ScaledModel
from trading_platform.pipeline import models
from trading_platform.pipeline.chain import Chain, Facts
from trading_platform.pipeline.datasets import DATASETS
from trading_platform.pipeline.models import DayOfBars
from trading_platform.pipeline.uncertain import Spans
from trading_platform.pipeline.work import RegimeConfig, Upstream
from trading_platform.store import lake, parquet
from trading_platform.store import schema as shapes
from trading_platform.store.layout import DataDir, Leaf
from trading_platform.store.ledger.rows import LeafRecord

_COLUMNS = ("epoch", "trade_id", "ts_event", "price", "quantity", "side")


class Records(Protocol):
    """Where the records of leaves come from."""

    def leaf(self, leaf: Leaf) -> LeafRecord | None:
        """Return what is published there."""


class Moved(Exception):
    """A file is not the one the ledger spoke of a moment ago: someone is publishing it, or died doing so."""

    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf
        super().__init__(f"{leaf.path} has just changed; try again")


@dataclass
class LakeInputs:
    """The inputs of one symbol's day."""

    data: DataDir
    records: Records
    chain: Chain
    day: str
    regimes: RegimeConfig
    _records: dict[Leaf, LeafRecord] = field(default_factory=dict)
    _models: dict[Leaf, ScaledModel] = field(default_factory=dict)

    def facts(self) -> Facts:
        """Return what decides the bars besides the trades."""
        return self.chain.facts(self.day)

    def ticks(self) -> pa.Table:
        """Return the held trades in the order of their ids; none on a day that only a gap touches."""
        mine = self.chain.ticks.get(self.day)
        if mine is None:
            return shapes.TICKS.empty_table().select(_COLUMNS)
        return self._read(mine.leaf, mine.record, list(_COLUMNS))

    def spans(self, facts: Facts, ticks: pa.Table) -> Spans:
        """Return where in the day a trade may be missing."""
        return self.chain.uncertain(self.day, facts, ticks)

    def record(self, leaf: Leaf) -> LeafRecord | None:
        """Return the record of a leaf, the same one however often it is asked for."""
        if leaf not in self._records:
            record = self.records.leaf(leaf)
            if record is None:
                return None
            self._records[leaf] = record
        return self._records[leaf]

    def upstream(self, leaf: Leaf) -> Upstream:
        """Return what is known of the leaf that `leaf` is computed from."""
        above = DATASETS[leaf.dataset].above(leaf)
        record = self.record(above)
        if record is None:
            raise Moved(above)
        return Upstream(record.content_hash, record.end_state)

    def bars(self, leaf: Leaf) -> pa.Table:
        """Return the bars that a leaf is computed from."""
        above = DATASETS[leaf.dataset].above(leaf)
        record = self.record(above)
        if record is None:
            raise Moved(above)
        return self._read(above, record, None)

    def model(self, leaf: Leaf) -> ScaledModel:
        """Return the regime model that labels a leaf: kept, or fitted now on the bars before its month, or shipped."""
        if leaf not in self._models:
            self._models[leaf] = models.in_force(self.data, self.regimes, leaf, self._days_of_bars)
        return self._models[leaf]

    def _days_of_bars(self, leaf: Leaf, first: str, last: str) -> list[DayOfBars]:
        """Return the bars of the timeframe of a leaf that are published for [first, last]."""
        days = [day for day in self.chain.days if first <= day <= last]
        return [found for day in days if (found := self._day_of_bars(leaf._replace(day=day))) is not None]

    def _day_of_bars(self, leaf: Leaf) -> DayOfBars | None:
        above = DATASETS[leaf.dataset].above(leaf)
        record = self.records.leaf(above)
        if record is None:
            return None
        return DayOfBars(leaf.day, record.content_hash, record.end_state, lambda: self._read(above, record, None))

    def _read(self, leaf: Leaf, record: LeafRecord, columns: list[str] | None) -> pa.Table:
        table = lake.read_leaf(self.data, leaf, columns)
        # Compared after reading: files are replaced whole, so what was read is what is still there.
        if table is None or parquet.file_sha256(self.data.lake / leaf.path) != record.file_sha256:
            raise Moved(leaf)
        return table

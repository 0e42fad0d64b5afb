"""A symbol-day's inputs as the lake holds them, checked to be the very files the ledger speaks of.

What is done with them is the datasets' modules; the same from memory is api/as_of.py.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from trading_platform.analytics.regimes.scaled import ScaledModel
from trading_platform.completeness.records import LeafRecord
from trading_platform.completeness.uncertain_spans import Spans
from trading_platform.domain.datasets import DATASETS
from trading_platform.pipeline.datasets.table import above as above_of
from trading_platform.pipeline.day_context import RegimeConfig, Upstream
from trading_platform.pipeline.ledger_snapshot import LedgerSnapshot
from trading_platform.pipeline.state import regime_models as models
from trading_platform.pipeline.state.regime_models import DayOfBars
from trading_platform.pipeline.tick_days import Chain, TickFacts, TickLedger
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import parquet, publish as lake, schema as shapes

_COLUMNS = ("epoch", "trade_id", "ts_event", "price", "quantity", "side")


class Moved(Exception):
    """A file is not the one the ledger speaks of: someone is publishing it, died doing so, or damaged it."""

    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf
        mend = (
            "rebuild it with: replay"
            if DATASETS[leaf.dataset].upstream is None
            else f"compute {leaf.dataset} of {leaf.day} again"
        )
        super().__init__(f"{leaf.path} is not the file that was published; {mend}")


@dataclass
class LakeInputs:
    """The inputs of one symbol's day."""

    data: DataDir
    known: LedgerSnapshot
    book: TickLedger
    chain: Chain
    day: str
    regimes: RegimeConfig
    _models: dict[Leaf, ScaledModel] = field(default_factory=dict)

    def facts(self) -> TickFacts:
        """Return what decides the bars besides the trades."""
        return self.chain.facts(self.day)

    def ticks(self) -> pa.Table:
        """Return the held trades in the order of their ids; none on a day that only a gap touches."""
        mine = self.chain.ticks.get(self.day)
        if mine is None:
            return shapes.TICKS.empty_table().select(_COLUMNS)
        return self._read(mine.leaf, mine.record, _COLUMNS)

    def spans(self, facts: TickFacts, ticks: pa.Table) -> Spans:
        """Return where in the day a trade may be missing."""
        return self.chain.uncertain(self.day, facts, ticks)

    def upstream(self, leaf: Leaf) -> Upstream:
        """Return what is known of the leaf that `leaf` is computed from."""
        above = above_of(leaf)
        record = self.known.leaf(above)
        if record is None:
            raise Moved(above)
        return Upstream(record.content_hash, record.end_state)

    def bars(self, leaf: Leaf, columns: Sequence[str]) -> pa.Table:
        """Return columns of the bars that a leaf is computed from."""
        above = above_of(leaf)
        record = self.known.leaf(above)
        if record is None:
            raise Moved(above)
        return self._read(above, record, columns)

    def model(self, leaf: Leaf) -> ScaledModel:
        """Return the regime model that labels a leaf: kept, or fitted now on the bars before its month, or shipped."""
        if leaf not in self._models:
            self._models[leaf] = models.in_force(self.data, self.regimes, leaf, self._days_of_bars)
        return self._models[leaf]

    def _days_of_bars(self, leaf: Leaf, first: str, last: str) -> list[DayOfBars]:
        """Return the bars of the timeframe of a leaf that are published for [first, last]."""
        days = self.chain.days[bisect_left(self.chain.days, first) : bisect_right(self.chain.days, last)]
        if len(days) < self.regimes.min_days:
            return []
        above = above_of(leaf)
        records = self.book.leaves(above.dataset, leaf.venue, leaf.symbol, None, leaf.timeframe)
        held = [above._replace(day=day) for day in days]
        return [self._day_of_bars(each, records[each]) for each in held if each in records]

    def _day_of_bars(self, leaf: Leaf, record: LeafRecord) -> DayOfBars:
        return DayOfBars(
            leaf.day, record.content_hash, record.end_state, lambda columns: self._read(leaf, record, columns)
        )

    def _read(self, leaf: Leaf, record: LeafRecord, columns: Sequence[str]) -> pa.Table:
        table = lake.read_leaf(self.data, leaf, columns)
        # Compared after reading: files are replaced whole, so what was read is what is still there.
        if table is None or not parquet.is_file(self.data.lake / leaf.path, record.file_sha256):
            raise Moved(leaf)
        return table

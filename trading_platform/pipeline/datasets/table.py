"""What the module of a dataset offers, and how it is found: the one of its name in this package.

The table itself, a line a dataset, is domain/datasets.py. Which days are stale, their order, gates and publishing are
pipeline.py; a symbol-day under work is day_context.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from trading_platform.domain.datasets import DATASETS, Dataset
from trading_platform.domain.errors import UsageError
from trading_platform.domain.verdict import Gate
from trading_platform.pipeline.results import LeafResult
from trading_platform.pipeline.tick_days import TickLedger
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import leaf_files as files

if TYPE_CHECKING:
    import pyarrow as pa

    from trading_platform.pipeline.day_context import DayContext, PipelineConfig


class Computed(NamedTuple):
    """A leaf's rows, and how its day ended.

    Attributes
    ----------
    state : what the next day starts from, None if the dataset is not stateful.
    ended : of a dataset that is not: one word for those who are computed from it.
    """

    table: pa.Table
    state: bytes | None = None
    ended: str | None = None


class VenueLedger(TickLedger, files.LeafLedger, Protocol):
    """What a dataset that is kept per venue asks of the ledger."""


class VenueDataset(Protocol):
    """What the module of a dataset offers that is kept per venue."""

    def refresh(self, data: DataDir, ledger: VenueLedger, venue: str, day: str, gate: Gate) -> LeafResult:
        """Bring a venue's day up to date."""


class Computation(Protocol):
    """What the module of a computed dataset offers."""

    def leaves(self, config: PipelineConfig, venue: str, symbol: str, day: str) -> list[Leaf]:
        """Return the leaves of a symbol-day."""

    def inputs(self, work: DayContext, leaf: Leaf) -> Mapping[str, Any]:
        """Return everything that decides the rows besides the previous day's end state; plain values, hashed."""

    def settings(self, config: PipelineConfig) -> Mapping[str, Any]:
        """Return what a state depends on: a state kept under other settings is not continued."""

    def compute(self, work: DayContext, leaf: Leaf, state: bytes | None) -> Computed:
        """Return the rows; `state` is the previous day's end state, None on a symbol's first day."""


def computation(dataset: Dataset) -> Computation:
    """Return the module that computes a dataset."""
    return cast("Computation", import_module(f"trading_platform.pipeline.datasets.{dataset.name}"))


def listing(dataset: Dataset) -> VenueDataset:
    """Return the module that brings a dataset up to date that is kept per venue."""
    return cast("VenueDataset", import_module(f"trading_platform.pipeline.datasets.{dataset.name}"))


def above(leaf: Leaf) -> Leaf:
    """Return the leaf that a leaf is computed from.

    >>> above(Leaf("bars", "binance", "BTC-USDT", "2024-08-08", "1m")).path.parts[0]
    'ticks'
    """
    upstream = DATASETS[leaf.dataset].upstream
    if upstream is None:
        raise UsageError(f"{leaf.dataset} are recorded, not computed")
    timeframe = leaf.timeframe if "timeframe" in DATASETS[upstream].keys else None
    return Leaf(upstream, leaf.venue, leaf.symbol, leaf.day, timeframe)

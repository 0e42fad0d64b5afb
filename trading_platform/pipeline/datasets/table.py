"""The table of datasets: what each is computed from, and the module that computes it.

A dataset is one file of this package, with the functions of `Computation`, and one line in `DATASETS`. Which of
its days are stale, their order, gates and publishing are pipeline.py; a symbol-day under work is day_context.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from trading_platform.domain.errors import UsageError
from trading_platform.store.fs.layout import Leaf

if TYPE_CHECKING:
    import pyarrow as pa

    from trading_platform.pipeline.day_context import Config, Work


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


class Computation(Protocol):
    """What the module of a computed dataset offers."""

    def leaves(self, config: Config, venue: str, symbol: str, day: str) -> list[Leaf]:
        """Return the leaves of a symbol-day."""

    def inputs(self, work: Work, leaf: Leaf) -> Mapping[str, Any]:
        """Return everything that decides the rows besides the previous day's end state; plain values, hashed."""

    def settings(self, config: Config) -> Mapping[str, Any]:
        """Return what a state depends on: a state kept under other settings is not continued."""

    def compute(self, work: Work, leaf: Leaf, state: bytes | None) -> Computed:
        """Return the rows; `state` is the previous day's end state, None on a symbol's first day."""


class Dataset(NamedTuple):
    """One dataset.

    Attributes
    ----------
    upstream : the dataset it is computed from, None for what is recorded.
    version : of the code; a new one makes every leaf stale.
    stateful : whether a day starts from the end of the one before.
    """

    name: str
    upstream: str | None
    version: int
    stateful: bool

    @property
    def computation(self) -> Computation:
        """The module that computes it."""
        return cast("Computation", import_module(f"trading_platform.pipeline.datasets.{self.name}"))

    def above(self, leaf: Leaf) -> Leaf:
        """Return the leaf that a leaf of this dataset is computed from.

        >>> DATASETS["bars"].above(Leaf("bars", "binance", "BTC-USDT", "2024-08-08", "1m")).path.parts[0]
        'ticks'
        """
        if self.upstream is None:
            raise UsageError(f"{self.name} are recorded, not computed")
        timeframe = leaf.timeframe if DATASETS[self.upstream].upstream is not None else None
        return Leaf(self.upstream, leaf.venue, leaf.symbol, leaf.day, timeframe)


DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        "ticks": Dataset("ticks", None, version=1, stateful=False),
        "bars": Dataset("bars", "ticks", version=2, stateful=False),
        "indicators": Dataset("indicators", "bars", version=2, stateful=True),
        "regimes": Dataset("regimes", "bars", version=2, stateful=True),
    }
)
"""Name to dataset, inputs before what is computed from them."""

COMPUTED = tuple(name for name, dataset in DATASETS.items() if dataset.upstream is not None)
"""The datasets that are computed from ticks, inputs first."""


def in_order(names: Iterable[str]) -> list[Dataset]:
    """Return the named datasets, inputs first.

    Raises
    ------
    UsageError : for a name that is not a dataset.

    Examples
    --------
    >>> [dataset.name for dataset in in_order(["regimes", "bars"])]
    ['bars', 'regimes']
    """
    wanted = list(names)
    for name in wanted:
        if name not in DATASETS:
            raise UsageError(f"{name[:40]!r} is not a dataset; datasets: {' '.join(DATASETS)}")
    return [dataset for name, dataset in DATASETS.items() if name in wanted]

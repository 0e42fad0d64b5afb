"""One symbol-day under work: the parameters, and what its datasets read, each read once.

Where the trades come from is behind `Inputs`: the lake (pipeline.py), or memory (api/as_of.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import pyarrow as pa

from trading_platform.analytics.folding.bars import Trades
from trading_platform.analytics.regimes.scaled import ScaledModel
from trading_platform.completeness.uncertain_spans import Spans
from trading_platform.domain.timeframe import TIMEFRAMES
from trading_platform.pipeline.bar_rows import trades_of
from trading_platform.pipeline.tick_days import TickFacts
from trading_platform.store.fs.layout import Leaf


class RegimeConfig(NamedTuple):
    """How regimes are labelled.

    Attributes
    ----------
    model, states : kind of model and number of regimes.
    timeframes : bars that are labelled, of those that are built.
    min_days : days of bars a fit needs; with fewer the shipped model labels.
    lookback_days : days before a month that its model is fitted on.
    """

    model: str = "gaussian_hmm"
    states: int = 2
    timeframes: tuple[str, ...] = ("1m", "5m", "15m", "1h", "4h", "1d")
    min_days: int = 14
    lookback_days: int = 90


class PipelineConfig(NamedTuple):
    """What is computed."""

    timeframes: tuple[str, ...] = tuple(TIMEFRAMES)
    indicators: tuple[str, ...] = ("sma_20", "ema_20", "rsi_14", "macd_12_26_9", "bbands_20_2", "atr_14", "vwap")
    regimes: RegimeConfig = RegimeConfig()


class Upstream(NamedTuple):
    """What a leaf was computed from: its rows' hash, and how its day ended in one word (``running``, ``over``)."""

    content_hash: str
    ended: str | None


class Inputs(Protocol):
    """Where a symbol-day's inputs come from."""

    def facts(self) -> TickFacts:
        """Return what decides the bars besides the trades."""

    def ticks(self) -> pa.Table:
        """Return the held trades in the order of their ids."""

    def spans(self, facts: TickFacts, ticks: pa.Table) -> Spans:
        """Return where in the day a trade may be missing."""

    def upstream(self, leaf: Leaf) -> Upstream:
        """Return what is known of the leaf that `leaf` is computed from."""

    def bars(self, leaf: Leaf, columns: Sequence[str]) -> pa.Table:
        """Return columns of the bars that a leaf is computed from."""

    def model(self, leaf: Leaf) -> ScaledModel:
        """Return the regime model that labels a leaf."""


@dataclass
class DayContext:
    """A symbol-day: everything is read at most once, and only if asked for."""

    config: PipelineConfig
    inputs: Inputs

    @cached_property
    def facts(self) -> TickFacts:
        """What decides the bars besides the trades."""
        return self.inputs.facts()

    @cached_property
    def _ticks(self) -> pa.Table:
        return self.inputs.ticks()

    @cached_property
    def trades(self) -> Trades:
        """The held trades, ready to be folded."""
        return trades_of(self._ticks)

    @cached_property
    def spans(self) -> Spans:
        """Where in the day a trade may be missing."""
        return self.inputs.spans(self.facts, self._ticks)


def timeframe_of(leaf: Leaf) -> str:
    """Return the timeframe of a leaf that has one."""
    if leaf.timeframe is None:
        raise ValueError(f"{leaf} has no timeframe")
    return leaf.timeframe

"""The dataset `bars`: every timeframe of the settings, folded from the day's ticks.

How trades become rows is bar_rows.py; which stretches of the day are uncertain is tick_days.py and uncertain_spans.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trading_platform.pipeline.bar_rows import day_bars
from trading_platform.pipeline.datasets.table import Computed
from trading_platform.pipeline.day_context import DayContext, PipelineConfig, timeframe_of
from trading_platform.pipeline.day_grid import OVER, RUNNING
from trading_platform.store.fs.layout import Leaf


def leaves(config: PipelineConfig, venue: str, symbol: str, day: str) -> list[Leaf]:
    """Return a leaf for each timeframe."""
    return [Leaf("bars", venue, symbol, day, timeframe) for timeframe in config.timeframes]


def settings(config: PipelineConfig) -> Mapping[str, Any]:  # noqa: ARG001 - one form for all datasets
    """Return nothing: bars have no parameters, and no state to keep."""
    return {}


def inputs(work: DayContext, leaf: Leaf) -> Mapping[str, Any]:  # noqa: ARG001 - the hash names the leaf already
    """Return what decides the rows: the trades' hash, and what lies before, between and after them."""
    facts = work.facts._asdict()
    # Of most symbols there is no listing: what they were computed from stays what it was.
    return facts if facts["listed"] else {name: value for name, value in facts.items() if name != "listed"}


def compute(work: DayContext, leaf: Leaf, state: bytes | None) -> Computed:  # noqa: ARG001 - no state
    """Fold the day."""
    facts = work.facts
    table = day_bars(
        work.trades,
        work.spans,
        day=leaf.day,
        timeframe=timeframe_of(leaf),
        running=facts.running,
        proof=facts.proof,
    )
    return Computed(table, ended=RUNNING if facts.running else OVER)

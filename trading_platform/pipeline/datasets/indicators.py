"""The dataset `indicators`: one column per output on the rows of bars, its state carried from day to day.

The steps and the rules of a stored day are analytics/driver.py; this reads bars and writes columns. What has no value
is null: a row without a held trade in every output, a row within the lookback.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from trading_platform.analytics import driver
from trading_platform.analytics.own_indicators import code_of
from trading_platform.domain.days import day_start
from trading_platform.domain.timeframe import timeframe_ns
from trading_platform.pipeline.datasets.table import Computed
from trading_platform.pipeline.day_context import DayContext, PipelineConfig, timeframe_of
from trading_platform.pipeline.day_grid import grid_end, numbers
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake import schema


def leaves(config: PipelineConfig, venue: str, symbol: str, day: str) -> list[Leaf]:
    """Return a leaf for each timeframe."""
    return [Leaf("indicators", venue, symbol, day, timeframe) for timeframe in config.timeframes]


def settings(config: PipelineConfig) -> Mapping[str, Any]:
    """Return the names, whose states are kept as one, and the code of those that are not built in."""
    told: dict[str, Any] = {"names": config.indicators, "state": driver.STATE_VERSION}
    codes = {node.indicator.name: code_of(node.indicator) for node in _plan(config.indicators).nodes}
    if own := {name: code for name, code in codes.items() if code is not None}:
        told["own"] = own
    return told


def inputs(work: DayContext, leaf: Leaf) -> Mapping[str, Any]:
    """Return the bars, and how their day ended: the grid is stepped to there."""
    return work.inputs.upstream(leaf)._asdict()


def compute(work: DayContext, leaf: Leaf, state: bytes | None) -> Computed:
    """Step over the day."""
    plan = _plan(work.config.indicators)
    needed = dict.fromkeys(("ts_open", "trade_count", "close", *plan.inputs))
    bars = work.inputs.bars(leaf, list(dict.fromkeys(["ts_open", "ts_close", "complete", *needed])))
    values, unknown, after = driver.run_day(
        plan,
        plan.start() if state is None else plan.from_bytes(state),
        numbers(bars, *needed),
        day_start_ns=day_start(leaf.day),
        timeframe_ns=timeframe_ns(timeframe_of(leaf)),
        end_ns=grid_end(bars, leaf.day, work.inputs.upstream(leaf)),
    )
    columns = {name: bars[name] for name in ("ts_open", "ts_close", "complete")}
    columns |= {name: pa.array(column, mask=unknown | np.isnan(column)) for name, column in values.items()}
    return Computed(pa.table(columns, schema=schema.indicators(plan.outputs)), plan.to_bytes(after))


@cache
def _plan(names: tuple[str, ...]) -> driver.Plan:
    return driver.plan(names)

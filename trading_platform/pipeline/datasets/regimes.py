"""The dataset `regimes`: for each row of bars which regime it lies in, judged by what was known at its close.

The filter is analytics/regimes/scaled.py, the choice of the model regime_models.py. A row without a held trade is null,
and so is one within the lookback: neither has a state or probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trading_platform.analytics.regimes import scaled
from trading_platform.analytics.regimes.hmm import Floats
from trading_platform.analytics.regimes.scaled import RegimeRows
from trading_platform.domain.days import day_start
from trading_platform.domain.timeframe import timeframe_ns
from trading_platform.pipeline.datasets.table import Computed
from trading_platform.pipeline.day_context import DayContext, PipelineConfig, timeframe_of
from trading_platform.pipeline.day_grid import grid_end, numbers
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake import schema


def leaves(config: PipelineConfig, venue: str, symbol: str, day: str) -> list[Leaf]:
    """Return a leaf for each timeframe that is both built and labelled."""
    wanted = [timeframe for timeframe in config.timeframes if timeframe in config.regimes.timeframes]
    return [Leaf("regimes", venue, symbol, day, timeframe, config.regimes.model) for timeframe in wanted]


def settings(config: PipelineConfig) -> Mapping[str, Any]:  # noqa: ARG001 - one form for all datasets
    """Return the state's form: under another model the scale goes on and the filter begins anew."""
    return {"state": scaled.STATE_VERSION}


def inputs(work: DayContext, leaf: Leaf) -> Mapping[str, Any]:
    """Return the bars and the model."""
    return {**work.inputs.upstream(leaf)._asdict(), "model": work.inputs.model(leaf).model_version}


def compute(work: DayContext, leaf: Leaf, state: bytes | None) -> Computed:
    """Filter the day."""
    model = work.inputs.model(leaf)
    bars = work.inputs.bars(leaf, ["ts_open", "ts_close", "trade_count", "close"])
    rows, after = scaled.run_day(
        model,
        model.start() if state is None else model.from_bytes(state),
        numbers(bars, "ts_open", "trade_count", "close"),
        day_start_ns=day_start(leaf.day),
        timeframe_ns=timeframe_ns(timeframe_of(leaf)),
        end_ns=grid_end(bars, leaf.day, work.inputs.upstream(leaf)),
    )
    return Computed(_table(bars, rows, model.model_version), model.to_bytes(after))


def _table(bars: pa.Table, rows: RegimeRows, model_version: str) -> pa.Table:
    stateless = rows.unknown | (rows.state < 0)
    count = len(stateless)
    columns: dict[str, Any] = {
        "ts_open": bars["ts_open"],
        "ts_close": bars["ts_close"],
        "state": pa.array(rows.state, mask=stateless),
        "label": pa.array(rows.label, pa.string(), mask=stateless),
        "change_probability": _floats(rows.change_probability, rows.unknown),
        "model_version": pa.array([model_version] * count, pa.string()),
    }
    for k in range(5):
        known = k < rows.probability.shape[1]
        columns[f"p_{k}"] = _floats(rows.probability[:, k], rows.unknown) if known else pa.nulls(count, pa.float64())
    return pa.table({name: columns[name] for name in schema.REGIMES.names}, schema=schema.REGIMES)


def _floats(values: Floats, unknown: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.array(values, mask=unknown | np.isnan(values))

"""Which regime model labels which day: kept per symbol, timeframe and calendar month below ``<data-dir>/state/models``.

A month's model is fitted on the days before its first one, when the first of its days is labelled, and then kept: a
repair of those days does not refit it. With too few days, or nothing to tell apart in them, the shipped model labels
the month; that is not kept, so the month gets its own model once older days have been filled in. A model is in
force from the first instant of its month.

Fitting is analytics/regimes/fit.py; what a model does to a day is regimes.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trading_platform.analytics.regimes.default import DEFAULT
from trading_platform.analytics.regimes.fit import fit_regimes
from trading_platform.analytics.regimes.hmm import GaussianHmm
from trading_platform.analytics.regimes.scaled import ScaledModel, new_scale, observe_day
from trading_platform.domain.days import day_after, day_start
from trading_platform.domain.errors import CorruptionError, UsageError, WorkError
from trading_platform.domain.timeframe import timeframe_ns
from trading_platform.pipeline.day_context import RegimeConfig, Upstream, timeframe_of
from trading_platform.pipeline.day_grid import grid_end, numbers
from trading_platform.store.fs.checked_file import unsealed, write_checked
from trading_platform.store.fs.disk import make_directory
from trading_platform.store.fs.layout import DataDir, Leaf

MAX_ROWS = 20_000
"""The newest observations a fit looks at: more change the model little and cost minutes a year."""

ROUNDS, TOLERANCE = 200, 1e-3
"""When a fit ends; a thousandth in log-likelihood is far below what tells two models apart."""

LEAST_MOVE, FEWEST_MOVES = 0.01, 5
"""A market must have moved, FEWEST_MOVES times a state. Where it stands still its scale ends at 1e-8 (scaled.py), so a
scaled return below LEAST_MOVE is a move in the eleventh digit: rounding, of which no model is made."""

Read = Callable[[Sequence[str]], pa.Table]
"""Column names to these columns of a day's bars."""


class DayOfBars(NamedTuple):
    """A day of published bars; `read` gives columns of its rows."""

    day: str
    content_hash: str
    ended: str | None
    read: Read


Days = Callable[[Leaf, str, str], Sequence[DayOfBars]]
"""(leaf, first, last) to the days of bars of its timeframe in [first, last], ascending."""

_complete: dict[str, bool] = {}
"""Whether a day of bars has a complete one, by content hash: asked again for every day of a month without a model."""


def in_force(data: DataDir, config: RegimeConfig, leaf: Leaf, days: Days) -> ScaledModel:
    """Return the model that labels a leaf.

    Parameters
    ----------
    days : where earlier bars are found, if a model must be fitted.

    Raises
    ------
    CorruptionError : if a kept model cannot be read.
    """
    path = path_of(data, config, leaf)
    if path.exists():
        return _kept(path)
    month = f"{leaf.day[:7]}-01"
    earlier = days(leaf, day_after(month, -config.lookback_days), day_after(month, -1))
    fitted = fit(config, timeframe_of(leaf), earlier)
    if fitted is None:
        return DEFAULT
    make_directory(path.parent)
    write_checked(path, fitted.to_json())
    return _named(fitted)


def _kept(path: Path) -> ScaledModel:
    data = path.read_bytes()
    try:
        # Older code wrote one line without a checksum.
        return _named(GaussianHmm.from_json(unsealed(data, "the model") if b"\n" in data else data))
    except WorkError as error:
        raise CorruptionError(f"{path}: {error}; remove it, and the month's model is fitted again") from error


def path_of(data: DataDir, config: RegimeConfig, leaf: Leaf) -> Path:
    """Return where the model that labels a leaf is kept."""
    above = leaf.directory.parent.relative_to(leaf.dataset)
    return data.state / "models" / above / f"states={config.states}" / f"{leaf.day[:7]}.json"


def fit(config: RegimeConfig, timeframe: str, days: Sequence[DayOfBars]) -> GaussianHmm | None:
    """Fit a model to days of bars, ascending; None with too few days, or without anything to tell apart."""
    if len(days) < config.min_days or sum(map(_has_complete, days)) < config.min_days:
        return None
    scale = new_scale()
    values = np.concatenate([_observations(scale, timeframe, day) for day in days])[-MAX_ROWS:]
    if np.count_nonzero(np.abs(values) > LEAST_MOVE) < FEWEST_MOVES * config.states:
        return None
    try:
        return fit_regimes(values, config.model, config.states, rounds=ROUNDS, tolerance=TOLERANCE)
    except UsageError:
        return None  # too few rows, or all of them alike


def _observations(scale: npt.NDArray[np.float64], timeframe: str, day: DayOfBars) -> npt.NDArray[np.float64]:
    """Return a day's scaled returns without those of incomplete bars, changing `scale`."""
    bars = day.read(["ts_open", "ts_close", "trade_count", "close", "complete"])
    columns = numbers(bars, "ts_open", "trade_count", "close")
    end_ns = grid_end(bars, day.day, Upstream(day.content_hash, day.ended))
    values, grid = observe_day(
        scale, columns, day_start_ns=day_start(day.day), timeframe_ns=timeframe_ns(timeframe), end_ns=end_ns
    )
    values[grid.slots[~bars["complete"].to_numpy()]] = np.nan
    return values[np.isfinite(values)]


def _has_complete(day: DayOfBars) -> bool:
    if day.content_hash not in _complete:
        if len(_complete) > 100_000:
            _complete.clear()
        _complete[day.content_hash] = bool(pc.any(day.read(["complete"])["complete"]).as_py())
    return _complete[day.content_hash]


def _named(hmm: GaussianHmm) -> ScaledModel:
    return ScaledModel(hmm, hmm.model_version)

"""Public indicator functions for notebooks and strategies: `compute` on a frame, and the table of indicators.

They are `trading_platform.compute` and `.indicator_table`; bar by bar is streams.py. The driver is driver.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_platform.analytics.checks import bar_times, check_grid
from trading_platform.analytics.dataframes import Column, Frame
from trading_platform.analytics.driver import Floats, Plan, run_days
from trading_platform.analytics.reference import table_rows
from trading_platform.domain.timeframe import timeframe_ns

if TYPE_CHECKING:
    import pandas as pd


def compute(bars: Any, names: Sequence[str], *, grid: bool | str | None = False) -> Any:
    """Compute indicators on the rows as given.

    Parameters
    ----------
    bars : a pandas, polars or Arrow table with the columns that the indicators use; rows in order of time.
    names : ``"rsi_14"``, ``"bbands_20_2"`` (all its outputs), ``"bbands_20_2_upper"`` (one of them),
        ``"ema_9__rsi_14"`` (EMA of RSI), ``"sma_20__quote_volume"`` (SMA of any column of numbers).
    grid : step the intervals that have no row as the lake does: known to be empty, they enter as the previous close
        with volume 0; a row without a trade does not step; days without a row are passed over. Then
        ``compute(read_bars(…), names, grid=True)``, from the symbol's first bar on, equals the stored indicators bit
        for bit. Needs ``ts_open``, ``close`` and, to know the width of a bar, ``ts_close`` (or give it: ``grid="1m"``).

    Returns
    -------
    A frame of the same kind: one float64 column per output, a row for each row given (same index in pandas). What has
    no value is null, NaN in pandas: rows within the lookback, and rows with a missing input, which do not step and
    do not harm the rows after them.

    Raises
    ------
    UsageError : a name is unknown, a parameter is out of bounds, a column is missing (named), stands there twice or
        holds no numbers; rows are out of order, or of several symbols, venues or timeframes.

    Notes
    -----
    With ``ts_open`` the session VWAP, OBV, A/D, PVT and NVI begin anew where the UTC day changes (not in daily bars).
    Without it the VWAP names the missing column and the others run through.

    Examples
    --------
    >>> import pandas as pd
    >>> compute(pd.DataFrame({"close": [1.0, 3.0, 5.0]}), ["sma_2"])["sma_2"].tolist()
    [nan, 2.0, 4.0]
    >>> times = pd.to_datetime(["2024-08-08 00:00", "2024-08-08 00:03"])
    >>> compute(pd.DataFrame({"ts_open": times, "close": [1.0, 7.0]}), ["sma_2"], grid="1m")["sma_2"].tolist()
    [nan, 4.0]
    """
    frame = Frame(bars)
    plan = Plan(names, frame.names)
    for name in plan.inputs:
        frame.need(name, plan.user_of(name))
    if plan.needs_times:
        frame.need("ts_open", plan.needs_times[0])
    ts_open, ts_close = bar_times(frame)
    columns = {name: frame.floats(name) for name in plan.inputs}
    if grid is False or grid is None:
        values = plan.run(plan.start(), columns, ts_open, ts_close)
    else:
        values = _on_grid(plan, frame, columns, grid)
    return frame.like({name: Column(array) for name, array in values.items()}, index=True)


def _on_grid(plan: Plan, frame: Frame, columns: dict[str, Floats], grid: bool | str) -> dict[str, Floats]:
    for name in ("ts_open", "close", *(["ts_close"] if grid is True else [])):
        frame.need(name, f"grid={grid!r}")
    ts_open, ts_close = bar_times(frame)
    if ts_open is None or not len(ts_open):
        return {name: np.empty(0) for name in plan.outputs}
    told = grid is True and ts_close is not None
    width = int(ts_close[0] - ts_open[0]) if told else timeframe_ns(grid)  # type: ignore[index,arg-type]
    check_grid(ts_open, ts_close, width)
    close = frame.floats("close")
    held = np.isfinite(close)
    if "trade_count" in frame:
        held &= frame.floats("trade_count") > 0
    return run_days(plan, columns | {"ts_open": ts_open, "close": close}, held, timeframe_ns=width)


def indicator_table() -> pd.DataFrame:
    """Return what can be computed: one row per indicator, spelled with its default parameters.

    Examples
    --------
    >>> table = indicator_table()
    >>> table.loc[table["name"] == "rsi_14", ["inputs", "lookback"]].values.tolist()
    [['close', 14]]
    """
    import pandas as pd

    return pd.DataFrame(table_rows())

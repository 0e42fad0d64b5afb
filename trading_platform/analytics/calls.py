"""Indicators for notebooks and strategies: `compute` on a frame, `Stream` bar by bar, the table to look at.

They are `trading_platform.compute`, `.stream` and `.indicator_table`. The driver they share is analytics/driver.py.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_platform.analytics.checks import bar_times
from trading_platform.analytics.driver import Plan
from trading_platform.analytics.frames import Column, Frame
from trading_platform.analytics.reference import table_rows
from trading_platform.domain.errors import UsageError, WorkError
from trading_platform.domain.instants import instant_ns

if TYPE_CHECKING:
    import pandas as pd


def compute(bars: Any, names: Sequence[str]) -> Any:
    """Compute indicators on the rows as given.

    Parameters
    ----------
    bars : a pandas, polars or Arrow table with the columns that the indicators use; rows in order of time.
    names : ``"rsi_14"``, ``"bbands_20_2"`` (all its outputs), ``"bbands_20_2_upper"`` (one of them),
        ``"ema_9__rsi_14"`` (EMA of RSI), ``"sma_20__volume"`` (SMA of a column).

    Returns
    -------
    A frame of the same kind: one float64 column per output, a row for each row given (same index in pandas).
    NaN during the lookback. A row with a missing input does not step and is NaN; the rows after it are not harmed.

    Raises
    ------
    UsageError : a name is unknown, a parameter is out of bounds, or a column is missing (named).

    Notes
    -----
    With ``ts_open`` the session VWAP begins anew where the UTC day changes (not in daily bars); it needs the column.

    Examples
    --------
    >>> import pandas as pd
    >>> compute(pd.DataFrame({"close": [1.0, 3.0, 5.0]}), ["sma_2"])["sma_2"].tolist()
    [nan, 2.0, 4.0]
    """
    plan = Plan(names)
    frame = Frame(bars)
    for name in plan.inputs:
        frame.need(name, _user_of(plan, name))
    if plan.restarts_daily:
        frame.need("ts_open", plan.restarts_daily[0])
    ts_open, ts_close = bar_times(frame)
    values = plan.run(plan.start(), {name: frame.floats(name) for name in plan.inputs}, ts_open, ts_close)
    return frame.like({name: Column(array) for name, array in values.items()}, index=True)


def _user_of(plan: Plan, column: str) -> str:
    return next(node.outputs[0] for node in plan.nodes if column in node.inputs)


_STREAM = struct.Struct("<4sHI")
_STREAM_MAGIC = b"TPST"


class Stream:
    """The same numbers as `compute`, one bar at a time.

    Parameters
    ----------
    names : as in `compute`.

    Examples
    --------
    >>> live = Stream(["sma_2"])
    >>> live.update({"close": 1.0}), live.update({"close": 3.0})
    ({'sma_2': nan}, {'sma_2': 2.0})
    >>> Stream.restore(live.state()).update({"close": 5.0})
    {'sma_2': 4.0}
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._plan = Plan(names)
        self._state = self._plan.start()

    @property
    def names(self) -> tuple[str, ...]:
        """The names asked for."""
        return self._plan.names

    @property
    def outputs(self) -> tuple[str, ...]:
        """The keys of what `update` returns."""
        return self._plan.outputs

    def update(self, bar: Any) -> dict[str, float]:
        """Step over one bar; return one number per output, NaN where there is none.

        Parameters
        ----------
        bar : a mapping, a row of a frame or an object with attributes: the columns the indicators use, and
            ``ts_open`` (``ts_close``) where something begins anew each day. None and NaN are missing: no step.

        Raises
        ------
        UsageError : if a value that is needed is absent or no number.
        """
        plan = self._plan
        columns = {name: np.array([_number(bar, name, plan)]) for name in plan.inputs}
        ts_open = ts_close = None
        if plan.uses_days:
            opened = _get(bar, "ts_open")
            if opened is None and plan.restarts_daily:
                raise UsageError(f"column 'ts_open' is missing; {plan.restarts_daily[0]} needs it")
            if opened is not None:
                ts_open = np.array([instant_ns(opened)])
                closed = _get(bar, "ts_close")
                ts_close = None if closed is None else np.array([instant_ns(closed)])
        return {name: float(x[0]) for name, x in plan.run(self._state, columns, ts_open, ts_close).items()}

    def state(self) -> bytes:
        """Return everything that `restore` needs to go on."""
        names = json.dumps(self._plan.names).encode()
        return _STREAM.pack(_STREAM_MAGIC, 1, len(names)) + names + self._plan.to_bytes(self._state)

    @classmethod
    def restore(cls, data: bytes) -> Stream:
        """Return the stream that `state` saved.

        Raises
        ------
        WorkError : if the bytes are no state of a stream, or were cut.
        """
        try:
            magic, version, length = _STREAM.unpack_from(data)
            if (magic, version) != (_STREAM_MAGIC, 1):
                raise WorkError("not the state of a stream")
            names = json.loads(data[_STREAM.size : _STREAM.size + length])
            stream = cls(names)
        except (struct.error, ValueError, TypeError, UsageError) as error:
            raise WorkError(f"not the state of a stream: {error}") from error
        stream._state = stream._plan.from_bytes(data[_STREAM.size + length :])
        return stream


def _get(bar: Any, name: str) -> Any:
    try:
        return bar.get(name) if isinstance(bar, Mapping) or hasattr(bar, "get") else getattr(bar, name, None)
    except (KeyError, IndexError):
        return None


def _has(bar: Any, name: str) -> bool:
    return name in bar if isinstance(bar, Mapping) or hasattr(bar, "keys") else hasattr(bar, name)


def _number(bar: Any, name: str, plan: Plan) -> float:
    if not _has(bar, name):
        raise UsageError(f"column {name!r} is missing; {_user_of(plan, name)} needs it")
    value = _get(bar, name)
    if value is None:
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{name} is {str(value)[:40]!r}, no number") from None


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

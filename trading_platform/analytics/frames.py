"""Frames of any kind as numpy columns and back: pandas, polars or Arrow; what goes in comes out.

Only the library whose frame was given is imported. What is computed on the columns is elsewhere.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.domain.errors import UsageError

Kind = Literal["pandas", "polars", "arrow"]
Array = npt.NDArray[Any]

_NS_PER = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


class Column(NamedTuple):
    """A column to give back: its values, where it is null, and whether it holds instants (ns, UTC)."""

    data: Array
    null: npt.NDArray[np.bool_] | None = None
    instant: bool = False


class Frame:
    """A frame of pandas, polars or Arrow, read by column.

    Raises
    ------
    UsageError : if it is none of them.
    """

    def __init__(self, data: Any) -> None:
        module = type(data).__module__.partition(".")[0]
        name = type(data).__name__
        if module == "polars" and name == "LazyFrame":
            data, name = data.collect(), "DataFrame"
        if module == "pyarrow" and name == "RecordBatch":
            data, name = sys.modules["pyarrow"].Table.from_batches([data]), "Table"
        kinds: dict[tuple[str, str], Kind] = {
            ("pandas", "DataFrame"): "pandas",
            ("polars", "DataFrame"): "polars",
            ("pyarrow", "Table"): "arrow",
        }
        if (module, name) not in kinds:
            raise UsageError(f"{type(data).__name__} is no frame; give a pandas, polars or Arrow table")
        self.data = data
        self.kind = kinds[module, name]
        names = data.column_names if self.kind == "arrow" else data.columns
        self.names = [str(n) for n in names]

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __len__(self) -> int:
        return int(self.data.num_rows) if self.kind == "arrow" else len(self.data)

    def need(self, name: str, by: str) -> None:
        """Raise a UsageError naming the column if it is missing."""
        if name not in self.names:
            raise UsageError(f"column {name!r} is missing; {by} needs it")

    def floats(self, name: str) -> npt.NDArray[np.float64]:
        """Return a column as float64, null as NaN."""
        column = self._column(name)
        try:
            if self.kind == "pandas":
                return np.ascontiguousarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
            if self.kind == "polars":
                return np.ascontiguousarray(column.cast(sys.modules["polars"].Float64).to_numpy())
            return np.ascontiguousarray(column.cast("float64").to_numpy())
        except Exception as error:
            raise UsageError(f"column {name!r} holds no numbers: {_line(error)}") from error

    def integers(self, name: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return a column as int64 and where it is null (0 there).

        Raises
        ------
        UsageError : if it holds anything but whole numbers and nulls.
        """
        column = self._column(name)
        null = self._null(column)
        try:
            values = (column.fillna(0) if self.kind == "pandas" else column.fill_null(0)).to_numpy()
            whole = np.asarray(values).astype(np.int64)
            right = bool((whole == values).all())
        except Exception as error:
            raise UsageError(f"column {name!r} holds no whole numbers: {_line(error)}") from error
        if not right:
            raise UsageError(f"column {name!r} holds no whole numbers")
        return whole, null

    def texts(self, name: str) -> npt.NDArray[np.object_]:
        """Return a column as Python objects, null as None."""
        column = self._column(name)
        values = column.to_pylist() if self.kind == "arrow" else column.to_list()
        out = np.empty(len(values), dtype=object)
        out[:] = values
        return out

    def instants(self, name: str) -> npt.NDArray[np.int64]:
        """Return a column of times as ns since the epoch. Naive times are UTC; integers are ns.

        Raises
        ------
        UsageError : if it holds no times, or a null.
        """
        column = self._column(name)
        if bool(self._null(column).any()):
            raise UsageError(f"column {name!r} holds a null where a time is needed")
        try:
            if self.kind == "pandas":
                return _pandas_ns(column)
            if self.kind == "polars":
                return _polars_ns(column)
            return _arrow_ns(column)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise UsageError(f"column {name!r} holds no times: {_line(error)}") from error

    def _column(self, name: str) -> Any:
        self.need(name, "this call")
        return self.data.column(name) if self.kind == "arrow" else self.data[name]

    def _null(self, column: Any) -> npt.NDArray[np.bool_]:
        null = column.isna() if self.kind == "pandas" else column.is_null()
        return np.asarray(null.to_numpy(), dtype=np.bool_)

    def like(self, columns: Mapping[str, Column], *, index: bool = False) -> Any:
        """Return columns as a frame of this kind; with `index` under the same pandas index."""
        return build(self.kind, columns, index=self.data.index if index and self.kind == "pandas" else None)


def build(kind: Kind, columns: Mapping[str, Column], *, index: Any = None) -> Any:
    """Return columns as a new frame of the kind asked for."""
    if kind == "pandas":
        import pandas as pd

        series = {name: _pandas_series(column, index) for name, column in columns.items()}
        return pd.DataFrame(series, index=index)
    import pyarrow as pa

    arrays = {name: _arrow_array(column) for name, column in columns.items()}
    table = pa.table(arrays)
    if kind == "arrow":
        return table
    import polars as pl

    return pl.from_arrow(table)


def _pandas_series(column: Column, index: Any) -> Any:
    import pandas as pd

    values: Any = column.data
    if column.instant:
        return pd.Series(pd.DatetimeIndex(values.astype("datetime64[ns]"), tz="UTC"), index=index)
    if column.null is not None and values.dtype.kind in "iu":
        return pd.Series(pd.array(values, dtype=f"{values.dtype.name.capitalize()}")).mask(column.null)
    if column.null is not None and values.dtype == object:
        values = np.where(column.null, None, values)
    return pd.Series(values, index=index)


def _arrow_array(column: Column) -> Any:
    import pyarrow as pa

    if column.instant:
        return pa.array(column.data.astype("datetime64[ns]"), type=pa.timestamp("ns", tz="UTC"), mask=column.null)
    if column.data.dtype == object:
        return pa.array(column.data.tolist(), type=pa.string(), mask=column.null)
    return pa.array(column.data, mask=column.null)


def _pandas_ns(column: Any) -> npt.NDArray[np.int64]:
    kind = column.dtype.kind if hasattr(column.dtype, "kind") else ""
    if kind in "iu":
        return np.ascontiguousarray(column.to_numpy(dtype=np.int64))
    if kind != "M":
        raise TypeError(f"its type is {column.dtype}")
    if getattr(column.dtype, "tz", None) is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return np.ascontiguousarray(column.to_numpy(dtype="datetime64[ns]")).view(np.int64)


def _polars_ns(column: Any) -> npt.NDArray[np.int64]:
    if column.dtype.is_integer():
        return np.ascontiguousarray(column.to_numpy()).astype(np.int64)
    if not hasattr(column.dtype, "time_unit"):
        raise TypeError(f"its type is {column.dtype}")
    physical = np.asarray(column.to_physical().to_numpy(), dtype=np.int64)
    return physical * _NS_PER[str(column.dtype.time_unit)]


def _arrow_ns(column: Any) -> npt.NDArray[np.int64]:
    import pyarrow as pa

    if pa.types.is_integer(column.type):
        return np.asarray(column.to_numpy(), dtype=np.int64)
    if not pa.types.is_timestamp(column.type):
        raise TypeError(f"its type is {column.type}")
    return np.asarray(column.cast("int64").to_numpy(), dtype=np.int64) * _NS_PER[column.type.unit]


def to_ns(value: Any) -> int:
    """Return an instant in ns. Integers are ns; naive datetimes and ISO texts are UTC.

    >>> to_ns(dt.datetime(2024, 8, 9)), to_ns("2024-08-09T00:00:01Z")
    (1723161600000000000, 1723161601000000000)
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[ns]").astype(np.int64))
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise UsageError(f"{value[:40]!r} is no time; times look like 2024-08-09T00:00:00Z") from None
    if isinstance(value, dt.datetime):
        if hasattr(value, "value"):
            stamp: Any = value
            return int(stamp.as_unit("ns").value)
        aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        passed = aware - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1_000
    raise UsageError(f"{str(value)[:40]!r} is no time; times look like 2024-08-09T00:00:00Z")


def _line(error: BaseException) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__

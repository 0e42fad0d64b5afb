"""Convert pandas, polars or Arrow frames to numpy columns and back; results have the kind of frame that was given.

Every column is read through Arrow, so that a type means the same in all three. Only the library whose frame was given
is imported. What rows of trades and bars must be is checks.py; what is computed on the columns is elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.domain.errors import UsageError
from trading_platform.domain.inputs.instants import check_ns

Kind = Literal["pandas", "polars", "arrow"]
Array = npt.NDArray[Any]

_FRAMES: dict[Kind, tuple[str, tuple[str, ...]]] = {
    "pandas": ("pandas", ("DataFrame",)),
    "polars": ("polars", ("DataFrame", "LazyFrame")),
    "arrow": ("pyarrow", ("Table", "RecordBatch")),
}


class Column(NamedTuple):
    """A column to give back: its values, where it is null, and whether it holds instants (ns, UTC).

    NaN is null too where a frame can say so: in polars and Arrow it orders above all numbers.
    """

    data: Array
    null: npt.NDArray[np.bool_] | None = None
    instant: bool = False


class Frame:
    """A frame of pandas, polars or Arrow, read by column.

    Raises
    ------
    UsageError : if it is none of them, or a column stands in it twice.
    """

    def __init__(self, data: Any) -> None:
        self.kind = _kind_of(data)
        if self.kind == "polars" and hasattr(data, "collect"):
            with _refused(lambda error: f"the lazy frame cannot be collected: {error}"):
                data = data.collect()
        if self.kind == "arrow" and not hasattr(data, "combine_chunks"):
            data = sys.modules["pyarrow"].Table.from_batches([data])
        self.data = data
        if self.kind == "pandas" and data.columns.nlevels > 1:
            raise UsageError("the columns have several levels; give a frame with one, such as frame['BTC-USDT']")
        labels = data.column_names if self.kind == "arrow" else data.columns
        self.names = [str(n) for n in labels]
        self._labels = dict(zip(self.names, labels, strict=True))
        if len(self._labels) < len(self.names):
            twice = next(name for at, name in enumerate(self.names) if name in self.names[:at])
            raise UsageError(f"column {twice!r} stands in the frame twice; drop or rename one")
        self._arrow: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._labels

    def __len__(self) -> int:
        return int(self.data.num_rows) if self.kind == "arrow" else len(self.data)

    def need(self, name: str, by: str) -> None:
        """Raise a UsageError naming the column if it is missing."""
        if name not in self._labels:
            raise UsageError(f"column {name!r} is missing; {by} needs it")

    def floats(self, name: str) -> npt.NDArray[np.float64]:
        """Return a column as float64, null as NaN. Texts, truth values and times are no numbers."""
        if (plain := self._plain(name)) is not None:
            return plain
        import pyarrow as pa

        column = self._column(name, "numbers")
        if pa.types.is_decimal(column.type):  # Arrow's own cast is not always the nearest float64
            values = [float("nan") if x is None else float(x) for x in column.to_pylist()]
            return np.array(values, dtype=np.float64)
        if not _is_number(column.type):
            raise UsageError(f"column {name!r} holds no numbers: its type is {column.type}")
        with _refused(lambda error: f"column {name!r} holds no numbers: {error}"):
            return np.ascontiguousarray(_filled(column.cast("float64", safe=False), float("nan")), dtype=np.float64)

    def _plain(self, name: str) -> npt.NDArray[np.float64] | None:
        """Return a pandas column that is numpy's float64 as it lies there, None for any other: Arrow would copy it."""
        if self.kind != "pandas" or name not in self:
            return None
        column = self.data[self._labels[name]]
        if not isinstance(column.dtype, np.dtype) or column.dtype != np.float64:
            return None
        return np.ascontiguousarray(column.to_numpy())

    def integers(self, name: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return a column as int64 and where it is null (0 there).

        Raises
        ------
        UsageError : if it holds anything but whole numbers and nulls.
        """
        column = self._column(name, "whole numbers")
        if not _is_number(column.type):
            raise UsageError(f"column {name!r} holds no whole numbers: its type is {column.type}")
        with _refused(lambda error: f"column {name!r} holds no whole numbers: {error}"):
            whole = _filled(column.cast("int64"), 0)  # refuses fractions and what is too large
        return np.ascontiguousarray(whole, dtype=np.int64), _null(column)

    def is_number(self, name: str) -> bool:
        """Tell whether a column is of a numeric type."""
        return _is_number(self._column(name, "values").type)

    def groups(self, name: str) -> tuple[npt.NDArray[np.int64], list[Any]]:
        """Return each row's place in the list of a column's distinct values, and that list; null is None."""
        column = self._column(name, "values")
        with _refused(lambda error: f"column {name!r} cannot be told apart: {error}"):
            coded = column.dictionary_encode(null_encoding="encode")
            return _numpy(coded.indices).astype(np.int64), coded.dictionary.to_pylist()

    def instants(self, name: str) -> npt.NDArray[np.int64]:
        """Return a column of times as ns since the epoch. Naive times are UTC; integers are ns; a date is its midnight.

        Raises
        ------
        UsageError : if it holds no times, a null, or integers that can only be seconds, milliseconds or microseconds.
        """
        import pyarrow as pa

        column = self._column(name, "times")
        kind = column.type
        if column.null_count:
            row = int(np.flatnonzero(_null(column))[0])
            raise UsageError(f"column {name!r} holds a null where a time is needed (row {row})")
        if pa.types.is_null(kind):
            return np.empty(0, dtype=np.int64)
        whole = pa.types.is_integer(kind)
        if not (whole or pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            raise UsageError(f"column {name!r} holds no times: its type is {kind}")
        with _refused(lambda error: f"column {name!r} holds times beyond the years 1678 to 2261: {error}"):
            exact = column.cast("int64") if whole else column.cast(pa.timestamp("ns", getattr(kind, "tz", None)))
            values = np.ascontiguousarray(_numpy(exact.cast("int64")), dtype=np.int64)
        if whole and len(values):
            for value in (int(values.min()), int(values.max())):
                _check_unit(name, value)
        return values

    def index_instants(self) -> npt.NDArray[np.int64] | None:
        """Return a pandas index of times as ns, None if there is none."""
        return index_ns(self.data.index) if self.kind == "pandas" else None

    def index_groups(self, name: str) -> list[Any]:
        """Return the distinct values of a named level of a pandas index; none if there is no such level."""
        if self.kind != "pandas" or name not in self.data.index.names:
            return []
        return list(self.data.index.unique(level=name))

    def _column(self, name: str, of: str) -> Any:
        """Return a column as Arrow's, null where anything is missing."""
        if name not in self._arrow:
            self.need(name, "this call")
            with _refused(lambda error: f"column {name!r} holds no {of}: {error}"):
                self._arrow[name] = self._read(name)
        return self._arrow[name]

    def _read(self, name: str) -> Any:
        import pyarrow as pa

        if self.kind == "arrow":
            column = self.data.column(name)
        elif self.kind == "polars":
            series = self.data[self._labels[name]]
            if str(series.dtype) == "Object":  # Arrow would be given the addresses of the objects
                raise UsageError(f"column {name!r} holds Python objects; give it a type, such as Float64 or String")
            column = series.to_arrow()
        else:
            column = pa.array(self.data[self._labels[name]], from_pandas=True)
        if hasattr(column, "combine_chunks"):
            column = column.combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if column.type in {pa.string_view(), pa.string(), pa.binary_view()}:
            column = column.cast(pa.large_string())
        if pa.types.is_floating(column.type):  # NaN is missing, as in pandas
            values = _numpy(column.cast("float64"))
            nan = np.isnan(values)
            return pa.array(values, mask=nan) if nan.any() else column.cast("float64")
        return column

    def like(self, columns: Mapping[str, Column], *, index: bool = False) -> Any:
        """Return columns as a frame of this kind; with `index` under the same pandas index."""
        return build(self.kind, columns, index=self.data.index if index and self.kind == "pandas" else None)


def build(kind: Kind, columns: Mapping[str, Column], *, index: Any = None) -> Any:
    """Return columns as a new frame of the kind asked for."""
    if kind == "pandas":
        import pandas as pd

        series = {name: _pandas_series(column, index) for name, column in columns.items()}
        return pd.DataFrame(series, index=index, copy=False)
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
    null = column.null
    if column.data.dtype.kind == "f":
        nan = np.isnan(column.data)
        null = nan if null is None else null | nan
    return pa.array(column.data, mask=null)


def index_ns(index: Any) -> npt.NDArray[np.int64] | None:
    """Return a pandas index of times as ns, None if it holds anything else.

    Raises
    ------
    UsageError : if a time is missing in it.
    """
    if getattr(index.dtype, "kind", "") != "M" or not hasattr(index, "asi8"):
        return None
    if index.hasnans:
        raise UsageError(f"the index holds a null where a time is needed (row {int(index.isna().argmax())})")
    with _refused(lambda error: f"the index holds times beyond the years 1678 to 2261: {error}"):
        return np.asarray(index.as_unit("ns").asi8, dtype=np.int64)


def _kind_of(data: Any) -> Kind:
    for kind, (module, names) in _FRAMES.items():
        library = sys.modules.get(module)
        if library is not None and isinstance(data, tuple(getattr(library, name) for name in names)):
            return kind
    raise UsageError(f"{type(data).__name__} is no frame; give a pandas, polars or Arrow table")


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    is_of = pa.types
    return bool(is_of.is_integer(kind) or is_of.is_floating(kind) or is_of.is_decimal(kind) or is_of.is_null(kind))


def _null(column: Any) -> npt.NDArray[np.bool_]:
    null = column.is_null()
    return np.asarray(
        null.to_numpy() if hasattr(null, "chunks") else null.to_numpy(zero_copy_only=False), dtype=np.bool_
    )


def _filled(column: Any, value: float) -> Array:
    return _numpy(column.fill_null(value) if column.null_count else column)


def _numpy(column: Any) -> Array:
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _check_unit(name: str, value: int) -> None:
    try:
        check_ns(value)
    except UsageError as error:
        raise UsageError(f"column {name!r}: {error}") from None


@contextmanager
def _refused(words: Callable[[str], str]) -> Iterator[None]:
    """Turn what another library says of a column into one line of ours."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(words(_line(error))) from error
    except BaseException as error:  # polars' panics are no Exception
        if type(error).__name__ != "PanicException":
            raise
        raise UsageError(words(_line(error))) from error


def _line(error: BaseException) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__

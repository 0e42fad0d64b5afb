"""The shape of every dataset: column names, types and order. What values make sense is quality/schemas.

The shapes are the contract's; files carry no metadata besides them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trading_platform.domain.datasets import DATASETS, Kind
from trading_platform.domain.errors import WorkError
from trading_platform.domain.trades.trade import SOURCES

Codes = npt.NDArray[np.uint8]
TIME = pa.timestamp("ns", "UTC")
SIDES = ("buy", "sell")

_TYPES: dict[Kind, pa.DataType] = {
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "time": TIME,
}
SHAPES = {
    name: pa.schema([(column, _TYPES[kind]) for column, kind in dataset.columns.items()])
    for name, dataset in DATASETS.items()
}
"""Dataset to the columns of its files; those of an open-ended one are followed by an output each."""

TICKS, BARS, REGIMES, INSTRUMENTS = (SHAPES[name] for name in ("ticks", "bars", "regimes", "instruments"))

COVERAGE = pa.schema([("ts_from", TIME), ("ts_to", TIME), ("state", pa.string())])
"""What `tp.coverage` returns; state is ``proved``, ``open`` or ``lost``."""

COVERAGE_OF_ALL = pa.schema([("venue", pa.string()), ("symbol", pa.string()), *COVERAGE])
"""The same of every symbol: what the view `coverage` is made of."""

CONTENT = ("epoch", "trade_id", "ts_event", "price", "quantity", "side")
"""Columns of ticks whose change makes what is computed from them stale."""

_FEW = {"side": SIDES, "source": SOURCES}
_CODED = pa.dictionary(pa.int8(), pa.string())

LEAN = pa.schema([f.with_type(_CODED) if f.name in _FEW else f for f in TICKS])
"""Ticks as `lean` gives them: what goes from hand to hand in this process."""


def indicators(columns: Sequence[str]) -> pa.Schema:
    """Return the shape of an indicators file with these outputs.

    >>> indicators(["rsi_14"]).names
    ['ts_open', 'ts_close', 'complete', 'rsi_14']
    """
    return pa.schema([*SHAPES["indicators"], *((name, pa.float64()) for name in columns)])


def shape_of(dataset: str, names: Sequence[str]) -> pa.Schema:
    """Return the shape of a file of a dataset that has the columns `names`.

    >>> shape_of("indicators", ["ts_open", "ts_close", "complete", "rsi_14"]).names[-1]
    'rsi_14'
    """
    shape = SHAPES[dataset]
    further = [name for name in names if name not in shape.names] if DATASETS[dataset].open_ended else []
    return pa.schema([*shape, *((name, pa.float64()) for name in further)])


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with exactly the columns, order and types of `schema`, and no metadata.

    Raises
    ------
    WorkError : naming the column that is missing or whose values do not fit its type.
    """
    columns = []
    for field in schema:
        at = table.schema.get_field_index(field.name)
        if at < 0:
            raise WorkError(f"column {field.name!r} is missing")
        column = table.column(at)
        try:
            columns.append(column if column.type == field.type else column.cast(field.type))
        except pa.ArrowInvalid as error:
            raise WorkError(f"column {field.name!r} is not {field.type}: {str(error).splitlines()[0][:160]}") from error
    return pa.Table.from_arrays(columns, schema=schema)


def without_nan(table: pa.Table) -> pa.Table:
    """Return the table with null for every NaN: what has no value is null, or `rsi_14 > 70` finds it.

    >>> without_nan(pa.table({"rsi_14": pa.array([70.5, float("nan"), None])})).column("rsi_14").to_pylist()
    [70.5, None, None]
    """
    for at, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            column = table.column(at)
            nan = pc.is_nan(column)
            if pc.any(nan).as_py():
                table = table.set_column(at, field, pc.if_else(nan, pa.scalar(None, field.type), column))
    return table


def is_ticks(schema: pa.Schema) -> bool:
    """Tell whether a table's columns are those of ticks."""
    return list(schema.names) == list(TICKS.names)


def codes(column: pa.ChunkedArray, values: Sequence[str], name: str) -> Codes:
    """Return where each text stands in `values` as uint8; null stands last.

    Raises
    ------
    WorkError : for a text that is not among them.
    """
    if pa.types.is_dictionary(column.type):
        found = [_chunk_codes(chunk, values, name) for chunk in column.chunks]
        return found[0] if len(found) == 1 else np.concatenate([*found, np.empty(0, np.uint8)])
    index = pc.index_in(column, value_set=pa.array(values, pa.string()))
    if index.null_count > column.null_count:
        raise WorkError(f"column {name!r} holds a text that is none of {' '.join(values)}")
    numbers: Codes = index.fill_null(len(values)).to_numpy().astype(np.uint8)
    return numbers


def _chunk_codes(chunk: pa.DictionaryArray, values: Sequence[str], name: str) -> Codes:
    indices = chunk.indices
    if indices.null_count:
        indices = indices.fill_null(len(chunk.dictionary))
    numbers: Codes = indices.to_numpy().astype(np.uint8)
    if chunk.dictionary.to_pylist() == list(values):
        return numbers
    # The dictionary may hold texts that no row has.
    place = {text: at for at, text in enumerate(values)}
    meaning = np.array([place.get(text, 255) for text in chunk.dictionary.to_pylist()] + [len(values)], np.uint8)
    numbers = meaning[numbers]
    if bool((numbers == 255).any()):
        raise WorkError(f"column {name!r} holds a text that is none of {' '.join(values)}")
    return numbers


def lean(table: pa.Table) -> pa.Table:
    """Return ticks whose sides and sources are codes: the same values in a fifth of the bytes and of the work.

    Columns of other types, and other columns, stay as they are.

    >>> lean(pa.table({"side": ["sell", None]})).column("side").to_pylist()
    ['sell', None]

    Raises
    ------
    WorkError : for a side or source that is none.
    """
    for name, values in _FEW.items():
        at = table.schema.get_field_index(name)
        if at >= 0 and not _is_lean(table.column(at), values):
            table = table.set_column(at, name, coded(codes(table.column(at), values, name), values))
    return table


def coded(numbers: Codes, values: Sequence[str]) -> pa.DictionaryArray:
    """Return texts that are given by their places in `values`; any place behind these is null."""
    unknown = numbers >= len(values)
    indices = pa.array(numbers.view(np.int8), mask=unknown if bool(unknown.any()) else None)
    return pa.DictionaryArray.from_arrays(indices, pa.array(values, pa.string()))


def plain(table: pa.Table) -> pa.Table:
    """Return the table with its texts in full; the inverse of `lean`."""
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(at, field.name, table.column(at).cast(field.type.value_type))
    return table


@lru_cache(maxsize=64)
def in_full(schema: pa.Schema) -> pa.Schema:
    """Return the schema that `plain` gives."""
    fields = [pa.field(f.name, f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in schema]
    return pa.schema(fields)


def _is_lean(column: pa.ChunkedArray, values: Sequence[str]) -> bool:
    return bool(column.type == _CODED) and all(chunk.dictionary.to_pylist() == list(values) for chunk in column.chunks)


def side_codes(column: pa.ChunkedArray) -> Codes:
    """Return sides as 0 buy, 1 sell, 2 unknown."""
    return codes(column, SIDES, "side")


def source_codes(column: pa.ChunkedArray) -> Codes:
    """Return channels as their rank: 0 ws, 1 rest, 2 archive."""
    return codes(column, SOURCES, "source")

"""The shape of every dataset: column names, types and order. What values make sense is quality/schemas.

The shapes are the contract's; files carry no metadata besides them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trading_platform.domain.errors import WorkError
from trading_platform.domain.trade import SOURCES

Codes = npt.NDArray[np.uint8]
TIME = pa.timestamp("ns", "UTC")
SIDES = ("buy", "sell")

TICKS = pa.schema(
    [
        ("trade_id", pa.int64()),
        ("trade_uid", pa.string()),
        ("epoch", pa.int16()),
        ("ts_event", TIME),
        ("ts_recv", TIME),
        ("price", pa.float64()),
        ("quantity", pa.float64()),
        ("side", pa.string()),
        ("source", pa.string()),
    ]
)

BARS = pa.schema(
    [
        ("ts_open", TIME),
        ("ts_close", TIME),
        ("open", pa.float64()),
        ("high", pa.float64()),
        ("low", pa.float64()),
        ("close", pa.float64()),
        ("volume", pa.float64()),
        ("quote_volume", pa.float64()),
        ("taker_buy_volume", pa.float64()),
        ("taker_buy_quote_volume", pa.float64()),
        ("trade_count", pa.int64()),
        ("vwap", pa.float64()),
        ("complete", pa.bool_()),
        ("proof", pa.string()),
    ]
)

REGIMES = pa.schema(
    [
        ("ts_open", TIME),
        ("ts_close", TIME),
        ("state", pa.int8()),
        ("label", pa.string()),
        *((f"p_{k}", pa.float64()) for k in range(5)),
        ("change_probability", pa.float64()),
        ("model_version", pa.string()),
    ]
)

INSTRUMENTS = pa.schema(
    [
        ("symbol", pa.string()),
        ("venue_symbol", pa.string()),
        ("kind", pa.string()),
        ("base", pa.string()),
        ("quote", pa.string()),
        ("price_step", pa.string()),
        ("quantity_step", pa.string()),
        ("status", pa.string()),
    ]
)

COVERAGE = pa.schema([("ts_from", TIME), ("ts_to", TIME), ("state", pa.string())])
"""What `tp.coverage` returns; state is ``proved``, ``open`` or ``lost``."""

CONTENT = ("epoch", "trade_id", "ts_event", "price", "quantity", "side")
"""Columns of ticks whose change makes what is computed from them stale."""

_COMPUTED = pa.schema([("ts_open", TIME), ("ts_close", TIME), ("complete", pa.bool_())])


def indicators(columns: Sequence[str]) -> pa.Schema:
    """Return the shape of an indicators file with these outputs.

    >>> indicators(["rsi_14"]).names
    ['ts_open', 'ts_close', 'complete', 'rsi_14']
    """
    return pa.schema([*_COMPUTED, *((name, pa.float64()) for name in columns)])


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


def is_ticks(schema: pa.Schema) -> bool:
    """Tell whether a table's columns are those of ticks."""
    return list(schema.names) == list(TICKS.names)


def codes(column: pa.ChunkedArray, values: Sequence[str], name: str) -> Codes:
    """Return where each text stands in `values` as uint8; null stands last.

    Raises
    ------
    WorkError : for a text that is not among them.
    """
    index = pc.index_in(column, value_set=pa.array(values, pa.string()))
    if index.null_count > column.null_count:
        raise WorkError(f"column {name!r} holds a text that is none of {' '.join(values)}")
    numbers: Codes = index.fill_null(len(values)).to_numpy().astype(np.uint8)
    return numbers


def side_codes(column: pa.ChunkedArray) -> Codes:
    """Return sides as 0 buy, 1 sell, 2 unknown."""
    return codes(column, SIDES, "side")


def source_codes(column: pa.ChunkedArray) -> Codes:
    """Return channels as their rank: 0 ws, 1 rest, 2 archive."""
    return codes(column, SOURCES, "source")

"""Convert Arrow columns to JSON-compatible values, for commands that print rows. Times become ISO 8601 in UTC."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from trading_platform.commands.support.tables import number


def _iso(column: Any) -> list[str | None]:
    texts = pc.strftime(column.cast(pa.timestamp(column.type.unit, "UTC")), format="%Y-%m-%dT%H:%M:%S")
    # %S prints as many decimals as the unit has; drop trailing zeros.
    texts = pc.replace_substring_regex(texts, r"(\.[0-9]*?)0+$", r"\1")
    texts = pc.replace_substring_regex(texts, r"\.$", "")
    # Not Arrow's string join: it imports pandas.
    return [None if text is None else f"{text}Z" for text in texts.to_pylist()]


def as_values(rows: pa.RecordBatch) -> list[list[Any]]:
    """Return the columns as lists of JSON-compatible values: counts stay whole numbers, times become text."""
    values: list[list[Any]] = []
    for at in range(rows.num_columns):
        column = rows.column(at)
        if pa.types.is_timestamp(column.type):
            values.append(_iso(column))
        else:
            values.append([number(value) for value in column.to_pylist()])
    return values

"""Arrow values as text and as JSON values, for commands that print rows. Times are ISO 8601 in UTC."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def _iso(column: Any) -> Any:
    texts = pc.strftime(column.cast(pa.timestamp(column.type.unit, "UTC")), format="%Y-%m-%dT%H:%M:%S")
    # %S prints as many decimals as the unit has; zeros at the end say nothing.
    texts = pc.replace_substring_regex(texts, r"(\.[0-9]*?)0+$", r"\1")
    return pc.binary_join_element_wise(pc.replace_substring_regex(texts, r"\.$", ""), "Z", "")


def as_values(rows: pa.RecordBatch) -> list[list[Any]]:
    """Return the columns as lists of what JSON can say: counts stay whole numbers, times are text."""
    values = []
    for at in range(rows.num_columns):
        column = rows.column(at)
        column = _iso(column) if pa.types.is_timestamp(column.type) else column
        values.append([_number(value) for value in column.to_pylist()])
    return values


def _number(value: Any) -> Any:
    # The sum of whole numbers comes as a decimal of scale 0.
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def cell_texts(rows: pa.RecordBatch) -> list[list[str]]:
    """Return the rows as texts; null is empty."""
    return [[_text(cell) for cell in row] for row in zip(*as_values(rows), strict=True)]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)

"""Lay out rows for a person's eyes. What the rows mean is each command's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Return the rows as aligned text, numbers to the right with thousands set apart, unknown as ``-``.

    >>> print(table([{"symbol": "BTC-USDT", "stored": 19904, "expected": None}], ["symbol", "stored", "expected"]))
    symbol    stored  expected
    BTC-USDT  19,904         -
    """
    return column_table({name: [row.get(name) for row in rows] for name in columns})


def column_table(columns: Mapping[str, Sequence[object]]) -> str:
    """Return columns of equal length as aligned text; see `table`. Column by column: some have 365,000 rows."""
    laid = [_column(name, values) for name, values in columns.items()]
    return "\n".join(map(str.rstrip, map("  ".join, zip(*laid, strict=True))))


def _column(name: str, values: Sequence[object]) -> list[str]:
    kinds = set(map(type, values))
    # The usual kinds without a look at each value: they are most of the time that a long table takes.
    if kinds <= {int}:
        cells = [name, *map("{:,}".format, values)]
    elif kinds <= {str}:
        cells = [name, *map(str, values)]
    else:
        cells = [name, *map(_cell, values)]
    width = max(map(len, cells))
    if any(issubclass(kind, int | float) and kind is not bool for kind in kinds):
        return [cell.rjust(width) for cell in cells]
    return [cell.ljust(width) for cell in cells]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:,}" if number else str(value)


def number(value: Any) -> Any:
    """Return a number as JSON says it: the sum of whole numbers comes as a decimal of scale 0.

    >>> number(Decimal(7)), number(Decimal("7.5")), number("7")
    (7, 7.5, '7')
    """
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def cell(value: object) -> str:
    """Return a value as people read it; null is empty.

    >>> cell(True), cell(None), cell(1.5)
    ('true', '', '1.5')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)

"""Lay out rows as aligned text tables, and long ones quickly as JSON. What the rows mean belongs to each command."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import chain
from types import NoneType
from typing import Any
from unicodedata import east_asian_width

_LOOK = 1000
"""How many values of a column are sampled to see whether most are distinct."""


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Return the rows as aligned text: numbers right-aligned with thousands separators, unknown as ``-``.

    >>> print(table([{"symbol": "BTC-USDT", "stored": 19904, "expected": None}], ["symbol", "stored", "expected"]))
    symbol    stored  expected
    BTC-USDT  19,904         -
    """
    return column_table({name: [row.get(name) for row in rows] for name in columns})


def quick_json(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows as JSON, quickly; values may be text, whole numbers, null, or lists of such rows.

    >>> quick_json([{"symbol": "币安-USDT", "stored": 19904, "expected": None}])
    '[{"symbol":"币安-USDT","stored":19904,"expected":null}]'
    """
    import msgspec

    return msgspec.json.encode(rows).decode()


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the cyclic garbage collector while the many rows of a long table are built: they contain no cycles."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def column_table(columns: Mapping[str, Sequence[object]]) -> str:
    """Return columns of equal length as aligned text; see `table`. Column by column: some have 365,000 rows."""
    laid = [_column(name, values) for name, values in columns.items()]
    return "\n".join(map(str.rstrip, map("  ".join, zip(*laid, strict=True))))


def _column(name: str, values: Sequence[Any]) -> Iterable[str]:
    """Return a column's padded header and cells. In a long column each distinct value is formatted once."""
    kinds = set(map(type, values))
    right = any(issubclass(kind, int | float) and kind is not bool for kind in kinds)
    if not kinds <= {int, str, NoneType}:
        return aligned([name, *map(_cell, values)], right=right)
    if kinds == {int} and 2 * len(set(values[:_LOOK])) > len(values[:_LOOK]):  # sampled: mostly distinct
        most = max(len(name), len(f"{max(values):,}"), len(f"{min(values):,}"))
        return chain([name.rjust(most)], map(f"{{:>{most},}}".format, values))
    different = set(values)
    head, *cells = aligned([name, *map(_cell, different)], right=right)
    return chain([head], map(dict(zip(different, cells, strict=True)).__getitem__, values))


def aligned(cells: Sequence[str], *, right: bool = False) -> list[str]:
    """Return the cells padded to the widest one as a terminal shows them: some characters take two places.

    >>> aligned(["币安-USDT", "BTC-USDT", "x"])
    ['币安-USDT', 'BTC-USDT ', 'x        ']
    """
    if "".join(cells).isascii():  # fast path for a long ASCII column
        most = max(map(len, cells))
        return [cell.rjust(most) if right else cell.ljust(most) for cell in cells]
    widths = list(map(width_of, cells))
    most = max(widths)
    fills = [" " * (most - width) for width in widths]
    return [fill + cell if right else cell + fill for cell, fill in zip(cells, fills, strict=True)]


def width_of(text: str) -> int:
    """Return how many places a terminal needs for the text."""
    return len(text) + sum(east_asian_width(letter) in "WF" for letter in text)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:,}" if number else str(value)


def number(value: Any) -> Any:
    """Return a JSON number: a sum of whole numbers arrives as a decimal of scale 0.

    >>> number(Decimal(7)), number(Decimal("7.5")), number("7")
    (7, 7.5, '7')
    """
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def cell(value: object) -> str:
    """Return a value as text for a person; null is empty.

    >>> cell(True), cell(None), cell(1.5)
    ('true', '', '1.5')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)

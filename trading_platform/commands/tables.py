"""Lay out rows for a person's eyes. What the rows mean is each command's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Return the rows as aligned text, numbers to the right with thousands set apart, unknown as ``-``.

    >>> print(table([{"symbol": "BTC-USDT", "stored": 19904, "expected": None}], ["symbol", "stored", "expected"]))
    symbol    stored  expected
    BTC-USDT  19,904         -
    """
    cells = [[_cell(row.get(name)) for name in columns] for row in rows]
    right = [any(_is_number(row.get(name)) for row in rows) for name in columns]
    widths = [max([len(name), *(len(line[at]) for line in cells)]) for at, name in enumerate(columns)]
    lines = [list(columns), *cells]
    return "\n".join(
        "  ".join(
            text.rjust(width) if flush else text.ljust(width)
            for text, width, flush in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if _is_number(value) else str(value)

"""The shape of JSON (names and types), to compare a simulator's messages with an exchange's captured ones."""

from __future__ import annotations

import json
import re
from typing import Any


def shape(text: str | bytes) -> object:
    """Return the shape of JSON text: of an object its names with their shapes, of a list those its items have.

    Whole numbers and decimals are told apart, and so are texts that are whole numbers, decimals, UUIDs or instants.

    >>> shape('{"a": [1, 2, "0.5"], "b": {"c": true}}')
    {'a': ['decimal text', 'whole'], 'b': {'c': 'bool'}}
    """
    return _shape(json.loads(text, parse_float=_Decimal))


class _Decimal(str):
    __slots__ = ()


_TEXTS = (
    (re.compile(r"\d+"), "whole text"),
    (re.compile(r"\d+\.\d+"), "decimal text"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "uuid"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "instant"),
)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(item) for name, item in sorted(value.items())}
    if isinstance(value, list):
        found: list[Any] = []
        for item in map(_shape, value):
            if item not in found:
                found.append(item)
        return sorted(found, key=str)
    if isinstance(value, _Decimal):
        return "decimal"
    if isinstance(value, str):
        return next((name for pattern, name in _TEXTS if pattern.fullmatch(value)), "text")
    if value is None:
        return "nothing"
    return "bool" if isinstance(value, bool) else "whole"

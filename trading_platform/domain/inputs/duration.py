"""Durations as people write them in settings."""

from __future__ import annotations

import re

_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhdw])", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def duration_s(text: str) -> int:
    """Return the seconds of a duration.

    >>> duration_s("90d")
    7776000
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("must look like 12h, 30d or 8w")
    return int(match[1]) * _UNIT_S[match[2]]

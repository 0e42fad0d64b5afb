"""Timeframes of time bars, and names that bars have everywhere. How trades fold into bars is analytics/folding."""

from __future__ import annotations

import re

from trading_platform.domain.errors import UsageError, shown

_SECOND = 1_000_000_000
TIMEFRAMES: dict[str, int] = {
    "1s": _SECOND,
    "1m": 60 * _SECOND,
    "5m": 300 * _SECOND,
    "15m": 900 * _SECOND,
    "1h": 3600 * _SECOND,
    "4h": 4 * 3600 * _SECOND,
    "1d": 86_400 * _SECOND,
}
"""Those that are built unless the settings name others, to their width in ns; every one divides the UTC day."""


TAKER = ("taker_buy_volume", "taker_buy_quote_volume")
"""Columns that are missing where a bar holds a trade of an unknown side."""


WEEK = "1w"
"""Of bars in a frame only: files are by day. It begins on Monday, 00:00 UTC."""
WEEK_NS, WEEK_OFFSET_NS = 7 * 86_400 * _SECOND, 4 * 86_400 * _SECOND
"""Its width, and that of the first Monday, 1970-01-05, from the epoch."""

_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_TEXT = re.compile(r"([1-9][0-9]{0,4})([smhd])", re.ASCII)


def timeframe_ns(name: str) -> int:
    """Return the width of a timeframe in ns: any whole number of seconds, minutes or hours that divides a day.

    Each width has one name, in its largest unit: ``90m``, but not ``60m``.

    >>> timeframe_ns("5m"), timeframe_ns("90m") // _SECOND
    (300000000000, 5400)
    >>> timeframe_ns("60m")
    Traceback (most recent call last):
    trading_platform.domain.errors.UsageError: '60m' is not a timeframe; write 1h
    """
    if isinstance(name, str) and name in TIMEFRAMES:
        return TIMEFRAMES[name]
    match = _TEXT.fullmatch(name) if isinstance(name, str) else None
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not seconds or 86_400 % seconds:
        known = " ".join(TIMEFRAMES)
        raise UsageError(f"{shown(name)} is not a timeframe; known: {known}, or any that divides a day, such as 30m")
    if (plain := timeframe_of(seconds * _SECOND)) != name:
        raise UsageError(f"{shown(name)} is not a timeframe; write {plain}")
    return seconds * _SECOND


def timeframe_of(width_ns: int) -> str | None:
    """Return the name of a width, None if it has none.

    >>> timeframe_of(5_400_000_000_000), timeframe_of(WEEK_NS), timeframe_of(7)
    ('90m', '1w', None)
    """
    if width_ns == WEEK_NS:
        return WEEK
    seconds, rest = divmod(width_ns, _SECOND)
    if rest or seconds < 1 or 86_400 % seconds:
        return None
    unit = next(unit for unit, size in _UNITS.items() if seconds % size == 0)
    return f"{seconds // _UNITS[unit]}{unit}"

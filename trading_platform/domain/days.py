"""UTC days: the partition of everything stored. A day is its ISO text, ``2024-08-08``.

Time is always int64 nanoseconds since the epoch; a day is [00:00, 24:00).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from trading_platform.domain.errors import UsageError

DAY_NS = 86_400 * 1_000_000_000
LATEST = "2099-12-31"
_EPOCH = dt.date(1970, 1, 1).toordinal()


def day_of(ts_ns: int) -> str:
    """Return the UTC day that holds the instant.

    >>> day_of(1723161599999999999), day_of(1723161600000000000)
    ('2024-08-08', '2024-08-09')
    """
    return dt.date.fromordinal(_EPOCH + ts_ns // DAY_NS).isoformat()


def day_start(day: str) -> int:
    """Return the first nanosecond of the day.

    >>> day_start("2024-08-09")
    1723161600000000000
    """
    return (dt.date.fromisoformat(day).toordinal() - _EPOCH) * DAY_NS


def day_after(day: str, days: int = 1) -> str:
    """Return the day `days` later (negative: earlier)."""
    return (dt.date.fromisoformat(day) + dt.timedelta(days=days)).isoformat()


def day_range(first: str, last: str) -> Iterator[str]:
    """Yield every day from `first` to `last`, both included."""
    day = first
    while day <= last:
        yield day
        day = day_after(day)


def parse_day(text: str, *, earliest: str | None = None) -> str:
    """Return the day a user typed.

    Raises
    ------
    UsageError : if it is not ``YYYY-MM-DD``, or lies before `earliest` or after `LATEST`.

    >>> parse_day("2024-02-30")
    Traceback (most recent call last):
    trading_platform.domain.errors.UsageError: '2024-02-30' is not a day; days look like 2024-08-08
    """
    try:
        day = dt.date.fromisoformat(text).isoformat()
    except ValueError:
        raise UsageError(f"{text[:40]!r} is not a day; days look like 2024-08-08") from None
    if day != text:
        raise UsageError(f"{text[:40]!r} is not a day; days look like 2024-08-08")
    if earliest is not None and day < earliest:
        raise UsageError(f"{day} lies before HISTORY_START ({earliest})")
    if day > LATEST:
        raise UsageError(f"{day} lies after {LATEST}, the last day of which trades are taken")
    return day

"""Turn the times users write into ns since the epoch. Naive means UTC, integers are ns and nothing else.

Whole columns of times are analytics/dataframes.py; days are days.py.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Union

import numpy as np

from trading_platform.domain.errors import UsageError, shown

if TYPE_CHECKING:
    import pandas as pd

Instant = Union[str, int, dt.date, dt.datetime, np.datetime64, np.integer, "pd.Timestamp"]
"""What is taken for a time: ISO text, a date, a datetime, a pandas Timestamp, numpy's, or ns as an integer."""

_TEXT = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(Z|UTC|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII | re.IGNORECASE,
)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LIMIT = np.iinfo(np.int64)
_UNITS = (("seconds", 9, 10**11), ("milliseconds", 6, 10**14), ("microseconds", 3, 10**17))
"""A unit's name, the power of ten that makes ns of it, and what its numbers of our times stay below."""


_FIRST_NS, _LAST_NS = 10**17, int(_LIMIT.max)
"""Integers between them are ns, whatever else they might be."""


def instant_ns(value: Instant) -> int:
    """Return a time as int64 ns since the epoch, UTC. The integer 0 is the epoch, the beginning of everything.

    Raises
    ------
    UsageError : if it is no time, lies outside what int64 ns can say (1677 to 2262), or is an integer that can only
        be seconds, milliseconds or microseconds.

    Examples
    --------
    >>> instant_ns("2024-08-08"), instant_ns("2024-08-08 02:00:00.123456789+02:00")
    (1723075200000000000, 1723075200123456789)
    >>> instant_ns("yesterday")
    Traceback (most recent call last):
    trading_platform.domain.errors.UsageError: 'yesterday' is not a time; times look like 2024-08-08T23:55:00
    """
    if type(value) is int and _FIRST_NS <= value <= _LAST_NS:  # a stream of bars pays for every check, each time
        return value
    try:
        result = _convert(value)
    except (ValueError, OverflowError, TypeError, AttributeError):  # what pandas and numpy say of odd ones
        result = None
    if result is None:
        raise UsageError(f"{shown(value, 60)} is not a time; times look like 2024-08-08T23:55:00")
    if not _LIMIT.min < result <= _LIMIT.max:
        raise UsageError(f"{shown(value, 60)} lies outside the years 1678 to 2261")
    if isinstance(value, int | np.integer) and result:
        check_ns(result)
    return result


def check_ns(number: int) -> None:
    """Refuse an integer that can only be a time in another unit: as ns it would lie in the first years after 1970.

    >>> check_ns(1_723_075_200)
    Traceback (most recent call last):
    trading_platform.domain.errors.UsageError: 1723075200 is a time in 1970, for integers are nanoseconds since the \
epoch; multiply seconds by 10**9
    """
    for unit, power, bound in _UNITS:
        if abs(number) < bound:
            year = (_EPOCH + dt.timedelta(microseconds=number // 1000)).year
            raise UsageError(
                f"{number} is a time in {year}, for integers are nanoseconds since the epoch; "
                f"multiply {unit} by 10**{power}"
            )


def _convert(value: object) -> int | None:  # noqa: PLR0911  one return a type of input
    if isinstance(value, str):
        return _from_text(value.strip())
    if isinstance(value, bool):
        return None
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, np.datetime64):
        return _from_numpy(value)
    if isinstance(value, dt.datetime):
        if value != value:  # pandas' NaT is a datetime  # noqa: PLR0124
            return None
        return _from_datetime(value) + int(getattr(value, "nanosecond", 0))
    if isinstance(value, dt.date):
        return _from_datetime(dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC))
    return None


def _from_numpy(value: np.datetime64) -> int | None:
    if np.isnat(value):
        return None
    exact = value.astype("datetime64[ns]")
    # numpy wraps what lies outside; only the units below ns lose something inside.
    if exact.astype(value.dtype) != value and np.datetime_data(value.dtype)[0] not in {"ps", "fs", "as"}:
        return int(_LIMIT.max) + 1
    return int(exact.astype(np.int64))


def _from_datetime(value: dt.datetime) -> int:
    aware = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
    past = aware - _EPOCH
    return (past.days * 86_400 + past.seconds) * 1_000_000_000 + past.microseconds * 1_000


def _from_text(text: str) -> int | None:
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    day, minute, second, fraction, zone = match.groups()
    zone = "+00:00" if zone is None or zone.upper() in {"Z", "UTC"} else zone
    try:
        whole = dt.datetime.fromisoformat(f"{day}T{minute or '00:00'}:{second or '00'}{zone}")
    except ValueError:
        return None
    return _from_datetime(whole) + int((fraction or "").ljust(9, "0"))

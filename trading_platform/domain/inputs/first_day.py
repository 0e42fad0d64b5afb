"""A UTC day from which on trades are taken, as a setting gives it."""

from __future__ import annotations

import datetime as dt


def check_first_day(text: str) -> str:
    """Return the day.

    Raises
    ------
    ValueError : saying what it must be.

    >>> check_first_day("2016-01-01")
    '2016-01-01'
    """
    try:
        known = dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        known = False
    if not known:
        raise ValueError("must be a day such as 2016-01-01")
    if text < "2009-01-03":
        raise ValueError("must not lie before 2009-01-03, the first day of the oldest market recorded here")
    return text

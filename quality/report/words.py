"""Numbers in words, the same on every page."""

from __future__ import annotations

from datetime import UTC, datetime

from trading_platform.domain.units import NS_PER_S


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "trade"), counted(2000, "trade")
    ('1 trade', '2,000 trades')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def utc(ts_ns: int) -> str:
    """Return a time to the second.

    >>> utc(0)
    '1970-01-01 00:00:00 UTC'
    """
    return f"{datetime.fromtimestamp(ts_ns // NS_PER_S, UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration(seconds: float) -> str:
    """Return a duration as a person says it.

    >>> duration(0.0123), duration(75.0), duration(90_000.0)
    ('0.012 s', '75 s', '25 h')
    """
    if seconds < 10:
        return f"{seconds:.3f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.0f} h"

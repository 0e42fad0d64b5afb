"""Timeframes of time bars, and names that bars have everywhere. How trades fold into bars is analytics/bars.py."""

from __future__ import annotations

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
"""Name to width in ns; every one divides the UTC day."""


TAKER = ("taker_buy_volume", "taker_buy_quote_volume")
"""Columns that are missing where a bar holds a trade of an unknown side."""


def timeframe_ns(name: str) -> int:
    """Return the width of a timeframe in ns.

    >>> timeframe_ns("5m")
    300000000000
    """
    if not isinstance(name, str) or name not in TIMEFRAMES:
        raise UsageError(f"{shown(name)} is not a timeframe; known: {' '.join(TIMEFRAMES)}")
    return TIMEFRAMES[name]

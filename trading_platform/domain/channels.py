"""The kinds of data that venues stream and the log keeps: each channel's name and the type of its rows.

What the ids of a channel prove is each venue adapter's to say. Records of the log name their channel; those written
before there was a name are of trades.
"""

from __future__ import annotations

from typing import Any

from trading_platform.domain.errors import UsageError
from trading_platform.domain.trades.trade import Trade

TRADES = "trades"

CHANNELS: dict[str, type[Any]] = {
    TRADES: Trade,
}
"""The type of a row of each channel."""


def check_channel(name: str) -> str:
    """Return the name of a channel.

    Raises
    ------
    UsageError : if it is not known here; its rows must not be taken for something else.

    >>> check_channel("trades")
    'trades'
    """
    if name not in CHANNELS:
        raise UsageError(f"the channel {name[:40]!r} is not known here; use a newer version")
    return name

"""Simulate a venue that restarts its trade ids: map a tape's ids to the ids shown from a planned moment on.

The tape's own ids rise without a break and are used to plan and find trades; the mapped ids appear on the stream, over
REST and in the truth file. When a restart happens is faults.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from trading_platform.simulate.tape import Print


class _Part(NamedTuple):
    begins: int
    """The tape's first id that is shown otherwise."""
    first_id: int
    """The id it is shown as."""


class TapeNumbering:
    """How a tape's ids are shown.

    Attributes
    ----------
    plain : whether they are shown as they are.

    Examples
    --------
    >>> numbering = TapeNumbering()
    >>> numbering.begin("BTCUSDT", 1)
    >>> row = Print(0, 0, 5_000, "BTCUSDT", 0, 0, "1", "1", True)
    >>> numbering.issue(row)
    >>> numbering.shown(row).trade_id, numbering.epoch(row), numbering.on_tape("BTCUSDT", 7)
    (1, 1, 5006)
    """

    def __init__(self) -> None:
        self._parts: dict[str, list[_Part]] = {}
        self._planned: dict[str, int] = {}
        self.plain = True

    def begin(self, venue_symbol: str, first_id: int) -> None:
        """Let a new numbering begin with the next trade that is issued."""
        self._planned[venue_symbol] = first_id
        self.plain = False

    def issue(self, row: Print) -> None:
        """Take note of the trade that is issued now."""
        first_id = self._planned.pop(row.venue_symbol, None)
        if first_id is not None:
            self._parts.setdefault(row.venue_symbol, []).append(_Part(row.trade_id, first_id))

    def epoch(self, row: Print) -> int:
        """Return how many numberings began before or with this trade."""
        return sum(part.begins <= row.trade_id for part in self._parts.get(row.venue_symbol, ()))

    def shown(self, row: Print) -> Print:
        """Return the trade as the venue shows it."""
        epoch = 0 if self.plain else self.epoch(row)
        if not epoch:
            return row
        part = self._parts[row.venue_symbol][epoch - 1]
        return row._replace(trade_id=row.trade_id - part.begins + part.first_id)

    def served(self, rows: Iterable[Print]) -> list[Print]:
        """Return the trades of the newest numbering: older ones cannot be requested."""
        newest = {name: parts[-1].begins for name, parts in self._parts.items()}
        return [row for row in rows if row.trade_id >= newest.get(row.venue_symbol, row.trade_id)]

    def on_tape(self, venue_symbol: str, trade_id: int) -> int:
        """Return the tape's id of what the newest numbering shows as this one; never one before its first."""
        parts = self._parts.get(venue_symbol)
        if not parts:
            return trade_id
        return parts[-1].begins + max(0, trade_id - parts[-1].first_id)

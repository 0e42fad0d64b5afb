"""The time until which a venue's REST refuses this address, shared by all processes of this machine.

The venue counts by address: when it refuses one client, all clients have to wait, and those of later processes too. The
time is kept among the ledger's facts, on the monotonic clock: all processes of a machine share it, and setting the wall
clock does not move it. It is forgotten when the machine restarts. A ban must outlive that: it is a control record
(`BanSeen`). Asking, and what a refusal forbids, is recovery/rest_client.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class CooldownLedger(Protocol):
    """What is asked of the ledger."""

    def fact(self, name: str) -> str | None:
        """Return a remembered text."""

    def remember(self, name: str, value: str) -> None:
        """Keep a text."""


class Refusals:
    """The refusals of one venue.

    Examples
    --------
    >>> class Memory(dict):
    ...     fact, remember = dict.get, dict.__setitem__
    >>> memory = Memory()
    >>> Refusals(memory, "binance", lambda: 100.0).refused(160.0)
    >>> another = Refusals(memory, "binance", lambda: 130.0)
    >>> another.until()
    160.0
    >>> another.refused(150.0)
    >>> another.until()
    160.0

    A clock that is behind the refusal's own is that of a machine that has started anew since.

    >>> Refusals(memory, "binance", lambda: 5.0).until()
    0.0
    """

    def __init__(self, facts: CooldownLedger, venue: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._facts, self._name, self._monotonic = facts, f"refused:{venue}", monotonic

    def until(self) -> float:
        """Return the monotonic time before which nothing may be asked, 0 if it may."""
        since, _, until = (self._facts.fact(self._name) or "0 0").partition(" ")
        return float(until) if float(since) <= self._monotonic() else 0.0

    def refused(self, until: float) -> None:
        """Tell all processes that nothing may be asked before this monotonic time."""
        if until > self.until():
            self._facts.remember(self._name, f"{self._monotonic()!r} {until!r}")

"""Which simulated market a data directory holds: its name is kept when a simulator first tells it, and held to.

A simulator puts the name into every REST answer (simulate/venue_server.py); an exchange has none. Two simulated markets
may use the same ids for different trades, or ids that lie billions apart: neither must continue the other. Whether data
are simulated or live at all is the ledger's `kind`.
"""

from __future__ import annotations

from collections.abc import Mapping

from trading_platform.domain.errors import MarketMismatch
from trading_platform.ingest.rate_limits.shared_cooldown import CooldownLedger

HEADER = "x-simulated-market"
LONGEST_NAME = 200


class MarketName:
    """The name that the ledger keeps for one venue.

    Examples
    --------
    >>> class Memory(dict):
    ...     fact, remember = dict.get, dict.__setitem__
    >>> memory = Memory()
    >>> MarketName(memory, "binance").check_headers({HEADER: "synthetic, seed 0"})
    >>> MarketName(memory, "binance").check_headers({HEADER: "synthetic, seed 1"})
    Traceback (most recent call last):
    trading_platform.domain.errors.MarketMismatch: this data directory holds the simulated market 'synthetic...
    """

    def __init__(self, facts: CooldownLedger, venue: str) -> None:
        self._facts, self._name = facts, f"market:{venue}"
        self._heard: str | None = None

    def known(self) -> str | None:
        """Return the name, None if none was ever told."""
        return self._facts.fact(self._name)

    def check_headers(self, headers: Mapping[str, str]) -> None:
        """Take note of what an answer tells, if it tells anything.

        Raises
        ------
        MarketMismatch : if it comes from another market than the one that is held.
        """
        told = headers.get(HEADER)
        if told is not None and told != self._heard:
            self.check(told[:LONGEST_NAME])
            self._heard = told

    def check(self, told: str) -> None:
        """Hold a name to the one that is known, or keep it as that.

        Raises
        ------
        MarketMismatch : if it is another.
        """
        if self.expect(told) is None:
            self._facts.remember(self._name, told)

    def expect(self, told: str) -> str | None:
        """Hold a name to the one that is known, and return that.

        Raises
        ------
        MarketMismatch : if it is another.
        """
        known = self.known()
        if known not in (None, told):
            raise mismatch(str(known), f"the simulated market {told!r}")
        return known


def mismatch(known: str, other: str) -> MarketMismatch:
    """Return the error of a data directory that another market is to continue."""
    return MarketMismatch(
        f"this data directory holds the simulated market {known!r} and cannot take {other}; use another --data-dir"
    )

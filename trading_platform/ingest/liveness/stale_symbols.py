"""Find symbols that are silent for longer than their own rate of trades explains. Sans-I/O.

Silence of one symbol is no reason to reconnect; it is a reason to ask the venue's REST for the newest trade. Only if
that trade is newer than what the stream delivered is the subscription dead; then it is renewed. Asking is
recovery/head_prober.py, renewing recorder/session.py. Silence of a whole connection is keepalive.py.

False alarms. A symbol that trades at random times with rate λ (Poisson) stays silent for longer than t with
probability exp(-λ t), and has 86,400 λ silences a day; so t = ln(86,400 λ / F) / λ gives F false alarms a day. λ is not
known but estimated, and few arrivals make it uncertain: with n arrivals in T seconds, t comes from the predictive
distribution (1 + t/T)^-n instead, which tends to the former as n grows. A false alarm costs one request of the venue's
lowest weight. Real markets trade in clusters, so each false alarm also makes the symbol's limit longer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from trading_platform.domain.units import NS_PER_S

STARTED_AGAIN = 1_000
"""A newest id so far below what was delivered is not just late: the venue's ids started again, unseen by us."""


@dataclass(frozen=True)
class SilenceLimits:
    """How long a symbol may be silent before the venue is asked.

    Attributes
    ----------
    alarms_per_day : false alarms a symbol may raise, if it trades at random and more than once in a minute or so.
    floor_s, cap_s : a silence is never asked about before the one, and always after the other: a symbol that trades
        less often than about once in 70 s is asked about more often, at most every `cap_s` of silence.
    first_s : the patience with a symbol of unknown rate, one that has not traded twice yet: it may be deaf from the
        start. Each confirmed silence makes it half as long again, up to `cap_s`.
    memory_s : the half-life of what was learned; markets have quiet hours.
    settle_s : what the venue said to have traded may still be on its way for so long.
    """

    alarms_per_day: float = 1.0
    floor_s: float = 30.0
    cap_s: float = 600.0
    first_s: float = 60.0
    memory_s: float = 3600.0
    settle_s: float = 5.0


class StaleSymbols(NamedTuple):
    """What to do: symbols to ask the venue about, and symbols whose subscription to renew."""

    probe: tuple[str, ...] = ()
    renew: tuple[str, ...] = ()


@dataclass
class _SymbolSilence:
    arrivals: float = 0.0
    exposure_s: float = 0.0
    updated_ns: int = 0
    quiet_since_ns: int = 0
    newest: int | None = None
    epoch: int = 0
    stretch: float = 1.0
    asked_ns: int | None = None
    beyond: int | None = None
    beyond_ns: int = 0
    watched: bool = False


class SilenceTracker:
    """The symbols of one venue.

    Examples
    --------
    >>> silence = SilenceTracker(["A"], SilenceLimits())
    >>> for second in range(100):
    ...     silence.seen("A", trade_id=second, now_ns=second * 10**9)
    >>> silence.tick(120 * 10**9)
    StaleSymbols(probe=(), renew=())
    >>> silence.tick(140 * 10**9)
    StaleSymbols(probe=('A',), renew=())
    >>> silence.probed({"A": 105}, now_ns=141 * 10**9)  # it traded, and we were not told
    >>> silence.tick(147 * 10**9)
    StaleSymbols(probe=(), renew=('A',))
    """

    def __init__(self, symbols: Iterable[str], patience: SilenceLimits) -> None:
        self._patience = patience
        self._symbols = {symbol: _SymbolSilence() for symbol in symbols}

    def seen(self, symbol: str, trade_id: int, now_ns: int, epoch: int = 0) -> None:
        """Take note of a delivery: one trade, or several at once, of which this is the newest id."""
        mine = self._symbols.get(symbol)
        if mine is None:
            return
        if mine.watched:
            self._age(mine, now_ns)
            mine.arrivals += 1.0
        mine.watched, mine.updated_ns, mine.quiet_since_ns = True, now_ns, now_ns
        if epoch > mine.epoch:
            mine.epoch, mine.newest = epoch, None
        if epoch == mine.epoch:
            mine.newest = trade_id if mine.newest is None else max(mine.newest, trade_id)
        mine.asked_ns = None
        if mine.beyond is not None and mine.newest is not None and mine.newest >= mine.beyond:
            mine.beyond = None

    def lost(self, symbol: str) -> None:
        """Take note that no stream carries the symbol now: silence means nothing until something is seen or probed."""
        mine = self._symbols.get(symbol)
        if mine is not None:
            mine.watched, mine.asked_ns, mine.beyond = False, None, None

    def probed(self, heads: Mapping[str, int | None], now_ns: int) -> None:
        """Take note of the newest ids that the venue's REST knows."""
        for symbol, head in heads.items():
            mine = self._symbols.get(symbol)
            if mine is None:
                continue
            if head is None or (mine.newest is not None and mine.newest - STARTED_AGAIN < head <= mine.newest):
                if mine.asked_ns is not None:
                    mine.stretch = min(8.0, mine.stretch * 1.5)
                self._believe(mine, now_ns)
            elif mine.watched and mine.newest is not None:
                mine.beyond, mine.beyond_ns = head, now_ns
            else:
                # Not heard of since it was lost: from here on it is listened to, and owes us what comes next.
                mine.newest = head
                self._believe(mine, now_ns)

    def paused(self, now_ns: int) -> None:
        """Take note that this process was paused, or lagged: no symbol's silence until now counts."""
        for mine in self._symbols.values():
            if mine.watched:
                mine.updated_ns = mine.quiet_since_ns = now_ns
                mine.asked_ns = None

    def tick(self, now_ns: int) -> StaleSymbols:
        """Decide. Call only when everything that was received has been seen."""
        probe, renew = [], []
        for symbol, mine in self._symbols.items():
            if not mine.watched:
                continue
            if mine.beyond is not None:
                if now_ns - mine.beyond_ns >= self._patience.settle_s * NS_PER_S:
                    renew.append(symbol)
                    self.lost(symbol)
                continue
            since_ns = mine.quiet_since_ns if mine.asked_ns is None else mine.asked_ns
            if now_ns - since_ns >= self.patience_s(symbol) * NS_PER_S:
                probe.append(symbol)
                mine.asked_ns = now_ns
        return StaleSymbols(tuple(probe), tuple(renew))

    def patience_s(self, symbol: str) -> float:
        """Return for how long this symbol's silence is believed."""
        terms, mine = self._patience, self._symbols[symbol]
        if mine.arrivals < 1.0 or mine.exposure_s <= 0.0:
            return min(terms.cap_s, terms.first_s * mine.stretch)
        silences = 86_400.0 * mine.arrivals / mine.exposure_s
        allowed = terms.alarms_per_day / silences
        if allowed >= 1.0:
            return terms.cap_s
        # expm1: with many arrivals the exponent is tiny and the difference to 1 would drown in rounding.
        wait_s = mine.exposure_s * math.expm1(min(700.0, -math.log(allowed) / mine.arrivals))
        return min(terms.cap_s, max(terms.floor_s, wait_s * mine.stretch))

    def _believe(self, mine: _SymbolSilence, now_ns: int) -> None:
        # The silence goes on and is learned from when it ends; it is asked about again after as long a time.
        if not mine.watched:
            mine.watched, mine.updated_ns = True, now_ns
        mine.quiet_since_ns, mine.asked_ns, mine.beyond = now_ns, None, None

    def _age(self, mine: _SymbolSilence, now_ns: int) -> None:
        seconds = max(0, now_ns - mine.updated_ns) / NS_PER_S
        faded = 0.5 ** (seconds / self._patience.memory_s)
        mine.arrivals *= faded
        mine.exposure_s = mine.exposure_s * faded + seconds
        # What a false alarm taught fades as well.
        mine.stretch = 1.0 + (mine.stretch - 1.0) * faded

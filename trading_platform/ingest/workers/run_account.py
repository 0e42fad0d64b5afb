"""What one run of ingest heard of each symbol: was a stream opened, did a trade come, what did REST show meanwhile.

A run that ends by itself says what is missing and fails. Plain values; the recorder, the processor and the prober tell
them (messages.py, head_prober.py), `commands/ingest.py` asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from trading_platform.ingest.workers import messages
from trading_platform.venues.answers import named

if TYPE_CHECKING:
    from trading_platform.domain.trades.trade_columns import TradeColumns

_S = 1_000_000_000
CLOCKS_APART_NS = 2 * _S
"""So much later than our opening a trade must say it was, to have come after it whatever the two clocks say."""
MOST_NAMED = 20


class RunAccount:
    """The symbols of one run.

    Parameters
    ----------
    symbols : canonical.

    Examples
    --------
    >>> account = RunAccount(["A", "B", "C"])
    >>> account.refused(["A"], "HTTP 451: the venue does not serve this location")
    >>> account.opened(["B", "C"], 100 * 10**9)
    >>> account.heard(["C"])
    >>> account.head("B", 7, None)
    >>> account.silent(), account.missing("binance")[1:]
    (['B'], [])
    >>> account.head("B", 9, None)
    >>> for line in account.missing("binance"): print(line)
    binance: no stream of A was opened: HTTP 451: the venue does not serve this location
    binance: nothing of B was recorded, and REST shows trades meanwhile (up to id 9)
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        self._reasons = dict.fromkeys(symbols, "no attempt was answered in time")
        self._opened_ns: dict[str, int] = {}
        self._silent: dict[str, None] = dict.fromkeys(self._reasons)
        self._first: dict[str, int | None] = {}
        self._traded: dict[str, int] = {}

    def opened(self, symbols: Iterable[str], wall_ns: int) -> None:
        """Take note that a stream of these is open; it was by then."""
        for symbol in symbols:
            self._opened_ns.setdefault(symbol, wall_ns)

    def refused(self, symbols: Iterable[str], reason: str) -> None:
        """Take note that an attempt at these brought no stream, and why."""
        self._reasons.update(dict.fromkeys(set(symbols) & self._reasons.keys(), reason))

    def heard(self, symbols: Iterable[str]) -> None:
        """Take note that a trade of these came."""
        for symbol in symbols:
            self._silent.pop(symbol, None)

    def head(self, symbol: str, head: int | None, ts_event: int | None) -> None:
        """Take note of the newest trade that REST knew; `ts_event` is None where only its id is known."""
        first = self._first.setdefault(symbol, head)
        opened_ns = self._opened_ns.get(symbol)
        if head is None:
            return
        after = opened_ns is not None and ts_event is not None and ts_event > opened_ns + CLOCKS_APART_NS
        if after or first is None or head > first:
            self._traded[symbol] = head

    def silent(self) -> list[str]:
        """Return the symbols that have a stream, and of which no trade came yet."""
        return [symbol for symbol in self._silent if symbol in self._opened_ns]

    def not_ready(self, venue: str) -> str | None:
        """Return which symbols have no stream yet, in one line; None once each had one."""
        waiting = [symbol for symbol in self._reasons if symbol not in self._opened_ns and symbol in self._silent]
        return f"{venue}: no stream yet of {_names(waiting)}" if waiting else None

    def missing(self, venue: str) -> list[str]:
        """Return what a run has to say for itself, a line each: nothing, if all is well."""
        unopened: dict[str, list[str]] = {}
        for symbol, reason in self._reasons.items():
            if symbol not in self._opened_ns and symbol in self._silent:
                unopened.setdefault(reason, []).append(symbol)
        lines = [f"{venue}: no stream of {_names(some)} was opened: {reason}" for reason, some in unopened.items()]
        deaf = [symbol for symbol in self.silent() if symbol in self._traded]
        if deaf:
            newest = f"id {self._traded[deaf[0]]}" if len(deaf) == 1 else f"id {self._traded[deaf[0]]} of {deaf[0]}"
            lines.append(
                f"{venue}: nothing of {_names(deaf)} was recorded, and REST shows trades meanwhile (up to {newest})"
            )
        return lines


class FirstTrades:
    """Tells the parent of each symbol's first trade of a run; the processor's side.

    Parameters
    ----------
    since_ns : what was received earlier is another run's.
    put : sends lines, now or when there is room.
    """

    def __init__(self, since_ns: int, put: Callable[[Iterable[bytes]], object]) -> None:
        self._since_ns, self._put = since_ns, put
        self._seen: set[str] = set()

    def observe(self, trades: Mapping[str, TradeColumns]) -> None:
        """Take note of what was decoded, by symbol."""
        new = [symbol for symbol in trades.keys() - self._seen if trades[symbol].ts_recv.max() >= self._since_ns]
        self._seen.update(new)
        self._put(messages.heard(sorted(new)))


def _names(symbols: Sequence[str]) -> str:
    return named(symbols, MOST_NAMED)

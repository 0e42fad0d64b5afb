"""Which symbols a new connection has taken over: by an id it delivered, or by a probe. Sans-I/O.

When to open and close connections is session.py; asking the venue's REST is head_prober.py, in another process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trading_platform.domain.units import NS_PER_S

PROBE_AFTER_S = 5.0
"""A symbol that has not traded on the new connection for so long is asked for by REST, and so on until it is known."""
MOST_PROBES = 10
SETTLE_S = 2.0
"""What the venue traded before the probe's answer may still be on its way to us for so long."""


class HandoverTracker:
    """The symbols of one new connection, until each is known to have lost nothing, or its loss is on record.

    A symbol is taken over once

    - the new connection delivered an id no later than the old one's last + 1, or
    - a probe made after it opened did, or
    - a probe is on record and there is nobody left who could deliver what lies before it (no old connection, or one
      that is deaf for this symbol): what is missing is an open gap in the ledger from then on.

    Where ids prove nothing no gap would open by the first id that comes. So a connection that replaces none has each
    symbol asked for: the answer lists the newest trades, those of the interruption among them.

    Parameters
    ----------
    symbols : the venue's spellings.
    replaces : whether an old connection goes on delivering.
    deaf : symbols that the old one is known not to deliver.
    ids_prove : whether a missing id is a missing trade.

    Examples
    --------
    >>> handover = HandoverTracker(["A", "B"], opened_ns=0, replaces=True)
    >>> handover.old("A", 7)
    >>> handover.new("A", 9)  # 8 is still on its way
    >>> handover.new("B", 3); handover.old("B", 3)
    >>> handover.waiting(now_ns=0)
    ['A']
    >>> handover.old("A", 8)
    >>> handover.waiting(now_ns=0)
    []
    """

    def __init__(
        self,
        symbols: Iterable[str],
        *,
        opened_ns: int,
        replaces: bool,
        deaf: frozenset[str] = frozenset(),
        ids_prove: bool = True,
    ) -> None:
        self._left = dict.fromkeys(symbols)
        self._replaces = replaces
        self._deaf, self._ids_prove = deaf, ids_prove
        self._ask_ns = opened_ns + int(PROBE_AFTER_S * NS_PER_S)
        self._asked = 0
        self._old: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._heads: dict[str, tuple[int, int | None]] = {}

    def old(self, symbol: str, trade_id: int) -> None:
        """Take note of what the old connection delivered."""
        if symbol in self._left:
            self._old[symbol] = max(trade_id, self._old.get(symbol, trade_id))

    def new(self, symbol: str, trade_id: int) -> None:
        """Take note of what the new connection delivered."""
        if symbol in self._left:
            self._first[symbol] = min(trade_id, self._first.get(symbol, trade_id))

    def probed(self, heads: Mapping[str, int | None], now_ns: int) -> None:
        """Take note of probes made since the last `ask` (None: the venue has never traded it)."""
        if self._asked:
            for symbol in self._left.keys() & heads.keys():
                self._heads[symbol] = (now_ns, heads[symbol])

    def alone(self) -> None:
        """Take note that the old connection has ended."""
        self._replaces = False

    def waiting(self, now_ns: int) -> list[str]:
        """Return the symbols not taken over yet."""
        for symbol in [symbol for symbol in self._left if self._taken(symbol, now_ns)]:
            del self._left[symbol]
        return list(self._left)

    def ask(self, now_ns: int) -> list[str]:
        """Return the symbols to probe now."""
        if now_ns < self._ask_ns:
            return []
        self._ask_ns = now_ns + 3 * int(PROBE_AFTER_S * NS_PER_S)
        self._asked += 1
        return [symbol for symbol in self.waiting(now_ns) if symbol not in self._heads]

    def _taken(self, symbol: str, now_ns: int) -> bool:
        first, last = self._first.get(symbol), self._old.get(symbol)
        if not self._replaces and first is not None and self._ids_prove:
            return True
        if first is not None and last is not None and first <= last + 1:
            return True
        if symbol not in self._heads:
            # Nobody answers probes, and nobody delivers either: looking at every frame must end some time.
            return not self._replaces and self._asked > MOST_PROBES
        probed_ns, head = self._heads[symbol]
        if not self._replaces or head is None or (last is not None and head <= last + 1):
            return True
        # Nothing of this symbol came from the old connection since: either the head is what it delivered last, long
        # ago, or it is deaf. After a while no more can be on its way.
        patience_s = SETTLE_S if last is None or symbol in self._deaf else 5 * SETTLE_S
        return now_ns - probed_ns >= patience_s * NS_PER_S

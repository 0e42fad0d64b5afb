"""Query the simulated venue's history of issued trades, for REST: by id and time, with forgotten or altered trades.

The wire format belongs to each exchange (exchanges/); issuing is venue_server.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from trading_platform.simulate.faults import Event
from trading_platform.simulate.tape import Market, Print
from trading_platform.simulate.tape_epochs import TapeNumbering


class IssuedTrades:
    """What has been issued, by id and by time; a symbol of which nothing was has no trades.

    Parameters
    ----------
    market : what is traded.
    head : a market's symbol to the highest id issued so far, None if none is.
    numbering : how the market's ids are shown.
    events : planned faults; those that change what REST serves count, the others are passed over.
    symbols : a market's symbol to the canonical one.

    Attributes
    ----------
    events : the planned faults that count.
    """

    def __init__(
        self,
        market: Market,
        head: Callable[[str], int | None],
        numbering: TapeNumbering,
        events: Sequence[Event],
        symbols: Mapping[str, str],
    ) -> None:
        self._market, self._head, self._numbering, self._symbols = market, head, numbering, symbols
        self.events = [event for event in events if event.kind in {"rest_forget", "rest_conflict"}]

    def newest(self, name: str, limit: int) -> list[Print]:
        """Return the last trades, ascending."""
        head = self._head(name)
        return [] if head is None else self._shown(self._market.newest(name, head, limit))[:limit]

    def page(self, name: str, from_id: int, limit: int) -> list[Print]:
        """Return the trades of the newest numbering from an id on, ascending."""
        return self.page_on_tape(name, self._numbering.on_tape(name, from_id), limit)

    def page_on_tape(self, name: str, from_id: int, limit: int) -> list[Print]:
        """Return the trades from the market's own id on, ascending."""
        head = self._head(name)
        if head is None:
            return []
        rows = self._market.page(name, from_id, head, limit)
        # As in a database, what is missing does not shorten a page.
        while rows and len(kept := self._served(rows)) < limit and rows[-1].trade_id < head:
            more = self._market.page(name, rows[-1].trade_id + 1, head, limit - len(kept))
            if not more:
                break
            rows = [*kept, *more]
        return self._shown(rows)[:limit]

    def page_from(self, name: str, begin_ns: int, is_later: Callable[[Print], bool], limit: int) -> list[Print]:
        """Return trades from the first one on that is issued at or after an instant and later, ascending."""
        head, at = self._head(name), self.first_at(name, begin_ns)
        while head is not None and (rows := self._market.page(name, at, head, limit)):
            for row in rows:
                if is_later(row):
                    return self.page_on_tape(name, row.trade_id, limit)
            at = rows[-1].trade_id + 1
        return []

    def between(self, name: str, begin_ns: int | None, end_ns: int | None, limit: int) -> list[Print]:
        """Return trades of `begin_ns` ≤ time < `end_ns`, the first ones, or the last ones without a begin."""
        head = self._head(name)
        if head is None:
            return []
        if end_ns is not None:
            last = self._market.head_at(name, end_ns - 1)
            head = -1 if last is None else min(head, last)
        if begin_ns is None:
            return self._shown(self._market.newest(name, head, limit)) if head >= 0 else []
        return self._shown(self._market.page(name, self.first_at(name, begin_ns), head, limit))

    def first_at(self, name: str, ts_ns: int) -> int:
        """Return the market's own id of the first trade at or after an instant, issued or not."""
        before = self._market.head_at(name, ts_ns - 1)
        return 0 if before is None else before + 1

    def _served(self, rows: list[Print]) -> list[Print]:
        """Return the rows as the history knows them: some forgotten, some different."""
        for event in self.events:
            first = event.at_id or 0
            if event.kind == "rest_forget":
                rows = [row for row in rows if not self._hits(event, row, first)]
            else:
                rows = [row._replace(price=_other(row.price)) if self._hits(event, row, first) else row for row in rows]
        return rows

    def _shown(self, rows: list[Print]) -> list[Print]:
        return [self._numbering.shown(row) for row in self._served(self._numbering.served(rows))]

    def _hits(self, event: Event, row: Print, first: int) -> bool:
        mine = event.symbol is None or event.symbol == self._symbols[row.venue_symbol]
        return mine and first <= row.trade_id < first + event.count


def _other(price: str) -> str:
    """Return a price of the same form that differs in its first digit."""
    return ("2" if price[0] == "1" else "1") + price[1:]

"""Bitstamp's REST as the simulator answers it: trades of the last day, pairs, errors. Pure: time is handed in.

After bitstamp.net/api (Transactions, Trading pairs info, EUR/USD conversion rate, response codes) and a recorded list
of pairs.

Imitated:

- `transactions` gives the trades of the last minute, hour (if nothing is said) or day, newest first, times in whole
  seconds. Nothing reaches further back.
- An address may ask 10,000 times in ten minutes and 400 times in a second; beyond that 400 with the code 400.002.
- A pair that does not exist is 404 with a page.

Not imitated: other paths (404). What a blocked address is answered is not documented: here it is 403 with a page.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from trading_platform.simulate.exchange import HttpAnswer, RequestRecord, RestState, Stage
from trading_platform.simulate.tape import ListedSymbol, Print, time_ns, with_places

_WINDOWS_NS = {"minute": 60 * 10**9, "hour": 3600 * 10**9, "day": 86_400 * 10**9}
_MOST = 10_000_000
_HTML = (("content-type", "text/html"),)
_TRANSACTIONS = "/api/v2/transactions/"
_TOO_MANY = {"response_code": "400.002", "response_explanation": "Request rejected due to exceeded rate limit."}
_BLOCKED = HttpAnswer(403, b"<html><body>Access denied</body></html>", _HTML)
_MISSING = HttpAnswer(404, b"<html><body>Page not found</body></html>", _HTML)


class RequestLimit:
    """The requests of one address: so many in each of some windows.

    Examples
    --------
    >>> limit = RequestLimit(((2, 1.0), (3, 10.0)))
    >>> [limit.charge(now_s) for now_s in (0.0, 0.5, 0.6, 2.0, 3.0, 12.5)]
    [True, True, False, True, False, True]
    """

    def __init__(self, windows: tuple[tuple[int, float], ...] = ((400, 1.0), (10_000, 600.0))) -> None:
        self._windows = windows
        self._asked: tuple[deque[float], ...] = tuple(deque() for _ in windows)

    @property
    def used(self) -> int:
        """How many requests count in the longest window now."""
        return len(self._asked[-1])

    def charge(self, now_s: float) -> bool:
        """Count a request; tell whether it is answered."""
        for asked, (_, window_s) in zip(self._asked, self._windows, strict=True):
            while asked and now_s - asked[0] > window_s:
                asked.popleft()
        if any(len(asked) >= most for asked, (most, _) in zip(self._asked, self._windows, strict=True)):
            return False
        for asked in self._asked:
            asked.append(now_s)
        return True


class BitstampPair(NamedTuple):
    """How a symbol is spelled, and the decimals of its prices."""

    pair: str
    name: str
    places: int


def spelling(listing: ListedSymbol) -> BitstampPair:
    """Return how a listing is spelled.

    >>> spelling(ListedSymbol("BTCUSD", "BTC-USD", "0.01000000", "0.00000001"))
    BitstampPair(pair='btcusd', name='BTC/USD', places=2)
    """
    places = len(listing.price_step.rstrip("0").partition(".")[2])
    return BitstampPair((listing.base + listing.quote).lower(), f"{listing.base}/{listing.quote}", places)


def shared_id(row: Print, pairs: int) -> int:
    """Return the id that a trade is told by: `pairs` symbols share the numbers, each has every so manieth of them.

    >>> shared_id(Print(0, 2, 7, "ETHUSD", 0, 0, "1", "1", True), 3)
    23
    """
    return row.trade_id * pairs + row.order


class BitstampRest(RestState):
    """Answers requests from what has been issued.

    Parameters
    ----------
    stage : the simulation it plays in.
    limits : what an address may ask.
    """

    def __init__(self, stage: Stage, limits: RequestLimit | None = None) -> None:
        super().__init__(stage)
        self.limits = limits or RequestLimit()
        self._pairs = len(self._listings)
        self._names = {spelling(row).pair: name for name, row in self._listings.items()}
        self._routes: dict[str, Callable[[], Any]] = {
            "/api/v2/eur_usd/": lambda: {"buy": "1.08915", "sell": "1.08862"},
            "/api/v2/trading-pairs-info/": self._listing,
        }

    def handle(
        self, method: str, path: str, query: str, headers: Mapping[str, str], *, now_s: float, wall_ns: int
    ) -> HttpAnswer:
        """Answer one request."""
        del headers
        params = dict(parse_qsl(query, keep_blank_values=True))
        answer = self._fault(now_s)
        if answer is None:
            answer = self._answer(method, path, params) if self.limits.charge(now_s) else _told(_TOO_MANY, 400)
        self.requests.append(RequestRecord(wall_ns, now_s, path, params, 1, answer.status, self.limits.used))
        return answer

    def _fault(self, now_s: float) -> HttpAnswer | None:
        failure = self.faults.meets(now_s)
        if failure is None:
            return None
        wait = failure.event.retry_after if failure.event is not None else None
        headers = (("retry-after", wait),) if wait else ()
        if failure.kind == "rest_429":
            return _told(_TOO_MANY, 400, headers)
        if failure.kind == "rest_418":
            return _BLOCKED._replace(headers=(*_HTML, *headers))
        if failure.kind == "rest_garbage":
            return HttpAnswer(200, b"<html><body>We will be back soon</body></html>", _HTML)
        status = 503 if failure.event is None else failure.event.status
        return HttpAnswer(status, b"<html><body>Bad gateway</body></html>", _HTML)

    def _answer(self, method: str, path: str, params: dict[str, str]) -> HttpAnswer:
        if method != "GET":
            return _MISSING
        if path.startswith(_TRANSACTIONS):
            return self._transactions(path.removeprefix(_TRANSACTIONS).rstrip("/"), params.get("time") or "hour")
        route = self._routes.get(path)
        return _MISSING if route is None else _told(route())

    def _transactions(self, pair: str, window: str) -> HttpAnswer:
        name = self._names.get(pair)
        if name is None or not self.lists(name):
            return _MISSING
        if window not in _WINDOWS_NS:
            return _told({"response_code": "400.001", "response_explanation": "Unknown validation error."}, 400)
        rows = self.issued.between(name, self._now_ns() - _WINDOWS_NS[window], None, _MOST)
        places = spelling(self._listings[name]).places
        return _told([self._trade(row, places) for row in reversed(rows)])

    def _trade(self, row: Print, places: int) -> dict[str, str]:
        return {
            "date": str(time_ns(row.time) // 1_000_000_000),
            "tid": str(shared_id(row, self._pairs)),
            "amount": with_places(row.quantity, 8),
            "type": "1" if row.buyer_is_maker else "0",
            "price": with_places(row.price, places),
        }

    def _listing(self) -> list[dict[str, Any]]:
        return [
            {
                "trading": "Disabled" if name in self._halted else "Enabled",
                "base_decimals": 8,
                "url_symbol": spelling(row).pair,
                "name": spelling(row).name,
                "instant_and_market_orders": "Enabled",
                "minimum_order": f"20.0 {row.quote}",
                "counter_decimals": spelling(row).places,
                "description": f"{row.base} / {row.quote}",
            }
            for name, row in self._listings.items()
        ]


def _told(told: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> HttpAnswer:
    return HttpAnswer(status, msgspec.json.encode(told), headers)

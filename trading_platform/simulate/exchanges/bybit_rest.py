"""Bybit's REST as the simulator answers it: v5 market data, errors inside HTTP 200. Pure: time is handed in.

After bybit-exchange.github.io/docs/v5 (Market, Rate Limit) and recorded answers.

Imitated:

- `recent-trade` gives the newest trades of a symbol, newest first: at most 60 of spot, 1,000 of linear. Nothing reaches
  further back; a limit beyond that counts as that.
- `instruments-info`: spot is one list and has what trades now; linear comes in pages with a cursor, and by `status`.
- An address that asks more than 600 times in 5 seconds is banned for ten minutes: 403, `access too frequent`. Planned
  refusals for a moment are `retCode` 10006 inside 200.

Not imitated: other paths (404), limits of single paths and their headers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from trading_platform.simulate.exchange import HttpAnswer, RequestRecord, RestState, Stage
from trading_platform.simulate.exchanges.bybit_spelling import CATEGORIES, spelling, trade_uid, trimmed
from trading_platform.simulate.faults import Event
from trading_platform.simulate.tape import ListedSymbol, Print, time_ns, with_places

_MOST_TRADES = {"spot": 60, "linear": 1000}
_DEFAULT_TRADES = {"spot": 60, "linear": 500}
_MOST_LISTED, _DEFAULT_LISTED = 1000, 500
_HTML = (("content-type", "text/html"),)
_BANNED = HttpAnswer(403, b"access too frequent", (("content-type", "text/plain"),))
_LAUNCHED_MS = 1_585_526_400_000


class IpLimit:
    """The requests of one address: so many in a window, a ban beyond it.

    Examples
    --------
    >>> limit = IpLimit(most=2, window_s=5.0, ban_s=600.0)
    >>> [limit.charge(now_s) for now_s in (0.0, 1.0, 2.0, 500.0, 603.0)]
    [True, True, False, False, True]
    """

    def __init__(self, most: int = 600, window_s: float = 5.0, ban_s: float = 600.0) -> None:
        self.most, self.window_s, self.ban_s = most, window_s, ban_s
        self._asked: deque[float] = deque()
        self._banned_until_s = 0.0

    @property
    def used(self) -> int:
        """How many requests count now."""
        return len(self._asked)

    def charge(self, now_s: float) -> bool:
        """Count a request; tell whether it is answered."""
        if now_s < self._banned_until_s:
            return False
        while self._asked and now_s - self._asked[0] > self.window_s:
            self._asked.popleft()
        if len(self._asked) >= self.most:
            self.ban(self.ban_s, now_s)
            return False
        self._asked.append(now_s)
        return True

    def ban(self, seconds: float, now_s: float) -> None:
        """Ban the address."""
        self._banned_until_s = now_s + seconds


class _Refused(Exception):
    """A request that is answered with one of the exchange's error codes."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class BybitRest(RestState):
    """Answers requests from what has been issued.

    Parameters
    ----------
    stage : the simulation it plays in.
    limits : what an address may ask.
    """

    def __init__(self, stage: Stage, limits: IpLimit | None = None) -> None:
        super().__init__(stage)
        self.limits = limits or IpLimit()
        self._markets = len(self._listings)
        self._routes: dict[str, Callable[[dict[str, str]], dict[str, Any]]] = {
            "/v5/market/time": self._time,
            "/v5/market/recent-trade": self._recent,
            "/v5/market/instruments-info": self._instruments,
        }

    def begin(self, event: Event, now_s: float) -> None:
        """Let every request fail as the event says, for its seconds; a ban bans."""
        super().begin(event, now_s)
        if event.kind == "rest_418":
            self.limits.ban(event.seconds, now_s)

    def handle(
        self, method: str, path: str, query: str, headers: Mapping[str, str], *, now_s: float, wall_ns: int
    ) -> HttpAnswer:
        """Answer one request."""
        del headers
        params = dict(parse_qsl(query, keep_blank_values=True))
        answer = self._fault(now_s)
        if answer is None:
            answer = self._answer(method, path, params) if self.limits.charge(now_s) else _BANNED
        self.requests.append(RequestRecord(wall_ns, now_s, path, params, 1, answer.status, self.limits.used))
        return answer

    def _fault(self, now_s: float) -> HttpAnswer | None:
        failure = self.faults.meets(now_s)
        if failure is None:
            return None
        wait = failure.event.retry_after if failure.event is not None else None
        headers = (("retry-after", wait),) if wait else ()
        if failure.kind == "rest_429":
            return self._told(10006, "Too many visits. Exceeded the API Rate Limit.", {}, headers)
        if failure.kind == "rest_418":
            return _BANNED._replace(headers=(*_BANNED.headers, *headers))
        if failure.kind == "rest_garbage":
            return HttpAnswer(200, b"<html><body>We are upgrading our system</body></html>", _HTML)
        if failure.event is None or failure.event.status == 503:
            return self._told(10016, "Internal server error.", {})
        return HttpAnswer(failure.event.status, b"<html><body>Bad gateway</body></html>", _HTML)

    def _answer(self, method: str, path: str, params: dict[str, str]) -> HttpAnswer:
        route = self._routes.get(path)
        if route is None or method != "GET":
            return HttpAnswer(404, b"404 page not found", (("content-type", "text/plain"),))
        try:
            return self._told(0, "OK", route(params))
        except _Refused as error:
            return self._told(error.code, str(error), {})

    def _told(
        self, code: int, text: str, result: dict[str, Any], headers: tuple[tuple[str, str], ...] = ()
    ) -> HttpAnswer:
        now_ms = self._now_ns() // 1_000_000
        told = {"retCode": code, "retMsg": text, "result": result, "retExtInfo": {}, "time": now_ms}
        return HttpAnswer(200, msgspec.json.encode(told), headers)

    def _time(self, _: dict[str, str]) -> dict[str, Any]:
        now_ns = self._now_ns()
        return {"timeSecond": str(now_ns // 1_000_000_000), "timeNano": str(now_ns)}

    def _recent(self, params: dict[str, str]) -> dict[str, Any]:
        category = _category(params)
        name = next((n for n, row in self._of(category) if spelling(row).name == params.get("symbol")), None)
        if name is None:
            raise _Refused(10001, "params error: symbol invalid")
        limit = min(_whole(params, "limit", _DEFAULT_TRADES[category]), _MOST_TRADES[category])
        places = spelling(self._listings[name]).places
        rows = reversed(self.issued.newest(name, limit))
        return {"category": category, "list": [self._trade(row, category, places, params["symbol"]) for row in rows]}

    def _trade(self, row: Print, category: str, places: int, symbol: str) -> dict[str, Any]:
        return {
            "execId": trade_uid(row, category, self._markets),
            "symbol": symbol,
            "price": with_places(row.price, places),
            "size": trimmed(row.quantity),
            "side": "Sell" if row.buyer_is_maker else "Buy",
            "time": str(time_ns(row.time) // 1_000_000),
            "isBlockTrade": False,
            "isRPITrade": False,
            "seq": str(row.trade_id // 2 * 3),
        }

    def _instruments(self, params: dict[str, str]) -> dict[str, Any]:
        category, symbol = _category(params), params.get("symbol")
        listed = [(n, row) for n, row in self._of(category) if symbol in {None, "", spelling(row).name}]
        if category == "spot":
            found = [_spot(row) for n, row in listed if n not in self._halted]
            return {"category": category, "list": found, "nextPageCursor": ""}
        status = params.get("status") or "Trading"
        states = [(row, "Closed" if name in self._halted else "Trading") for name, row in listed]
        found = [_linear(row, state) for row, state in states if state == status]
        limit = min(_whole(params, "limit", _DEFAULT_LISTED), _MOST_LISTED)
        first = _cursor(params.get("cursor", ""))
        page = found[first : first + limit]
        cursor = f"first%3D{first + limit}%26of%3Dlinear" if first + limit < len(found) else ""
        return {"category": category, "list": page, "nextPageCursor": cursor}

    def _of(self, category: str) -> list[tuple[str, ListedSymbol]]:
        return [(name, row) for name, row in self._listings.items() if spelling(row).category == category]


def _category(params: Mapping[str, str]) -> str:
    category = params.get("category", "")
    if category not in CATEGORIES:
        raise _Refused(10001, "params error: category invalid")
    return category


def _whole(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text[:9]) < 1:
        raise _Refused(10001, f"params error: {name} invalid")
    return int(text[:9])


def _cursor(text: str) -> int:
    """Return the place that a cursor stands for; who sends it on has it with `%3D` once more unescaped or not."""
    number = text.replace("%3D", "=").replace("%26", "&").partition("first=")[2].partition("&")[0]
    if text and not number.isdigit():
        raise _Refused(10001, "params error: cursor invalid")
    return int(number or 0)


def _step(literal: str) -> str:
    return trimmed(literal)


def _spot(listing: ListedSymbol) -> dict[str, Any]:
    return {
        "symbol": spelling(listing).name,
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "utaOnly",
        "lotSizeFilter": {
            "basePrecision": _step(listing.quantity_step),
            "quotePrecision": "0.0000001",
            "minOrderQty": _step(listing.quantity_step),
            "maxOrderQty": "100.0",
            "minOrderAmt": "5",
            "maxOrderAmt": "4000000",
        },
        "priceFilter": {"tickSize": _step(listing.price_step)},
    }


def _linear(listing: ListedSymbol, status: str) -> dict[str, Any]:
    return {
        "symbol": spelling(listing).name,
        "contractType": "LinearPerpetual",
        "status": status,
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
        "launchTime": str(_LAUNCHED_MS),
        "deliveryTime": "0",
        "deliveryFeeRate": "0.0005",
        "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "1"},
        "priceFilter": {
            "minPrice": _step(listing.price_step),
            "maxPrice": "1999999",
            "tickSize": _step(listing.price_step),
        },
        "lotSizeFilter": {
            "maxOrderQty": "1190.0",
            "minOrderQty": _step(listing.quantity_step),
            "qtyStep": _step(listing.quantity_step),
            "postOnlyMaxOrderQty": "1190.0",
            "maxMktOrderQty": "500.0",
            "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": listing.quote,
    }

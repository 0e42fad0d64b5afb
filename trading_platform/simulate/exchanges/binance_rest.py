"""Binance's REST answers: trades that have been issued, request weight, 429, 418, errors. Pure: time is handed in.

After the exchange's rest-api.md and errors.md. Streams are binance_stream.py; sockets venue_server.py. Simplified:
each aggregate trade holds one trade and has its id; a limit above 1,000 counts as 1,000.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from trading_platform.simulate.exchange import HttpAnswer, RequestRecord
from trading_platform.simulate.faults import Event, FaultPlan, RequestFaults
from trading_platform.simulate.issued_trades import IssuedTrades
from trading_platform.simulate.tape import ListedSymbol, Market, Print
from trading_platform.simulate.tape_epochs import TapeNumbering

WEIGHT_PER_MINUTE = 6000
_BAN_S = 120.0
_LONGEST_BAN_S = 3 * 86_400.0
_REMEMBERED = 100_000
_PATIENCE = 10
"""Requests within a 429's Retry-After before the address is banned."""

_SYMBOL_RANGE = r"^[\w\-._&&[^a-z]]{1,50}$"
_NUMBER_RANGE = "^[0-9]{1,20}$"
_SYMBOL = re.compile(r"(?:[^\Wa-z]|[.-]){1,50}")
_NUMBER = re.compile("[0-9]{1,20}", re.ASCII)


class _Refused(Exception):
    """A request that is answered with one of the venue's error codes."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.answer = HttpAnswer(status, msgspec.json.encode({"code": code, "msg": text}))


class WeightLimit:
    """The request weight of one address: fixed windows of a minute, 429 beyond it, 418 for a client that goes on.

    Examples
    --------
    >>> limits = WeightLimit(weight_per_minute=50)
    >>> [limits.charge(25, now_s) is None for now_s in (0.0, 1.0, 2.0, 60.0)]
    [True, True, False, True]
    """

    def __init__(self, weight_per_minute: int = WEIGHT_PER_MINUTE) -> None:
        self.weight_per_minute = weight_per_minute
        self.used = 0
        self._minute = -1
        self._wait_until = self._banned_until = 0.0
        self._ignored = self._bans = 0

    def charge(self, weight: int, now_s: float) -> tuple[int, float] | None:
        """Charge a request; return (429 or 418, seconds to wait) if it is refused."""
        minute = int(now_s // 60)
        if minute != self._minute:
            self._minute, self.used = minute, 0
        self.used += weight
        if now_s < self._banned_until:
            return 418, self._banned_until - now_s
        if now_s < self._wait_until:
            self._ignored += 1
            if self._ignored >= _PATIENCE:
                return self.ban(min(_BAN_S * 2**self._bans, _LONGEST_BAN_S), now_s)
            return 429, self._wait_until - now_s
        self._ignored = 0
        if self.used <= self.weight_per_minute:
            return None
        self._wait_until = (minute + 1) * 60.0
        return 429, self._wait_until - now_s

    def ban(self, seconds: float, now_s: float) -> tuple[int, float]:
        """Ban the address."""
        self._bans += 1
        self._ignored = 0
        self._banned_until = now_s + seconds
        return 418, seconds

    def wait(self, seconds: float, now_s: float) -> None:
        """Count requests of the next seconds as ignoring a 429."""
        self._wait_until = max(self._wait_until, now_s + seconds)


class BinanceRest:
    """Answers requests from what has been issued.

    Parameters
    ----------
    market : what is traded.
    head : venue symbol to the highest id issued so far, None if none is.
    server_ms : the simulated time in ms.
    plan, seed : what goes wrong.
    limits : what an address may ask.
    numbering : how the market's ids are shown.
    """

    def __init__(
        self,
        market: Market,
        *,
        head: Callable[[str], int | None],
        server_ms: Callable[[], int],
        plan: FaultPlan | None = None,
        seed: int = 0,
        limits: WeightLimit | None = None,
        numbering: TapeNumbering | None = None,
    ) -> None:
        plan = plan or FaultPlan()
        self._server_ms = server_ms
        self._listings = {listing.venue_symbol: listing for listing in market.listings}
        self._halted: set[str] = set()
        self.limits = limits or WeightLimit()
        self.requests: deque[RequestRecord] = deque(maxlen=_REMEMBERED)
        self.faults = RequestFaults(plan, seed)
        symbols = {listing.venue_symbol: listing.symbol for listing in market.listings}
        self.issued = IssuedTrades(market, head, numbering or TapeNumbering(), plan.events, symbols)
        self._routes: dict[str, tuple[int, Callable[[dict[str, str], bool], bytes]]] = {
            "/api/v3/ping": (1, self._ping),
            "/api/v3/time": (1, self._time),
            "/api/v3/exchangeInfo": (20, self._exchange_info),
            "/api/v3/trades": (25, self._recent),
            "/api/v3/historicalTrades": (25, self._historical),
            "/api/v3/aggTrades": (4, self._aggregates),
        }

    def begin(self, event: Event, now_s: float) -> None:
        """Let every request fail as the event says, for its seconds."""
        self.faults.begin(event, now_s)
        if event.kind == "rest_418":
            self.limits.ban(event.seconds, now_s)

    def end_trading(self, venue_symbols: Iterable[str], *, listed: bool) -> None:
        """Say from now on that these are halted, or know nothing of them any more."""
        for name in venue_symbols:
            if listed:
                self._halted.add(name)
            else:
                self._listings.pop(name, None)

    def handle(
        self, method: str, path: str, query: str, headers: Mapping[str, str], *, now_s: float, wall_ns: int
    ) -> HttpAnswer:
        """Answer one request; `headers` have lower-case names."""
        weight, route = self._routes.get(path, (1, None))
        pairs = parse_qsl(query, keep_blank_values=True)
        refused = self._fault(now_s) or self._limit(weight, now_s, wall_ns)
        if refused is not None:
            answer = refused
        elif route is None:
            answer = HttpAnswer(
                404, b"<html><body><h2>404 Not found</h2></body></html>", (("content-type", "text/html"),)
            )
        elif method != "GET":
            answer = HttpAnswer(405, msgspec.json.encode({"code": -1020, "msg": "This operation is not supported."}))
        else:
            answer = self._answer(route, pairs, headers)
        record = RequestRecord(wall_ns, now_s, path, dict(pairs), weight, answer.status, self.limits.used)
        self.requests.append(record)
        used = str(self.limits.used)
        return answer._replace(
            headers=(*answer.headers, ("x-mbx-used-weight", used), ("x-mbx-used-weight-1m", used)),
        )

    def _answer(
        self,
        route: Callable[[dict[str, str], bool], bytes],
        pairs: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
    ) -> HttpAnswer:
        params = dict(pairs)
        try:
            if len(params) != len(pairs):
                raise _Refused(-1101, "Duplicate values for a parameter detected.")
            return HttpAnswer(200, route(params, headers.get("x-mbx-time-unit", "").lower() == "microsecond"))
        except _Refused as error:
            return error.answer

    def _fault(self, now_s: float) -> HttpAnswer | None:
        failure = self.faults.meets(now_s)
        if failure is None:
            return None
        kind, left, event = failure
        if kind == "rest_garbage":
            return HttpAnswer(
                200, b"<html><body>Service Temporarily Unavailable</body></html>", (("content-type", "text/html"),)
            )
        if kind == "rest_5xx":
            body = {"code": -1001, "msg": "Internal error; unable to process your request. Please try again."}
            return HttpAnswer(event.status if event else 503, msgspec.json.encode(body))
        if kind == "rest_429":
            self.limits.charge(0, now_s)  # requests within the last Retry-After count towards a ban
            self.limits.wait(left, now_s)
            return _too_many(429, left, None if event is None else event.retry_after, 0, self.limits.weight_per_minute)
        if kind == "rest_418" and event is not None:
            return _too_many(418, left, event.retry_after, self._server_ms() + int(left * 1000), 0)
        return None

    def _limit(self, weight: int, now_s: float, wall_ns: int) -> HttpAnswer | None:
        refused = self.limits.charge(weight, now_s)
        if refused is None:
            return None
        until_ms = wall_ns // 1_000_000 + int(refused[1] * 1000)
        return _too_many(refused[0], refused[1], None, until_ms, self.limits.weight_per_minute)

    def _ping(self, params: dict[str, str], _: bool) -> bytes:
        _only(params)
        return b"{}"

    def _time(self, params: dict[str, str], micros: bool) -> bytes:
        _only(params)
        return b'{"serverTime":%d}' % (self._server_ms() * (1000 if micros else 1))

    def _exchange_info(self, params: dict[str, str], micros: bool) -> bytes:
        _only(params, "symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus")
        names = [params["symbol"]] if "symbol" in params else None
        if "symbols" in params:
            try:
                names = msgspec.json.decode(params["symbols"], type=list[str])
            except msgspec.DecodeError:
                raise _Refused(-1135, "JSON sent for parameter 'symbols' is not valid") from None
        listings = list(self._listings.values()) if names is None else [self._listing(name) for name in names]
        limits = [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_PER_MINUTE},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61_000},
        ]
        limits[0]["limit"] = self.limits.weight_per_minute
        info = {
            "timezone": "UTC",
            "serverTime": self._server_ms() * (1000 if micros else 1),
            "rateLimits": limits,
            "exchangeFilters": [],
            "symbols": [_listed(listing, halted=listing.venue_symbol in self._halted) for listing in listings],
        }
        return msgspec.json.encode(info)

    def _recent(self, params: dict[str, str], micros: bool) -> bytes:
        _only(params, "symbol", "limit")
        return self._trades(params, micros)

    def _historical(self, params: dict[str, str], micros: bool) -> bytes:
        _only(params, "symbol", "limit", "fromId")
        return self._trades(params, micros)

    def _trades(self, params: dict[str, str], micros: bool) -> bytes:
        rows = self._rows(params)
        return b"[" + b",".join(_trade(row, micros) for row in rows) + b"]"

    def _aggregates(self, params: dict[str, str], micros: bool) -> bytes:
        _only(params, "symbol", "limit", "fromId", "startTime", "endTime")
        begin, end = _whole(params, "startTime"), _whole(params, "endTime")
        if begin is None and end is None:
            rows = self._rows(params)
        elif "fromId" in params:
            raise _Refused(-1128, "Combination of optional parameters invalid.")
        else:
            rows = self._between(params, begin, end)
        return b"[" + b",".join(_aggregate(row, micros) for row in rows) + b"]"

    def _rows(self, params: dict[str, str]) -> list[Print]:
        name, limit, from_id = self._name(params), _limit(params), _whole(params, "fromId")
        return self.issued.newest(name, limit) if from_id is None else self.issued.page(name, from_id, limit)

    def _between(self, params: dict[str, str], begin: int | None, end: int | None) -> list[Print]:
        begin_ns = None if begin is None else _ms(begin) * 1_000_000
        end_ns = None if end is None else (_ms(end) + 1) * 1_000_000
        return self.issued.between(self._name(params), begin_ns, end_ns, _limit(params))

    def _name(self, params: dict[str, str]) -> str:
        name = params.get("symbol", "")
        if not name:
            raise _Refused(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        return self._listing(name).venue_symbol

    def _listing(self, name: str) -> ListedSymbol:
        if _SYMBOL.fullmatch(name) is None:
            raise _Refused(-1100, f"Illegal characters found in parameter 'symbol'; legal range is '{_SYMBOL_RANGE}'.")
        listing = self._listings.get(name)
        if listing is None:
            raise _Refused(-1121, "Invalid symbol.")
        return listing


def _too_many(status: int, left_s: float, retry_after: str | None, until_ms: int, limit: int) -> HttpAnswer:
    if status == 418:
        text = f"Way too much request weight used; IP banned until {until_ms}."
    else:
        text = f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE."
    text += " Please use WebSocket Streams for live updates to avoid "
    text += "bans." if status == 418 else "polling the API."
    value = str(max(1, -int(-left_s // 1))) if retry_after is None else retry_after
    headers = (("retry-after", value),) if value else ()
    return HttpAnswer(status, msgspec.json.encode({"code": -1003, "msg": text}), headers)


def _only(params: Mapping[str, str], *known: str) -> None:
    read = sum(name in known for name in params)
    if read < len(params):
        text = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(params)}'."
        raise _Refused(-1104, text)


def _whole(params: Mapping[str, str], name: str) -> int | None:
    text = params.get(name)
    if text is None:
        return None
    if not text:
        raise _Refused(-1105, f"Parameter '{name}' was empty.")
    if _NUMBER.fullmatch(text) is None:
        raise _Refused(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{_NUMBER_RANGE}'.")
    if int(text) >= 1 << 63:
        raise _Refused(-1108, f"Parameter '{name}' overflowed.")
    return int(text)


def _limit(params: Mapping[str, str]) -> int:
    limit = _whole(params, "limit")
    if limit == 0:
        raise _Refused(-1130, "Data sent for parameter 'limit' is not valid.")
    return 500 if limit is None else min(limit, 1000)


def _ms(time: int) -> int:
    return time // 1000 if time >= 10**14 else time


def _unit(time: int, micros: bool) -> int:
    """Return a tape's time, ms or µs, in the unit asked for."""
    if time >= 10**14:
        return time if micros else time // 1000
    return time * 1000 if micros else time


def _trade(row: Print, micros: bool) -> bytes:
    quote = Decimal(row.price) * Decimal(row.quantity)
    maker = "true" if row.buyer_is_maker else "false"
    return (
        f'{{"id":{row.trade_id},"price":"{row.price}","qty":"{row.quantity}","quoteQty":"{quote:.8f}",'
        f'"time":{_unit(row.time, micros)},"isBuyerMaker":{maker},"isBestMatch":true}}'
    ).encode()


def _aggregate(row: Print, micros: bool) -> bytes:
    maker = "true" if row.buyer_is_maker else "false"
    return (
        f'{{"a":{row.trade_id},"p":"{row.price}","q":"{row.quantity}","f":{row.trade_id},"l":{row.trade_id},'
        f'"T":{_unit(row.time, micros)},"m":{maker},"M":true}}'
    ).encode()


def _listed(listing: ListedSymbol, *, halted: bool) -> dict[str, Any]:
    return {
        "symbol": listing.venue_symbol,
        "status": "BREAK" if halted else "TRADING",
        "baseAsset": listing.base,
        "baseAssetPrecision": 8,
        "quoteAsset": listing.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": listing.price_step, "tickSize": listing.price_step},
            {"filterType": "LOT_SIZE", "minQty": listing.quantity_step, "stepSize": listing.quantity_step},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }

"""Kraken's REST as the simulator answers it: trades by time, pairs, errors inside HTTP 200. Pure: time is handed in.

After docs.kraken.com (Spot REST: Get Recent Trades, Get Tradable Asset Pairs, rate limits) and recorded answers.

Imitated:

- `Trades` gives what is later than `since`, ascending, at most `count` (1,000) rows, and in `last` the time in ns of
  the last row: the cursor of the next page. If the page ended between trades of one instant, the next page lacks the
  rest of them; ids, which rise by one per pair, show it. Without `since` it gives the newest.
- A row's time is a double, printed with 17 digits: up to 120 ns beside the ns of `last`.
- An address has a counter of 15 that falls by one a second; beyond it `EGeneral:Too many requests` inside HTTP 200.
- A pair is known by its key, its altname and its wsname.

Not imitated: the other public methods (404), each pair's own fees and limits, the `assetVersion` parameter. What a
banned address is answered is not documented: here it is the proxy's 429 with `error code: 1015`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from trading_platform.simulate.exchange import HttpAnswer, RequestRecord, RestState, Stage
from trading_platform.simulate.tape import ListedSymbol, Print, time_ns, with_places

_MOST_ROWS = 1000
_SECONDS_END = 10**12
"""A `since` below this is in seconds."""
_HTML = (("content-type", "text/html"),)
_ASSETS = {"BTC": "XBT", "DOGE": "XDG"}
_PREFIXED = {"XBT": "X", "XDG": "X", "ETH": "X", "LTC": "X", "XRP": "X", "USD": "Z", "EUR": "Z", "GBP": "Z", "JPY": "Z"}
"""Assets whose old names have a letter in front."""


class CallRate:
    """The calls of one address: a counter that each call raises by one and every second lowers.

    Examples
    --------
    >>> rate = CallRate(most=2, per_second=1.0)
    >>> [rate.charge(now_s) for now_s in (0.0, 0.0, 0.0, 1.5)]
    [True, True, False, True]
    """

    def __init__(self, most: float = 15.0, per_second: float = 1.0) -> None:
        self.most, self.per_second = most, per_second
        self.used = 0.0
        self._at_s = 0.0

    def charge(self, now_s: float) -> bool:
        """Count a call; tell whether it is answered."""
        self.used = max(0.0, self.used - (now_s - self._at_s) * self.per_second)
        self._at_s = now_s
        if self.used + 1 > self.most:
            return False
        self.used += 1
        return True


class _Refused(Exception):
    """A request that is answered with an error of the exchange."""


class KrakenRest(RestState):
    """Answers requests from what has been issued.

    Parameters
    ----------
    stage : the simulation it plays in.
    limits : what an address may ask.
    """

    def __init__(self, stage: Stage, limits: CallRate | None = None) -> None:
        super().__init__(stage)
        self.limits = limits or CallRate()
        self._routes: dict[str, Callable[[dict[str, str]], bytes]] = {
            "/0/public/Time": self._time,
            "/0/public/SystemStatus": self._status,
            "/0/public/AssetPairs": self._asset_pairs,
            "/0/public/Trades": self._trades,
        }

    def handle(
        self, method: str, path: str, query: str, headers: Mapping[str, str], *, now_s: float, wall_ns: int
    ) -> HttpAnswer:
        """Answer one request."""
        del method, headers
        params = dict(parse_qsl(query, keep_blank_values=True))
        answer = self._fault(now_s)
        if answer is None:
            answer = self._answer(path, params) if self.limits.charge(now_s) else _error("EGeneral:Too many requests")
        used = int(self.limits.used)
        self.requests.append(RequestRecord(wall_ns, now_s, path, params, 1, answer.status, used))
        return answer

    def _fault(self, now_s: float) -> HttpAnswer | None:
        failure = self.faults.meets(now_s)
        if failure is None:
            return None
        wait = failure.event.retry_after if failure.event is not None else None
        headers = (("retry-after", wait),) if wait else ()
        if failure.kind == "rest_429":
            return _error("EGeneral:Too many requests", headers)
        if failure.kind == "rest_418":
            return HttpAnswer(429, b"error code: 1015", (*_HTML, *headers))
        if failure.kind == "rest_garbage":
            return HttpAnswer(200, b"<html><body>We are currently performing maintenance</body></html>", _HTML)
        if failure.event is None or failure.event.status == 503:
            return _error("EService:Unavailable")
        return HttpAnswer(failure.event.status, b"<html><body>Bad gateway</body></html>", _HTML)

    def _answer(self, path: str, params: dict[str, str]) -> HttpAnswer:
        route = self._routes.get(path)
        if route is None:
            return _error("EGeneral:Unknown method")._replace(status=404)
        try:
            return HttpAnswer(200, b'{"error":[],"result":%b}' % route(params))
        except _Refused as error:
            return _error(str(error))

    def _time(self, _: dict[str, str]) -> bytes:
        seconds = self._now_ns() // 1_000_000_000
        text = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%a, %d %b %y %H:%M:%S +0000")
        return msgspec.json.encode({"unixtime": seconds, "rfc1123": text})

    def _status(self, _: dict[str, str]) -> bytes:
        now = dt.datetime.fromtimestamp(self._now_ns() // 1_000_000_000, dt.UTC)
        return msgspec.json.encode({"status": "online", "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")})

    def _asset_pairs(self, params: dict[str, str]) -> bytes:
        wanted = params.get("pair")
        listings = list(self._listings.values())
        if wanted:
            listings = [self._listing(name) for name in wanted.split(",")]
        return msgspec.json.encode({pair_key(row): self._pair(row) for row in listings})

    def _pair(self, listing: ListedSymbol) -> dict[str, Any]:
        base, quote = _code(listing.base), _code(listing.quote)
        places = max(1, len(listing.price_step.rstrip("0").partition(".")[2]))
        return {
            "altname": base + quote,
            "wsname": f"{base}/{quote}",
            "aclass_base": "currency",
            "base": _PREFIXED.get(base, "") + base,
            "aclass_quote": "currency",
            "quote": _PREFIXED.get(quote, "") + quote,
            "lot": "unit",
            "cost_decimals": 5,
            "pair_decimals": places,
            "lot_decimals": 8,
            "lot_multiplier": 1,
            "leverage_buy": [2, 3],
            "leverage_sell": [2, 3],
            "fees": [[0, 0.4], [10_000, 0.35]],
            "fees_maker": [[0, 0.25], [10_000, 0.2]],
            "fee_volume_currency": "ZUSD",
            "margin_call": 80,
            "margin_stop": 40,
            "ordermin": "0.00005",
            "costmin": "0.5",
            "tick_size": f"{10**-places:.{places}f}",
            "status": "cancel_only" if listing.venue_symbol in self._halted else "online",
            "long_position_limit": 80,
            "short_position_limit": 80,
        }

    def _trades(self, params: dict[str, str]) -> bytes:
        listing = self._listing(params.get("pair", ""))
        count, since = _whole(params, "count", _MOST_ROWS), _since(params)
        if not 1 <= count <= _MOST_ROWS:
            raise _Refused("EGeneral:Invalid arguments:count")
        rows = self._rows(listing.venue_symbol, since, count)
        last = trade_ns(rows[-1]) if rows else since or 0
        return b'{"%b":[%b],"last":"%d"}' % (pair_key(listing).encode(), b",".join(map(_row, rows)), last)

    def _rows(self, name: str, since_ns: int | None, count: int) -> list[Print]:
        if since_ns is None:
            return self.issued.newest(name, count)
        begin_ns = since_ns // 1_000_000 * 1_000_000
        return self.issued.page_from(name, begin_ns, lambda row: trade_ns(row) > since_ns, count)

    def _listing(self, name: str) -> ListedSymbol:
        for listing in self._listings.values():
            base, quote = _code(listing.base), _code(listing.quote)
            if name in {pair_key(listing), base + quote, f"{base}/{quote}"}:
                return listing
        raise _Refused("EQuery:Unknown asset pair")


def trade_ns(row: Print) -> int:
    """Return a trade's time in ns: the tape's, with digits below it that trades of one instant share.

    >>> trade_ns(Print(0, 0, 7, "BTCUSD", 1_723_161_255_342, 0, "1", "1", True)) // 1_000_000
    1723161255342
    """
    finer = 1000 if row.time >= 10**14 else 1_000_000
    digits = (row.time * 0x9E3779B97F4A7C15 & (1 << 64) - 1) >> 20
    return time_ns(row.time) + digits % finer


def pair_key(listing: ListedSymbol) -> str:
    """Return the name that answers use for a pair.

    >>> [pair_key(ListedSymbol("", name, "0.1", "1")) for name in ("BTC-USD", "BTC-USDT", "SOL-EUR")]
    ['XXBTZUSD', 'XBTUSDT', 'SOLEUR']
    """
    codes = [_code(listing.base), _code(listing.quote)]
    old = all(code in _PREFIXED for code in codes)
    return "".join(_PREFIXED[code] + code if old else code for code in codes)


def _code(asset: str) -> str:
    return _ASSETS.get(asset, asset)


def _row(row: Print) -> bytes:
    side = "s" if row.buyer_is_maker else "b"
    taken = "l" if row.trade_id % 3 else "m"
    price, quantity, time = with_places(row.price, 5), with_places(row.quantity, 8), f"{trade_ns(row) / 1e9:.17g}"
    return f'["{price}","{quantity}",{time},"{side}","{taken}","",{row.trade_id}]'.encode()


def _since(params: Mapping[str, str]) -> int | None:
    text = params.get("since", "")
    if not text:
        return None
    since = _whole(params, "since", 0)
    return since * 1_000_000_000 if since < _SECONDS_END else since


def _whole(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise _Refused(f"EGeneral:Invalid arguments:{name}")
    return int(text)


def _error(text: str, headers: tuple[tuple[str, str], ...] = ()) -> HttpAnswer:
    return HttpAnswer(200, msgspec.json.encode({"error": [text]}), headers)

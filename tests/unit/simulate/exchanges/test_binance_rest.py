"""The REST side of the simulated Binance: pages, weights, limits and errors as its documents say."""

from __future__ import annotations

import json

import pytest

from tests.support.builders.venue_thread import synthetic
from trading_platform.simulate.exchanges.binance_rest import BinanceRest, HttpAnswer, WeightLimit
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.tape_epochs import TapeNumbering
from trading_platform.venues.binance import Binance
from trading_platform.venues.binance.history import BinanceHistory

FIRST = 5_000_000_001


class Api:
    """A REST API whose clock and head the test moves."""

    def __init__(self, *, head: int | None = FIRST + 99, plan: FaultPlan | None = None, weight: int = 6000) -> None:
        self.now_s = 0.0
        self.head = head
        self.numbering = TapeNumbering()
        self.api = BinanceRest(
            synthetic(30),
            head=lambda _: self.head,
            server_ms=lambda: 1710460200000,
            plan=plan,
            limits=WeightLimit(weight),
            numbering=self.numbering,
        )

    def get(self, path: str, query: str = "", **headers: str) -> HttpAnswer:
        return self.api.handle("GET", path, query, headers, now_s=self.now_s, wall_ns=1710460200 * 10**9)

    def ids(self, query: str, path: str = "/api/v3/historicalTrades", key: str = "id") -> list[int]:
        answer = self.get(path, query)
        assert answer.status == 200, answer
        return [row[key] for row in json.loads(answer.body)]


def header(answer: HttpAnswer, name: str) -> str | None:
    return dict(answer.headers).get(name)


@pytest.mark.parametrize("path", ["/api/v3/historicalTrades", "/api/v3/aggTrades"])
def test_pages_by_id(path):
    """fromId and limit give contiguous pages that stop at what has been issued; without fromId the newest come."""
    api, key = Api(), "a" if "agg" in path else "id"
    assert api.ids(f"symbol=BTCUSDT&fromId={FIRST + 10}&limit=5", path, key) == list(range(FIRST + 10, FIRST + 15))
    assert api.ids(f"symbol=BTCUSDT&fromId={FIRST + 97}&limit=1000", path, key) == [FIRST + 97, FIRST + 98, FIRST + 99]
    assert api.ids(f"symbol=BTCUSDT&fromId={FIRST + 100}", path, key) == []
    assert api.ids("symbol=BTCUSDT&limit=2", path, key) == [FIRST + 98, FIRST + 99]
    assert api.ids("symbol=BTCUSDT&fromId=0&limit=1", path, key) == [FIRST]
    assert len(api.ids("symbol=BTCUSDT", path, key)) == 100
    api.head = None
    assert api.ids("symbol=BTCUSDT&limit=2", path, key) == []


def test_aggregates_by_time():
    """startTime and endTime, both inclusive, choose by trade time."""
    api = Api()
    rows = json.loads(api.get("/api/v3/aggTrades", "symbol=BTCUSDT&limit=1000").body)
    begin, end = rows[10]["T"], rows[20]["T"]
    query = f"symbol=BTCUSDT&startTime={begin}&endTime={end}&limit=1000"
    assert api.ids(query, "/api/v3/aggTrades", "a") == [row["a"] for row in rows if begin <= row["T"] <= end]
    newest = api.ids(f"symbol=BTCUSDT&endTime={end}&limit=3", "/api/v3/aggTrades", "a")
    assert newest == [row["a"] for row in rows if row["T"] <= end][-3:]


def test_the_adapter_reads_the_pages():
    """Pages of every endpoint, in ms or µs, decode to the same trades."""
    api = Api()
    pages = [
        api.get(path, "symbol=BTCUSDT&limit=50", **headers).body
        for path in ("/api/v3/historicalTrades", "/api/v3/trades", "/api/v3/aggTrades")
        for headers in ({}, {"x-mbx-time-unit": "MICROSECOND"})
    ]
    trades = [BinanceHistory().read(page, "BTC-USDT").trades for page in pages]
    assert all(page == trades[0] for page in trades)
    assert len(trades[0]) == 50
    assert pages[0] != pages[1]
    listed = Binance().decode_instruments(api.get("/api/v3/exchangeInfo").body)
    assert (listed[0].symbol, listed[0].price_step) == ("BTC-USDT", "0.01000000")


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/api/v3/historicalTrades", "", 400, -1102),
        ("/api/v3/historicalTrades", "symbol=", 400, -1102),
        ("/api/v3/historicalTrades", "symbol=btcusdt", 400, -1100),
        ("/api/v3/historicalTrades", "symbol=../../x", 400, -1100),
        ("/api/v3/historicalTrades", "symbol=BTCUSDX", 400, -1121),
        ("/api/v3/historicalTrades", "symbol=BTCUSDT&limit=x", 400, -1100),
        ("/api/v3/historicalTrades", "symbol=BTCUSDT&limit=", 400, -1105),
        ("/api/v3/historicalTrades", "symbol=BTCUSDT&limit=0", 400, -1130),
        ("/api/v3/historicalTrades", "symbol=BTCUSDT&fromId=-1", 400, -1100),
        ("/api/v3/historicalTrades", "symbol=BTCUSDT&fromId=9223372036854775808", 400, -1108),
        ("/api/v3/historicalTrades", "symbol=BTCUSDT&symbol=ETHUSDT", 400, -1101),
        ("/api/v3/historicalTrades", "symbol=BTCUSDT&colour=red", 400, -1104),
        ("/api/v3/time", "x=1", 400, -1104),
        ("/api/v3/aggTrades", "symbol=BTCUSDT&fromId=1&startTime=1", 400, -1128),
        ("/api/v3/exchangeInfo", "symbol=NOPE", 400, -1121),
        ("/api/v3/exchangeInfo", "symbols=NOPE", 400, -1135),
    ],
)
def test_mistakes_get_the_documented_errors(path, query, status, code):
    """A wrong parameter is answered with the code and status of the documents."""
    answer = Api().get(path, query)
    assert (answer.status, json.loads(answer.body)["code"]) == (status, code)


def test_unknown_paths_and_methods_are_refused():
    """Only documented paths answer, and only to GET."""
    api = Api()
    assert api.get("/api/v3/nothing").status == 404
    assert api.api.handle("POST", "/api/v3/time", "", {}, now_s=0, wall_ns=0).status == 405


def test_weights_are_charged_and_told():
    """Each request takes its documented weight; the header tells the minute's total, which starts anew."""
    api = Api()
    told = []
    for path, query in [
        ("/api/v3/ping", ""), ("/api/v3/time", ""), ("/api/v3/exchangeInfo", ""), ("/api/v3/trades", "symbol=BTCUSDT"),
        ("/api/v3/historicalTrades", "symbol=BTCUSDT"), ("/api/v3/aggTrades", "symbol=BTCUSDT"),
    ]:  # fmt: skip
        told.append(int(header(api.get(path, query), "x-mbx-used-weight-1m")))
    assert told == [1, 2, 22, 47, 72, 76]
    api.now_s = 60.0
    assert header(api.get("/api/v3/ping"), "x-mbx-used-weight-1m") == "1"
    assert [record.weight for record in api.api.requests] == [1, 1, 20, 25, 25, 4, 1]


def test_too_much_weight_is_429_and_going_on_is_418():
    """Beyond the limit comes 429 until the minute ends; who ignores it is banned, longer each time."""
    api = Api(weight=50)
    assert [api.get("/api/v3/historicalTrades", "symbol=BTCUSDT").status for _ in range(3)] == [200, 200, 429]
    answer = api.get("/api/v3/ping")
    assert answer.status == 429
    assert header(answer, "retry-after") == "60"
    assert json.loads(answer.body)["code"] == -1003
    for _ in range(20):
        answer = api.get("/api/v3/ping")
    assert answer.status == 418
    assert "IP banned until" in answer.body.decode()
    assert int(header(answer, "retry-after")) == 120
    api.now_s = 119.0
    assert api.get("/api/v3/ping").status == 418
    api.now_s = 121.0
    assert api.get("/api/v3/ping").status == 200


def test_waiting_as_told_ends_a_429():
    """Who asks again after Retry-After is answered."""
    api = Api(weight=25)
    api.get("/api/v3/historicalTrades", "symbol=BTCUSDT")
    answer = api.get("/api/v3/ping")
    api.now_s = float(header(answer, "retry-after"))
    assert api.get("/api/v3/ping").status == 200


@pytest.mark.parametrize(
    ("event", "status", "retry_after"),
    [
        (Event(kind="rest_429", at_s=0, seconds=30), 429, "30"),
        (Event(kind="rest_429", at_s=0, seconds=30, retry_after=""), 429, None),
        (Event(kind="rest_429", at_s=0, seconds=30, retry_after="-5"), 429, "-5"),
        (Event(kind="rest_418", at_s=0, seconds=30), 418, "30"),
        (Event(kind="rest_5xx", at_s=0, seconds=30, status=502), 502, None),
        (Event(kind="rest_garbage", at_s=0, seconds=30), 200, None),
    ],
)
def test_planned_failures_last_as_long_as_planned(event, status, retry_after):
    """Every request of the planned time fails as planned, and none after it."""
    api = Api()
    api.api.begin(event, 0.0)
    answer = api.get("/api/v3/time")
    assert (answer.status, header(answer, "retry-after")) == (status, retry_after)
    assert answer.body != b'{"serverTime":1710460200000}'
    api.now_s = 31.0
    assert api.get("/api/v3/time").body == b'{"serverTime":1710460200000}'


def test_requests_fail_by_chance():
    """Probabilities per request give 429 and 503 and leave the rest alone."""
    api = Api(plan=FaultPlan(rest_429=0.1, rest_5xx=0.1))
    statuses = []
    for n in range(300):
        api.now_s = n * 10.0
        statuses.append(api.get("/api/v3/time").status)
    assert set(statuses) == {200, 429, 503}


def test_forgotten_ids_are_skipped_and_pages_stay_full():
    """Ids that REST never serves are missing from pages, which are filled from beyond them."""
    api = Api(plan=FaultPlan(events=[Event(kind="rest_forget", at_id=FIRST + 5, count=3, symbol="BTC-USDT")]))
    ids = api.ids(f"symbol=BTCUSDT&fromId={FIRST + 4}&limit=4")
    assert ids == [FIRST + 4, FIRST + 8, FIRST + 9, FIRST + 10]
    api.head = FIRST + 6
    assert api.ids(f"symbol=BTCUSDT&fromId={FIRST + 5}&limit=4") == []


def test_a_conflicting_trade_has_another_price():
    """REST can be planned to disagree with the stream on a trade."""
    api, plain = Api(plan=FaultPlan(events=[Event(kind="rest_conflict", at_id=FIRST)])), Api()
    query = f"symbol=BTCUSDT&fromId={FIRST}&limit=2"
    one, other = (json.loads(a.get("/api/v3/historicalTrades", query).body) for a in (api, plain))
    assert one[0]["price"] != other[0]["price"]
    assert one[1] == other[1]


def test_a_new_numbering_is_all_that_rest_serves():
    """Once ids have started again, the newest numbering alone is found, by id and by time."""
    api = Api()
    third, last = (synthetic(30).page("BTCUSDT", FIRST + at, FIRST + 99, 1)[0] for at in (30, 99))
    api.numbering.begin("BTCUSDT", 7)
    api.numbering.issue(third)
    assert api.ids("symbol=BTCUSDT&limit=2") == [75, 76]
    assert api.ids("symbol=BTCUSDT&fromId=1&limit=3") == [7, 8, 9]
    assert api.ids("symbol=BTCUSDT&fromId=70&limit=3") == [70, 71, 72]
    assert api.ids(f"symbol=BTCUSDT&fromId={FIRST + 5}&limit=3") == []
    by_time = f"symbol=BTCUSDT&startTime=0&endTime={last.time}"
    assert api.ids(by_time, "/api/v3/aggTrades", "a")[0] == 7

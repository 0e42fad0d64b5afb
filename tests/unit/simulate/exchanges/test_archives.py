"""The archives of the simulated exchanges: every trade of a past day, as published, and what is wrong with files."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
import io
import zipfile
from collections import Counter
from typing import Any, NamedTuple

import pytest

from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.simulate.exchange import Exchange, Stage
from trading_platform.simulate.exchanges import EXCHANGES
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.synthetic_market import Profile, SyntheticMarket
from trading_platform.simulate.tape import Print
from trading_platform.simulate.tape_epochs import TapeNumbering

START_NS = day_start("2024-12-30") + DAY_NS // 2
PROFILES = tuple(
    Profile(symbol, 1001, 62_000.0, 2, 0.004, 5, 1500, 1.0, pauses=False)
    for symbol in ("BTC-USDT", "ETH-USDT", "BTC-USDT-PERP")
)
MARKET = SyntheticMarket(start_ns=START_NS, profiles=PROFILES)
ARCHIVES = [name for name, exchange in EXCHANGES.items() if "archive_late" not in exchange.cannot]
"""Exchanges that serve files of past days."""


class Row(NamedTuple):
    """A trade as a file tells it."""

    key: str
    time: str
    price: float
    quantity: float
    side: str


class World:
    """An archive, asked at moments of our choice."""

    def __init__(self, name: str, now: str = "2025-01-03T12:00:00", *events: Event) -> None:
        self.now_ns = int(dt.datetime.fromisoformat(now + "+00:00").timestamp()) * 10**9
        plan = FaultPlan(events=events)
        stage = Stage(MARKET, self._head, lambda: self.now_ns, TapeNumbering(), plan, 0)
        self.exchange: Exchange = EXCHANGES[name](stage)
        assert self.exchange.archive is not None
        self.archive = self.exchange.archive

    def _head(self, name: str) -> int | None:
        return MARKET.head_at(name, self.now_ns)

    def get(self, path: str, now_s: float = 0.0, **headers: str) -> Any:
        assert self.archive.serves(path)
        return self.archive.get(path, headers, now_s=now_s)

    def body(self, path: str, now_s: float = 0.0) -> bytes:
        answer = self.get(path, now_s)
        assert answer.status == 200
        assert isinstance(answer.body, bytes)
        return answer.body


def path_of(name: str, day: str, symbol: str = "BTC-USDT") -> str:
    if name == "binance":
        return f"/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-{day}.zip"
    if symbol.endswith("-PERP"):
        return f"/trading/BTCUSDT/BTCUSDT{day}.csv.gz"
    return f"/spot/BTCUSDT/BTCUSDT_{day}.csv.gz"


def read(name: str, body: bytes) -> list[Row]:
    """Return the rows of a file of any of them."""
    if name == "binance":
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            (entry,) = archive.namelist()
            lines = archive.read(entry).decode().splitlines()
        table = list(csv.reader(lines))
        return [
            Row(row[0], row[4], float(row[1]), float(row[2]), "sell" if row[5] == "True" else "buy") for row in table
        ]
    rows = []
    for told in csv.DictReader(gzip.decompress(body).decode().splitlines()):
        key, size = (told.get("trdMatchID") or told["id"]), (told.get("size") or told["volume"])
        rows.append(Row(key, told["timestamp"], float(told["price"]), float(size), told["side"].lower()))
    return rows


def day_rows(day: str, name: str = "BTCUSDT") -> list[Print]:
    first, past = ((MARKET.head_at(name, day_start(day) + n * DAY_NS - 1) or 1000) + 1 for n in (0, 1))
    return MARKET.page(name, first, past - 1, 10**6)


def plain(rows: list[Print]) -> list[tuple[float, float, str]]:
    return [(float(row.price), float(row.quantity), "sell" if row.buyer_is_maker else "buy") for row in rows]


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("day", ["2024-12-30", "2024-12-31", "2025-01-01"])
def test_a_file_holds_every_trade_of_its_day(name, day):
    """Each trade of the day, the first day's half too, in order; nothing of its neighbours."""
    rows, wanted = read(name, World(name).body(path_of(name, day))), day_rows(day)
    assert [row[2:] for row in rows] == plain(wanted)
    assert 500 < len(wanted) <= 1500
    assert {dt.datetime.fromtimestamp(row.time / 1000, dt.UTC).date().isoformat() for row in wanted} == {day}


def test_binance_tells_ms_until_2024_and_micros_since():
    """Columns, literals and the unit of times are those of the exchange's files; the checksum is the zip's."""
    world = World("binance")
    days = ("2024-12-31", "2025-01-01")
    old, new = (zipfile.ZipFile(io.BytesIO(world.body(path_of("binance", day)))) for day in days)
    (row, *_), (late, *_) = day_rows("2024-12-31"), day_rows("2025-01-01")
    assert old.namelist() == ["BTCUSDT-trades-2024-12-31.csv"]
    line = old.read(old.namelist()[0]).decode().splitlines()[0].split(",")
    assert line[:3] + line[4:] == [
        str(row.trade_id), row.price, row.quantity, str(row.time), str(row.buyer_is_maker), "True",
    ]  # fmt: skip
    assert float(line[3]) == pytest.approx(float(row.price) * float(row.quantity))
    assert new.read(new.namelist()[0]).decode().split(",")[4] == str(late.time * 1000)
    told = world.body(path_of("binance", "2025-01-01") + ".CHECKSUM").decode()
    digest = hashlib.sha256(world.body(path_of("binance", "2025-01-01"))).hexdigest()
    assert told == f"{digest}  BTCUSDT-trades-2025-01-01.zip\n"


def test_bybit_tells_linear_by_id_and_spot_by_row():
    """Linear has the stream's ids and times finer than its ms, spot counts rows; a column came in 2025."""
    world = World("bybit", "2025-06-05T00:00:00")
    rows = read("bybit", world.body(path_of("bybit", "2024-12-31", "BTC-USDT-PERP")))
    told = [world.exchange.told(row) for row in day_rows("2024-12-31", "BTCUSDTPERP")]
    assert [row.key for row in rows] == [one.trade_uid for one in told]
    assert [row.time[:-1].replace(".", "") for row in rows] == [str(one.ts_event // 10**6) for one in told]
    assert {len(row.time.partition(".")[2]) for row in rows} == {4}
    spot = read("bybit", world.body(path_of("bybit", "2024-12-31")))
    assert [row.key for row in spot] == [str(n) for n in range(1, len(spot) + 1)]
    assert [row.time for row in spot] == [str(row.time) for row in day_rows("2024-12-31")]
    heads = [
        gzip.decompress(world.body(path_of("bybit", day, symbol))).decode().partition("\n")[0]
        for day in ("2024-12-31", "2025-06-01")
        for symbol in ("BTC-USDT", "BTC-USDT-PERP")
    ]
    linear = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
    assert heads == ["id,timestamp,price,volume,side", linear, "id,timestamp,price,volume,side,rpi", linear + ",RPI"]


def test_bybit_lists_what_is_there():
    """Pages of links lead to folders and files, to no file that is not there yet."""
    world = World("bybit", "2025-01-02T00:30:00")
    assert b'href="BTCUSDT/"' in world.body("/trading/")
    assert b"ETHUSDT" not in world.body("/trading/")
    page = world.body("/spot/BTCUSDT/").decode()
    assert [day in page for day in ("2024-12-30", "2024-12-31", "2025-01-01")] == [True, True, False]
    assert "BTCUSDT2024-12-31.csv.gz" in world.body("/trading/BTCUSDT/").decode()
    assert world.get("/spot/NOPE/").status == 404


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_file_appears_after_its_day(name):
    """Not on its day, an hour later it is there; what never is there is 404."""
    path = path_of(name, "2024-12-31")
    moments = ("2024-12-31T23:59:59", "2025-01-01T00:59:59", "2025-01-01T01:00:00")
    assert [World(name, now).get(path).status for now in moments] == [404, 404, 200]
    wrong = ["2024-12-29", "2024-02-30", "2025-13-01", "2025-01-03", "nonsense"]
    assert {World(name).get(path_of(name, day)).status for day in wrong} == {404}
    assert World(name).get(path.replace("BTCUSDT", "NOPE")).status == 404


@pytest.mark.parametrize("name", ARCHIVES)
def test_files_can_have_holes_and_be_republished(name):
    """A forgotten trade is in no version; another one is missing until the file is published again."""
    wanted = day_rows("2024-12-31")
    world = World(
        name,
        "2025-01-03T12:00:00",
        Event(kind="archive_forget", at_id=wanted[10].trade_id, count=2, symbol="BTC-USDT"),
        Event(kind="archive_republish", at_id=wanted[20].trade_id, count=3, seconds=60.0, symbol="BTC-USDT"),
    )
    path = path_of(name, "2024-12-31")
    first, again, later = (read(name, world.body(path, now_s)) for now_s in (1000.0, 1059.0, 1060.0))
    assert [row[2:] for row in first] == plain(wanted[:10] + wanted[12:20] + wanted[23:])
    assert again == first
    assert [row[2:] for row in later] == plain(wanted[:10] + wanted[12:])
    if name == "binance":
        sums = {world.body(path + ".CHECKSUM", now_s) for now_s in (1000.0, 1060.0)}
        assert len(sums) == 2


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_file_can_come_late_and_arrive_damaged(name):
    """It is there so many simulated seconds later; a damaged download does not unpack, or not to the same, once."""
    at_id = day_rows("2024-12-31")[5].trade_id
    late = Event(kind="archive_late", at_id=at_id, seconds=7200.0, symbol="BTC-USDT")
    path = path_of(name, "2024-12-31")
    moments = ("2025-01-01T02:59:59", "2025-01-01T03:00:00")
    assert [World(name, now, late).get(path).status for now in moments] == [404, 200]
    world = World(name)
    whole = world.body(path)
    world.archive.damage(1)
    assert Counter(world.body(path) == whole for _ in range(3)) == {False: 1, True: 2}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_range_of_a_file_can_be_had(name):
    """206 with the asked bytes, 416 beyond the end; the parts are the whole."""
    world, path = World(name), path_of(name, "2024-12-31")
    whole = world.body(path)
    half = len(whole) // 2
    parts = [world.get(path, range=text) for text in (f"bytes=0-{half - 1}", f"bytes={half}-")]
    assert [part.status for part in parts] == [206, 206]
    assert b"".join(part.body for part in parts) == whole
    assert dict(parts[1].headers)["content-range"] == f"bytes {half}-{len(whole) - 1}/{len(whole)}"
    assert world.get(path, range=f"bytes={len(whole)}-").status == 416


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_same_trades_are_the_same_bytes(name):
    """Two venues publish equal files."""
    path = path_of(name, "2024-12-31")
    assert World(name).body(path) == World(name).body(path)

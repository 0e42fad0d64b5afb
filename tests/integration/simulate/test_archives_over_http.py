"""Daily files over loopback: what a plain HTTP client downloads is what the market traded, beside REST and streams."""

from __future__ import annotations

import gzip
import io
import threading
import time
import zipfile

import httpx
import pytest

from tests.support.builders.plain_clients import subscribe, take
from tests.support.builders.venue_thread import simulator  # noqa: F401  the fixture
from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.simulate.exchanges import EXCHANGES
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.synthetic_market import Profile, SyntheticMarket

START_NS = day_start("2024-03-15")
PROFILE = Profile("BTC-USDT", 1001, 62_000.0, 2, 0.004, 5, 5000, 1.0, pauses=False)
PATHS = {
    "binance": "/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-03-15.zip",
    "bybit": "/spot/BTCUSDT/BTCUSDT_2024-03-15.csv.gz",
}


def lines(body: bytes) -> list[str]:
    if body[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return archive.read(archive.namelist()[0]).decode().splitlines()
    return gzip.decompress(body).decode().splitlines()[1:]


@pytest.mark.parametrize("name", PATHS)
def test_a_past_day_is_downloaded(simulator, name):  # noqa: F811
    """The file is there before anyone subscribes, costs no request, and a damaged download is planned by a trade."""
    market = SyntheticMarket(start_ns=START_NS, profiles=(PROFILE,))
    begins_ns = START_NS + DAY_NS + DAY_NS // 2
    first_live = (market.head_at("BTCUSDT", begins_ns - 1) or 0) + 1
    plan = FaultPlan(events=[Event(kind="archive_damage", at_id=first_live)])
    venue = simulator(market, exchange=EXCHANGES[name], plan=plan, speed=600.0, begins_at_ns=lambda: begins_ns)

    def get(path: str) -> httpx.Response:
        return httpx.get(venue.rest_url + path, trust_env=False, headers={"accept-encoding": "identity"})

    whole = get(PATHS[name])
    assert whole.status_code == 200
    assert len(lines(whole.content)) == 5000
    assert get(PATHS[name].replace("03-15", "03-16")).status_code == 404
    assert not venue.server.api.requests
    with subscribe(venue, "BTC-USDT") as client:
        take(venue, client, enough=lambda seen: len(seen) > 1)
    assert get(PATHS[name]).content != whole.content
    assert get(PATHS[name]).content == whole.content


def test_a_venue_stops_while_a_file_is_made(simulator):  # noqa: F811
    """A day of millions of trades is being written: the venue stops at once, and nobody gets half of a file."""
    market = SyntheticMarket(start_ns=START_NS)
    venue = simulator(market, speed=1.0, begins_at_ns=lambda: START_NS + 2 * DAY_NS)
    asked, answers = threading.Event(), []
    archive = venue.server.exchange.archive
    made = archive._files.rows
    archive._files.rows = lambda *given: (asked.set(), made(*given))[1]

    def download() -> None:
        try:
            answers.append(httpx.get(venue.rest_url + PATHS["binance"], trust_env=False, timeout=30).status_code)
        except httpx.HTTPError as error:
            answers.append(error)

    client = threading.Thread(target=download)
    client.start()
    assert asked.wait(10)
    began = time.monotonic()
    venue.stop()
    client.join()
    assert time.monotonic() - began < 8
    assert answers != [200]

"""Publishing what venues list, from the log: each day as it was known then, whatever came in between."""

from __future__ import annotations

import random
from pathlib import Path

import httpx
import pytest

from tests.support.builders.platform_in_process import MIDNIGHT, SmallPlatform
from trading_platform.domain.days import DAY_NS, day_of
from trading_platform.domain.instrument import Instrument
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoded import Listing
from trading_platform.ingest.recovery.instruments import fetch_instruments, publish_listings
from trading_platform.ingest.recovery.rest_client import RestClient
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake
from trading_platform.store.ledger import Ledger
from trading_platform.venues import VENUES


def listed(base: str, status: str = "trading") -> Instrument:
    return Instrument("binance", f"{base}-USDT", f"{base}USDT", "spot", base, "USDT", "0.01", "0.001", status)


@pytest.fixture
def platform(tmp_path):
    found = SmallPlatform(tmp_path)
    yield found
    found.close()


def test_each_day_holds_what_was_listed_by_then(platform: SmallPlatform) -> None:
    """Listings come in any order of lanes; a day shows the last one until its end, and nothing is unlisted."""
    listings = [
        Listing("binance", MIDNIGHT + DAY_NS, [listed("BTC", "halted"), listed("SOL")]),
        Listing("binance", MIDNIGHT, [listed("BTC"), listed("ETH")]),
    ]
    assert publish_listings(platform.data, platform.ledger, listings, pass_all, days=lambda day: True) == 2
    first, second = day_of(MIDNIGHT), day_of(MIDNIGHT + DAY_NS)
    found = {day: lake.read_leaf(platform.data, Leaf("instruments", "binance", "", day)) for day in (first, second)}
    assert found[first]["symbol"].to_pylist() == ["BTC-USDT", "ETH-USDT"]
    assert found[second]["symbol"].to_pylist() == ["BTC-USDT", "ETH-USDT", "SOL-USDT"]
    assert found[second]["status"].to_pylist() == ["halted", "trading", "trading"]


def test_a_day_that_began_without_an_answer_gets_the_list_so_far(platform: SmallPlatform) -> None:
    """A published day without a listing of its own is published again from the one before it; others are left alone."""
    start = [Listing("binance", MIDNIGHT, [listed("BTC")])]
    publish_listings(platform.data, platform.ledger, start, pass_all, days=lambda day: True)
    later = Leaf("instruments", "binance", "", day_of(MIDNIGHT + 5 * DAY_NS))
    table = lake.read_leaf(platform.data, later._replace(day=day_of(MIDNIGHT)))
    lake.write_leaf(platform.data, later, table, ledger=platform.ledger, gate=pass_all, input_hash=None)
    (platform.data.lake / later.path).unlink()
    wanted = later.day.__eq__
    assert publish_listings(platform.data, platform.ledger, start, pass_all, days=wanted) == 1
    assert lake.read_leaf(platform.data, later).equals(table)


def test_a_listing_of_twenty_megabytes_is_read(tmp_path: Path) -> None:
    """Longer than a record of the log: it goes there in pieces, and every instrument is known."""
    row = '{"symbol":"A%dUSDT","status":"TRADING","baseAsset":"A%d","quoteAsset":"USDT","permissionSets":["%s"]}'
    body = ('{"x":1,"symbols":[' + ",".join(row % (n, n, "x" * 20_000) for n in range(1000)) + "]}").encode()
    assert len(body) > 20_000_000
    data = DataDir(tmp_path / "data").create()
    ledger = Ledger.open(data)
    client = RestClient(
        VENUES["binance"],
        "http://venue",
        share=0.5,
        wall_ns=lambda: 10**18,
        monotonic=lambda: 0.0,
        wait=lambda seconds: False,
        rng=random.Random(1),
        transport=httpx.MockTransport(lambda request: httpx.Response(200, content=body)),
    )
    listed = fetch_instruments(data, ledger, VENUES["binance"], client, Bounds.of("2016-01-01"))
    assert {item.symbol for item in listed} == {f"A{number}-USDT" for number in range(1000)}
    ledger.close()

"""The dataset `instruments`: a listing stays in force until the next one, on days that have trades."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quality.schemas import GATES
from tests.support.builders.lakes import Market, made_up
from trading_platform.domain.days import day_start
from trading_platform.domain.instrument import Instrument
from trading_platform.domain.verdict import Failure, Verdict
from trading_platform.ingest.decoder.decoded import Listing
from trading_platform.ingest.recovery.instruments import publish_listings
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake.publish import read_leaf
from trading_platform.store.verify import verify_store

DAYS = [f"2024-08-{number:02}" for number in range(7, 12)]


def instrument(symbol: str) -> Instrument:
    base, quote = symbol.split("-")
    return Instrument("binance", symbol, base + quote, "spot", base, quote, "0.01", "0.00001", "TRADING")


def listed(market: Market, day: str, *instruments: Instrument) -> None:
    came = Listing("binance", day_start(day) + 1, tuple(instruments))
    publish_listings(market.data, market.ledger, [came], GATES["instruments"], days=lambda each: each == day)


def symbols(market: Market, day: str) -> list[str] | None:
    table = read_leaf(market.data, Leaf("instruments", "binance", "", day))
    return None if table is None else table["symbol"].to_pylist()


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    found = Market.open(tmp_path)
    found.hold(made_up("2024-08-07", 4, 200), tail="closed")
    yield found
    found.ledger.close()


def pipeline_of(market: Market, **gates: object) -> Pipeline:
    return Pipeline(market.data, market.ledger, gates={**GATES, **gates}, timeframes=["1h"])  # type: ignore[dict-item]


def statuses(market: Market) -> dict[str, str]:
    reports = pipeline_of(market).refresh_range(["instruments"], DAYS[0], DAYS[-1])
    return {report.day: result.status for report in reports for result in report.results}


def test_a_listing_stays_in_force_until_the_next(market: Market) -> None:
    """Days with trades take it over; before the first listing, and without trades, there is no file."""
    listed(market, DAYS[1], instrument("BTC-USDT"))
    listed(market, DAYS[3], instrument("BTC-USDT"), instrument("ETH-USDT"))
    done = ["absent", "unchanged", "computed", "unchanged", "absent"]
    assert list(statuses(market).values()) == done
    assert [symbols(market, day) for day in DAYS] == [
        None,
        ["BTC-USDT"],
        ["BTC-USDT"],
        ["BTC-USDT", "ETH-USDT"],
        None,
    ]
    assert set(statuses(market).values()) == {"absent", "unchanged"}
    assert not verify_store(market.data, market.ledger, GATES).violations


def test_what_was_taken_over_follows_its_listing_and_gives_way_to_one(market: Market) -> None:
    """A republished listing applies to later days too, except days that received a listing of their own."""
    listed(market, DAYS[1], instrument("BTC-USDT"))
    statuses(market)
    listed(market, DAYS[1], instrument("BTC-USDT"), instrument("SOL-USDT"))
    assert statuses(market)[DAYS[3]] == "computed"
    assert symbols(market, DAYS[3]) == ["BTC-USDT", "SOL-USDT"]
    listed(market, DAYS[3], instrument("ETH-USDT"))
    listed(market, DAYS[1], instrument("BTC-USDT"))
    assert statuses(market)[DAYS[3]] == "unchanged"
    assert symbols(market, DAYS[3]) == ["ETH-USDT"]


def test_a_damaged_file_is_taken_over_again_or_named(market: Market) -> None:
    """What was taken over is written again; of a listing only the log has another copy."""
    listed(market, DAYS[1], instrument("BTC-USDT"))
    statuses(market)
    for day in DAYS[1:3]:
        (market.data.lake / Leaf("instruments", "binance", "", day).path).write_bytes(b"damaged")
    (result,) = pipeline_of(market).refresh("instruments", DAYS[1]).results
    assert (result.status, "replay" in result.reason) == ("refused", True)
    (result,) = pipeline_of(market).refresh("instruments", DAYS[2]).results
    assert result.status == "refused" and "instruments" in result.reason
    listed(market, DAYS[1], instrument("BTC-USDT"))
    (result,) = pipeline_of(market).refresh("instruments", DAYS[2]).results
    assert result.status == "computed" and symbols(market, DAYS[2]) == ["BTC-USDT"]


def test_a_gate_that_says_no_keeps_a_day_without_a_file(market: Market) -> None:
    """The verdict is in the report, as it is of every other dataset."""
    listed(market, DAYS[1], instrument("BTC-USDT"))
    refuse = Verdict((Failure("never", 1, "row 0"),))
    done = pipeline_of(market, instruments=lambda _: refuse).refresh("instruments", DAYS[2])
    assert [(result.status, result.verdict) for result in done.results] == [("refused", refuse)]
    assert symbols(market, DAYS[2]) is None

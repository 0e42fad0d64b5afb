"""Every fault that an exchange whose ids prove nothing can show: after its file the day is the truth, or not proved."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quality.schemas import GATES
from tests.fault.test_exchange_kinds import SEEDS_VARIABLE
from tests.support.builders.ingest_in_process import SmallIngest
from tests.support.builders.venue_thread import Simulator, simulator  # noqa: F401  the fixture
from trading_platform.domain.days import DAY_NS, day_of, day_start
from trading_platform.simulate.exchanges import EXCHANGES
from trading_platform.simulate.faults import KINDS, Event, FaultPlan
from trading_platform.simulate.synthetic_market import DEMO_START_NS, Profile, SyntheticMarket
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake import publish as lake
from trading_platform.store.verify import verify_store
from trading_platform.venues.adapter import KeepAlive
from trading_platform.venues.bybit import Bybit

Start = Callable[..., Simulator]
NAME = "bybit"
EXCHANGE = EXCHANGES[NAME]
DAY, NEXT = day_of(DEMO_START_NS), day_of(DEMO_START_NS + DAY_NS)
SYMBOLS = ("BTC-USDT", "BTC-USDT-PERP")
FIRST = 1001
"""Both markets trade some ten times a minute: the file of the day before appears an hour after midnight."""
MARKET_S = 4300.0
EVENTS: dict[str, dict[str, Any]] = {kind: {"at_id": FIRST + 40} for kind in KINDS if kind not in EXCHANGE.cannot}
NOBODY_LISTENS = {"close", "refuse_connect", "ban_connect", "deaf"}
"""After these nobody listens for long: the market plays on by its own clock, as fast as this."""
SPEED = 600.0
INCOMPLETE_FILES = {"archive_forget", "archive_republish"}
SEEDS = 5
CASES = [
    # Of each kind one of five seeds here, fifty in the campaign (test_exchange_campaign.py).
    (kind, seed)
    for number, kind in enumerate([*EVENTS, "rough"])
    for seed in range(int(os.environ.get(SEEDS_VARIABLE, "0")) or SEEDS)
    if SEEDS_VARIABLE in os.environ or seed == number % SEEDS
]


class Impatient(Bybit):
    """The venue's adapter with a tenth of its patience."""

    keepalive = KeepAlive("json", b'{"op":"ping"}', 1.0, 0.5, 1.5)


def market_of(seed: int) -> SyntheticMarket:
    """Return a market from ten minutes before a midnight until the file of that day is there."""
    profiles = tuple(Profile(name, FIRST, 62_000.0, 2, 0.004, 3, 14_400, 1.0, pauses=False) for name in SYMBOLS)
    end_ns = DEMO_START_NS + int(MARKET_S * 1e9)
    return SyntheticMarket(seed=seed, start_ns=DEMO_START_NS, end_ns=end_ns, profiles=profiles)


def truth_of(venue: Simulator, symbol: str, day: str) -> Counter[tuple[int, float, float, str]]:
    """Return what was traded on a day."""
    begin = day_start(day)
    return Counter(
        (line["ts_event"], float(line["price"]), float(line["quantity"]), line["side"])
        for line in venue.truth()
        if line["symbol"] == symbol and begin <= line["ts_event"] < begin + DAY_NS
    )


def held(ingest: SmallIngest, symbol: str, day: str) -> Counter[tuple[int, float, float, str]]:
    """Return what the lake holds of a day, times cut to the stream's ms."""
    table = lake.read_leaf(ingest.data, Leaf("ticks", NAME, symbol, day))
    if table is None:
        return Counter()
    columns = (table[name].to_pylist() for name in ("ts_event", "price", "quantity", "side"))
    return Counter((time.value // 10**6 * 10**6, *rest) for time, *rest in zip(*columns, strict=True))


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_a_day_is_the_truth_or_not_proved(simulator: Start, tmp_path: Path, kind: str, seed: int) -> None:  # noqa: F811
    """Never is a day called reconciled that lacks a trade of the venue's file, or holds one that was not."""
    plan = (
        FaultPlan(drop=0.05, duplicate=0.1, reorder=0.1, cut=0.002)
        if kind == "rough"
        else FaultPlan(events=(Event(kind=kind, **EVENTS[kind]),))
    )
    venue = simulator(
        market_of(seed), exchange=EXCHANGE, plan=plan, seed=seed, speed=SPEED if kind in NOBODY_LISTENS else None
    )
    ingest = SmallIngest(tmp_path / "data", venue.ws_url, venue.rest_url, SYMBOLS, adapter=Impatient())
    ingest.record(lambda: venue.wait_ended(0))
    ingest.process()
    before = sum((truth_of(venue, symbol, DAY) - held(ingest, symbol, DAY)).total() for symbol in SYMBOLS)
    for _ in range(2):  # a damaged download is asked for once more
        ingest.fetch_days(DAY, DAY)
    states = {(row.symbol, row.day): row.state for row in ingest.ledger.day_report(2 * 10**18)}
    for symbol in SYMBOLS:
        truth, mine = truth_of(venue, symbol, DAY), held(ingest, symbol, DAY)
        assert not mine - truth
        if kind in INCOMPLETE_FILES:
            # What neither stream nor file had nobody can know of: the day equals its listing.
            assert (truth - mine).total() <= 1
        elif mine != truth:
            assert states[symbol, DAY] == "unproven"
        elif kind != "archive_late":
            assert states[symbol, DAY] == "reconciled", before
        assert not held(ingest, symbol, NEXT) - truth_of(venue, symbol, NEXT)
        assert states.get((symbol, NEXT)) != "reconciled"
    assert verify_store(ingest.data, ingest.ledger, GATES).violations == ()
    ingest.close()

"""Every fault that an exchange can show whose REST lists the last day: after recovery the lake is what it issued.

Its ids prove nothing and it publishes no daily files, so no day is ever called proved. What its REST lists is all that
there was; what that told alone has times in whole seconds.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quality.schemas import GATES
from tests.fault.test_exchange_kinds import PATIENCE, SEEDS_VARIABLE
from tests.support.builders.ingest_in_process import SmallIngest
from tests.support.builders.venue_thread import Simulator, simulator  # noqa: F401  the fixture
from trading_platform.domain.days import DAY_NS, day_of
from trading_platform.ingest.recovery.fetch_lane import LaneEnvironment
from trading_platform.simulate.exchanges import EXCHANGES
from trading_platform.simulate.exchanges.bitstamp_rest import RequestLimit
from trading_platform.simulate.faults import KINDS, STORED_KINDS, Event, FaultPlan
from trading_platform.simulate.synthetic_market import DEMO_START_NS, Profile, SyntheticMarket
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake import publish as lake
from trading_platform.store.verify import verify_store
from trading_platform.venues.adapter import KeepAlive
from trading_platform.venues.bitstamp import Bitstamp

Start = Callable[..., Simulator]
NAME = "bitstamp"
EXCHANGE = EXCHANGES[NAME]
DAYS = (day_of(DEMO_START_NS), day_of(DEMO_START_NS + DAY_NS))
SYMBOLS = ("BTC-USD", "ETH-USD")
FIRST = 1001
AT = FIRST + 30
MARKET_S = 900.0
SPEED = 2000.0
"""The market plays by its own clock: it begins after the first subscription, and goes on while nobody listens."""
SEEDS = 5
KINDS_SHOWN = [kind for kind in KINDS if kind not in EXCHANGE.cannot]
CASES = [
    # Of each kind one of five seeds here, fifty in the campaign (test_exchange_campaign.py).
    (kind, seed)
    for number, kind in enumerate([*KINDS_SHOWN, "rough"])
    for seed in range(int(os.environ.get(SEEDS_VARIABLE, "0")) or SEEDS)
    if SEEDS_VARIABLE in os.environ or seed == number % SEEDS
]
Told = Counter[tuple[str, int, float, float, str]]


class Impatient(Bitstamp):
    """The venue's adapter with a tenth of its patience."""

    keepalive = KeepAlive("json", b'{"event":"bts:heartbeat"}', 0.4, 0.3, 0.8)


class World:
    """A simulated exchange from ten minutes before a midnight to five after it, and what records from it."""

    def __init__(self, start: Start, root: Path, plan: FaultPlan, seed: int) -> None:
        profiles = tuple(Profile(name, FIRST, 62_000.0, 2, 0.004, 8, 14_400, 1.0, pauses=False) for name in SYMBOLS)
        end_ns = DEMO_START_NS + int(MARKET_S * 1e9)
        market = SyntheticMarket(seed=seed, start_ns=DEMO_START_NS, end_ns=end_ns, profiles=profiles)
        limits = RequestLimit(((1 << 40, 1.0),))
        self.venue = start(market, exchange=EXCHANGE, plan=plan, seed=seed, speed=SPEED, limits=limits)
        self.ingest = SmallIngest(
            root, self.venue.ws_url, self.venue.rest_url, SYMBOLS, adapter=Impatient(), connects=PATIENCE
        )
        self.passed_s = 0.0

    def play(self) -> None:
        """Record the whole market, and publish it."""
        self.ingest.record(lambda: self.venue.wait_ended(0))
        self.ingest.process()

    def recover(self) -> None:
        """Ask for what is missing on a clock that runs ahead while it waits, until the exchange answers."""
        for _ in range(20):
            outcome = self.ingest.recover(
                patient=True,
                share=1.0,
                wait=self._wait,
                monotonic=lambda: time.monotonic() + self.passed_s,
                wall_ns=self._wall_ns,
                environment=LaneEnvironment(wall_ns=self._wall_ns),
            )
            if not outcome.problems:
                return
            self._wait(60.0)

    def _wait(self, seconds: float) -> bool:
        real_s = min(seconds, 0.05)
        threading.Event().wait(real_s)
        self.passed_s += seconds - real_s
        return False

    def _wall_ns(self) -> int:
        return time.time_ns() + int(self.passed_s * 1e9)

    def truth(self, *, sent: bool = False) -> Told:
        """Return what was issued, or of that what was sent; times in seconds."""
        return Counter(
            (line["symbol"], line["ts_event"] // 10**9, float(line["price"]), float(line["quantity"]), line["side"])
            for line in self.venue.truth()
            if line["sent"] or not sent
        )

    def held(self) -> Told:
        """Return what the lake holds; times in seconds."""
        found: Told = Counter()
        for symbol in SYMBOLS:
            for day in DAYS:
                table = lake.read_leaf(self.ingest.data, Leaf("ticks", NAME, symbol, day))
                if table is not None:
                    columns = (table[name].to_pylist() for name in ("ts_event", "price", "quantity", "side"))
                    rows = zip(*columns, strict=True)
                    found.update((symbol, time.value // 10**9, *rest) for time, *rest in rows)
        return found


def plan_of(kind: str) -> FaultPlan:
    """Return a plan with one kind of fault, at a trade in the middle."""
    if kind == "rough":
        return FaultPlan(drop=0.05, duplicate=0.1, reorder=0.1, cut=0.01, rest_429=0.2, rest_5xx=0.2)
    options: dict[str, Any] = {"count": 3} if "count" in KINDS[kind][1] else {}
    if kind.startswith("rest_") and kind not in STORED_KINDS:
        # Some trades have to be asked for while requests fail.
        last = Event(kind=kind, at_s=MARKET_S - 60.0, seconds=0.3)
        return FaultPlan(drop=0.1, events=(last,))
    return FaultPlan(events=(Event(kind=kind, at_id=AT, symbol=SYMBOLS[0], **options),))


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_the_lake_is_what_was_issued(simulator: Start, tmp_path: Path, kind: str, seed: int) -> None:  # noqa: F811
    """After one recovery nothing that the exchange issued is missing, nothing else is there, and no day is proved."""
    world = World(simulator, tmp_path / "data", plan_of(kind), seed)
    world.play()
    world.recover()
    truth, held = world.truth(), world.held()
    assert truth.total() > 100
    assert not held - truth
    if kind == "delist":
        # REST does not know the symbol any more: what was streamed of it is held.
        assert not world.truth(sent=True) - held
    else:
        assert not truth - held
    states = {row.state for row in world.ingest.ledger.day_report(2 * 10**18)}
    assert states == {"unproven"}
    assert verify_store(world.ingest.data, world.ingest.ledger, GATES).violations == ()
    conflicts = world.ingest.ledger.conflicts()
    assert bool(conflicts) == (kind == "rest_conflict")
    world.ingest.close()


def test_trades_of_an_interruption_are_recovered(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """What traded while nobody listened comes from REST, with times in whole seconds, once."""
    world = World(simulator, tmp_path / "data", FaultPlan(events=(Event(kind="cut", at_id=AT),)), 3)
    world.play()
    missing = (world.truth() - world.held()).total()
    assert missing > 0
    world.recover()
    assert world.held() == world.truth()
    world.recover()
    assert world.held() == world.truth()
    world.ingest.close()


def test_every_kind_is_played() -> None:
    """What the exchange cannot show is about ids that it does not tell, and files that it does not publish."""
    assert {kind for kind, _ in CASES} == {*KINDS, "rough"} - EXCHANGE.cannot
    assert all(kind.startswith("archive_") or kind in {"renumber", "stray_id"} for kind in EXCHANGE.cannot)

"""Every kind of fault that an exchange declares, over several seeds: in the end the lake holds what it issued.

The recorder, decoder, recovery and publisher run in this process, against the simulated exchange over loopback. Each
exchange whose ids prove completeness takes part by being in the table. Five seeds here, fifty in the campaign
(test_exchange_campaign.py); of an exchange with tests of its own for each kind (test_catalogue_exchange.py and its
neighbours) one seed here. An exchange whose ids prove nothing: test_unproven_ids.py.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Self

import pytest

from tests.support.builders.ingest_in_process import SmallIngest
from tests.support.builders.venue_thread import Simulator
from tests.support.judges.lake_truth import compare
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.rate_limits.connect_policy import ConnectLimits
from trading_platform.ingest.recovery.fetch_lane import LaneEnvironment
from trading_platform.simulate.exchanges import EXCHANGES
from trading_platform.simulate.exchanges.binance_rest import WeightLimit
from trading_platform.simulate.exchanges.kraken_rest import CallRate
from trading_platform.simulate.faults import KINDS, Event, FaultPlan
from trading_platform.simulate.synthetic_market import DEMO_START_NS, SyntheticMarket
from trading_platform.store.verify import verify_store
from trading_platform.venues.adapter import KeepAlive, VenueAdapter
from trading_platform.venues.binance import Binance
from trading_platform.venues.kraken import Kraken
from trading_platform.venues.limits import RateLimit

SEEDS_VARIABLE = "FAULT_SEEDS"
SEEDS = range(int(os.environ.get(SEEDS_VARIABLE, "5")))
MARKET_S, SPEED = 240.0, 160.0
MOST_A_DAY = 135_000
PATIENCE = ConnectLimits(first_wait_s=0.05, longest_wait_s=0.2, after_limit_s=0.2, after_ban_s=0.2, connects=10_000)


class QuickKraken(Kraken):
    """Its limits and its keepalive in tenths of seconds."""

    limits: tuple[RateLimit, ...] = (RateLimit("requests", 1000, 1.0), RateLimit("messages", 100, 1.0, "connection"))
    keepalive = KeepAlive("json", b'{"method":"ping"}', 0.4, 0.3, 0.8)


class Played(NamedTuple):
    """How an exchange is played: its adapter, what its REST allows, its symbols; over how many seeds in the suite.

    `refuses`: what it says to a subscription to a symbol that it has delisted; "" if it says nothing.
    """

    adapter: VenueAdapter
    limits: Any
    symbols: tuple[str, str]
    seeds: int = 5
    refuses: str = ""


class QuickBinance(Binance):
    """Its limits and its keepalive in tenths of seconds."""

    limits: tuple[RateLimit, ...] = (
        RateLimit("weight", 60_000, 1.0),
        RateLimit("messages", 100, 1.0, "connection"),
        RateLimit("streams", 1024, scope="connection"),
    )
    keepalive = KeepAlive("ping", b"", 0.4, 0.3, 0.8)


class NoGrudge(WeightLimit):
    """Does not ban for requests within a Retry-After: ours is waited for on a clock that runs ahead of its own."""

    def wait(self, seconds: float, now_s: float) -> None:
        """Leave it at the one answer."""


TABLE = {
    "binance": Played(QuickBinance(), NoGrudge(1 << 40), ("BTC-USDT", "ETH-USDT"), seeds=1),
    "kraken": Played(QuickKraken(), CallRate(1e9, 1e9), ("BTC-USD", "ETH-USD"), refuses="not supported"),
}


def _at(rng: Random, first: float = 0.1, last: float = 0.8) -> float:
    return rng.uniform(first * MARKET_S, last * MARKET_S)


def frames(rng: Random, symbols: Sequence[str]) -> FaultPlan:
    """What is sent goes missing, comes twice, late or again."""
    kinds: list[dict[str, Any]] = [
        {"kind": "drop", "count": 40},
        {"kind": "duplicate", "count": 30},
        {"kind": "reorder", "count": 10, "depth": 15},
        {"kind": "replay", "count": 50},
        {"kind": "silence", "seconds": 5.0},
    ]
    events = [Event(at_s=_at(rng), symbol=rng.choice(symbols), **kind) for kind in kinds]
    return FaultPlan(drop=0.03, duplicate=0.05, reorder=0.05, events=events)


def connections(rng: Random, symbols: Sequence[str]) -> FaultPlan:
    """Connections end, go dead, are flooded, and new ones are refused."""
    del symbols
    kinds: list[dict[str, Any]] = [
        {"kind": "cut"},
        {"kind": "hole", "seconds": 2.0},
        {"kind": "close", "code": rng.choice([1001, 1008, 1012, 1013])},
        {"kind": "ping_flood", "count": 50},
        {"kind": "refuse_connect", "seconds": 0.2, "status": rng.choice([502, 503, 520])},
        {"kind": "ban_connect", "seconds": 0.2},
    ]
    return FaultPlan(events=[Event(at_s=_at(rng), **kind) for kind in kinds])


def subscriptions(rng: Random, symbols: Sequence[str]) -> FaultPlan:
    """Subscriptions deliver no more, or never do; the exchange announces its end."""
    events = [
        Event(kind="empty_ack", at_s=_at(rng, 0.1, 0.3), symbol=symbols[0]),
        Event(kind="cut", at_s=_at(rng, 0.3, 0.4)),
        Event(kind="deaf", at_s=_at(rng, 0.4, 0.6), symbol=symbols[1]),
        Event(kind="server_shutdown", at_s=_at(rng, 0.6, 0.8), seconds=0.3),
    ]
    return FaultPlan(events=events)


def answers(rng: Random, symbols: Sequence[str]) -> FaultPlan:
    """REST refuses, fails and lies while the missing trades are asked for."""
    del symbols
    late = MARKET_S - 2.0
    kinds = ["rest_429", "rest_418", "rest_5xx", "rest_garbage"]
    events = [Event(kind=kind, at_s=late, seconds=rng.uniform(0.2, 0.6)) for kind in rng.sample(kinds, 4)]
    return FaultPlan(drop=0.05, rest_429=0.1, rest_5xx=0.1, events=events)


def numbers(rng: Random, symbols: Sequence[str]) -> FaultPlan:
    """Ids start again, one goes astray, and times are told that no trade has."""
    events = [
        Event(kind="stray_id", at_s=_at(rng, 0.1, 0.3), symbol=symbols[0], shown_id=rng.randrange(1, 1 << 50)),
        Event(kind="odd_time", at_s=_at(rng, 0.4, 0.6), symbol=symbols[1], count=3, shown_time=rng.choice([0, 1])),
        Event(kind="renumber", at_s=_at(rng, 0.7, 0.8), symbol=symbols[0], first_id=rng.randrange(1, 1000)),
    ]
    return FaultPlan(events=events)


def listings(rng: Random, symbols: Sequence[str]) -> FaultPlan:
    """One symbol is halted and another one delisted, and connections end afterwards."""
    events = [
        Event(kind="halt", at_s=_at(rng, 0.3, 0.4), symbol=symbols[0]),
        Event(kind="delist", at_s=_at(rng, 0.4, 0.5), symbol=symbols[1]),
        Event(kind="cut", at_s=_at(rng, 0.6, 0.7)),
    ]
    return FaultPlan(events=events)


GROUPS = (frames, connections, subscriptions, answers, numbers, listings)
ELSEWHERE = {kind for kind in KINDS if kind.startswith(("rest_forget", "rest_conflict", "archive_"))}
"""Kinds about trades named by their ids: a test of their own; daily files: integration/test_archive_days.py."""


class World:
    """A simulated exchange, and what records from it."""

    def __init__(self, name: str, root: Path, plan: FaultPlan, seed: int) -> None:
        self.name, self.played = name, TABLE[name]
        end_ns = DEMO_START_NS + int(MARKET_S * 1e9)
        symbols = list(self.played.symbols)
        profiles = [each._replace(per_day=min(each.per_day, MOST_A_DAY)) for each in EXCHANGES[name].profiles]
        market = SyntheticMarket(seed=seed, start_ns=DEMO_START_NS, end_ns=end_ns, symbols=symbols, profiles=profiles)
        self.venue = Simulator(
            market,
            root / "truth.jsonl",
            exchange=EXCHANGES[name],
            plan=plan,
            seed=seed,
            speed=SPEED,
            limits=self.played.limits,
        )
        self.root = root
        self.passed_s = 0.0

    def __enter__(self) -> Self:
        self.venue.start()
        self.ingest = SmallIngest(
            self.root / "data",
            self.venue.ws_url,
            self.venue.rest_url,
            self.played.symbols,
            adapter=self.played.adapter,
            connects=PATIENCE,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.ingest.close()
        self.venue.stop()

    def play(self) -> None:
        """Record the whole market."""
        self.ingest.record(lambda: self.venue.wait_ended(0))
        self.ingest.process()

    def recover(self, *, until_whole: bool = True) -> None:
        """Recover on a clock that runs ahead while it waits, again and again while the exchange does not answer."""
        ends = time.monotonic() + 20.0
        while True:
            outcome = self.ingest.recover(
                patient=True,
                share=1.0,
                wait=self._wait,
                monotonic=lambda: time.monotonic() + self.passed_s,
                wall_ns=self._wall_ns,
                environment=LaneEnvironment(wall_ns=self._wall_ns),
            )
            if outcome.nothing_open or not until_whole:
                return
            assert time.monotonic() < ends, outcome
            self._wait(60.0)  # a ban of minutes is not waited for: whoever is called next comes later

    def wrong(self, **options: Any) -> list[str]:
        """Return what is wrong with the lake, inside and beside the truth."""
        violations = verify_store(self.ingest.data, self.ingest.ledger, {"ticks": pass_all}).violations
        return [*map(str, violations), *compare(self.ingest.data.root, self.name, self.venue.truth(), **options)]

    def _wait(self, seconds: float) -> bool:
        real_s = min(seconds, 0.05)
        threading.Event().wait(real_s)
        self.passed_s += seconds - real_s
        return False

    def _wall_ns(self) -> int:
        return time.time_ns() + int(self.passed_s * 1e9)


def seeds_of(name: str) -> range:
    """Return the seeds that an exchange is played with."""
    return range(TABLE[name].seeds) if SEEDS_VARIABLE not in os.environ else SEEDS


EACH = pytest.mark.parametrize("name", TABLE)
EACH_SEED = pytest.mark.parametrize(("name", "seed"), [(name, seed) for name in TABLE for seed in seeds_of(name)])


@EACH
def test_every_kind_that_an_exchange_declares_is_played(name: str) -> None:
    """No kind is left out, and none is asked for that it cannot show."""
    plans = [group(Random(1), TABLE[name].symbols) for group in GROUPS]
    by_chance = {kind for plan in plans for kind in ("drop", "duplicate", "reorder", "cut") if getattr(plan, kind)}
    planned = {event.kind for plan in plans for event in plan.events} | by_chance
    assert planned == KINDS.keys() - EXCHANGES[name].cannot - ELSEWHERE


@EACH_SEED
@pytest.mark.parametrize("group", [frames, connections, subscriptions, answers, numbers], ids=lambda one: one.__name__)
def test_the_lake_holds_what_was_issued(name: str, group: Any, seed: int, tmp_path: Path) -> None:
    """Whatever goes wrong on the way: after recovery nothing is open, and the lake equals the truth."""
    plan = group(Random(f"{group.__name__} {seed}"), TABLE[name].symbols)
    with World(name, tmp_path, plan, seed) as world:
        world.play()
        assert world.wrong(), "the faults took nothing"
        world.recover()
        assert world.wrong() == []


@EACH_SEED
def test_what_trades_no_more_is_held_and_named(name: str, seed: int, tmp_path: Path) -> None:
    """A delisted symbol is refused by name where an exchange does so, a halted one is silent; both are held whole."""
    plan = listings(Random(seed), TABLE[name].symbols)
    with World(name, tmp_path, plan, seed) as world:
        world.play()
        world.recover(until_whole=False)
        assert world.wrong() == []
        told = world.played.refuses
        refused = [symbols for symbols, reason in world.ingest.reports if told and told in (reason or "")]
        assert refused[:1] == ([[world.played.symbols[1]]] if told else [])


@EACH_SEED
def test_what_rest_forgets_or_contradicts_is_on_record(name: str, seed: int, tmp_path: Path) -> None:
    """Trades that REST never serves stay open or are given up; another price of a held one is a conflict."""
    first = next(each.first_id for each in EXCHANGES[name].profiles if each.symbol == TABLE[name].symbols[0])
    rng = Random(seed)
    lost, priced = first + rng.randrange(20, 40), first + rng.randrange(60, 80)
    events = [
        Event(kind="drop", at_id=lost, count=2),
        Event(kind="rest_forget", at_id=lost, count=2),
        Event(kind="drop", at_id=priced - 1),
        Event(kind="rest_conflict", at_id=priced),
    ]
    with World(name, tmp_path, FaultPlan(events=events), seed) as world:
        world.play()
        world.recover(until_whole=False)
        symbol = world.played.symbols[0]
        assert world.wrong(excused={(symbol, 0, lost), (symbol, 0, lost + 1)}) == []
        assert [conflict.trade_id for conflict in world.ingest.ledger.conflicts()] == [priced]

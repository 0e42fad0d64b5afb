"""A session in virtual time: pings, silence, own pauses, handovers, over any seed; nothing here waits or connects."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given, settings, strategies as st

from trading_platform.ingest.rate_limits.connect_policy import Address, ConnectLimits
from trading_platform.ingest.recorder.actions import (
    Close,
    Connect,
    HandoverStep,
    Ping,
    Probe,
    SymbolsLost,
)
from trading_platform.ingest.recorder.handover import HandoverTracker
from trading_platform.ingest.recorder.session import ConnectionTerms, Session
from trading_platform.venues.adapter import KeepAlive, Notice

S = 10**9
SYMBOLS = ["A", "B"]


class World:
    """A venue, a clock and the connections between them, all in one heap of events.

    The venue trades A ten times a second and B once in 20 s, numbers each from 1 on, answers pings, and cuts
    connections that get too old. `received` is what we got, by symbol.
    """

    def __init__(self, seed: int, *, lifetime_s: float = 86_400.0, keepalive: KeepAlive | None = None) -> None:
        self.rng = random.Random(seed)
        self.now = 0
        self.slept = 0
        self.lifetime_s = lifetime_s
        address = Address(ConnectLimits(), self.rng)
        terms = ConnectionTerms(keepalive or KeepAlive("ping"), lifetime_s)
        self.session = Session(SYMBOLS, terms, address, self.rng, number=count(1).__next__, mono_ns=0, boot_ns=0)
        self.heads = dict.fromkeys(SYMBOLS, 0)
        self.received: dict[str, list[int]] = {name: [] for name in SYMBOLS}
        self.open: dict[int, set[str]] = {}
        self.dead: set[int] = set()
        self.refuse: Callable[[], bool] = lambda: False
        self.said: list[tuple[float, object]] = []
        self.answers_probes = True
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        for name in SYMBOLS:
            self._at(self._gap(name), lambda name=name: self._trade(name))
        self._tick()

    def run(self, until_s: float) -> World:
        while self._events and self._events[0][0] <= until_s * S:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = int(until_s * S)
        return self

    def at(self, at_s: float, event: Callable[[], None]) -> None:
        self._at(int(at_s * S) - self.now, event)

    def of(self, kind: type) -> list[tuple[float, object]]:
        return [(at, action) for at, action in self.said if isinstance(action, kind)]

    def missing(self, name: str) -> list[int]:
        got = self.received[name]
        return sorted(set(range(got[0], got[-1] + 1)) - set(got))

    def _at(self, after_ns: int, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + after_ns, next(self._order), event))

    def _gap(self, name: str) -> int:
        return int(self.rng.expovariate(10.0 if name == "A" else 0.05) * S)

    def _trade(self, name: str) -> None:
        self.heads[name] += 1
        number = self.heads[name]
        for connection, names in list(self.open.items()):
            if name in names and connection not in self.dead:
                # No two connections are equally fast.
                delay = self.rng.randrange(1, S // 20)
                self._at(delay, lambda c=connection: self._deliver(c, name, number))
        self._at(self._gap(name), lambda: self._trade(name))

    def _deliver(self, connection: int, name: str, number: int) -> None:
        if connection in self.open and connection not in self.dead:
            self.received[name].append(number)
            self.session.heard(connection, self.now)
            self.session.delivered(connection)
            self.session.peeked(connection, name, number)

    def _tick(self) -> None:
        for action in self.session.tick(self.now, self.now + self.slept):
            self.said.append((self.now / S, action))
            match action:
                case Connect(number):
                    self._at(S // 10, lambda number=number: self._answer(number))
                case Close(number, _, abort):
                    self._at(S // 100 if abort else S // 10, lambda number=number: self._end(number))
                case Ping(number):
                    self._at(S // 20, lambda number=number: self._pong(number))
                case Probe(names):
                    if self.answers_probes:
                        told = {name: self.heads[name] for name in names}
                        self._at(S // 5, lambda told=told: self.session.probed(told, self.now))
        self._at(S // 2, self._tick)

    def _answer(self, number: int) -> None:
        if self.refuse():
            self.session.ended(number, self.now)
            return
        self.open[number] = set(SYMBOLS)
        self.session.opened(number, self.now)
        self._at(int(self.lifetime_s * S), lambda: self._end(number))

    def _pong(self, number: int) -> None:
        if number in self.open and number not in self.dead:
            self.session.heard(number, self.now)

    def _end(self, number: int) -> None:
        if self.open.pop(number, None) is not None:
            self.session.ended(number, self.now)


SEEDS = st.integers(0, 2**32)


def test_a_quiet_life_needs_one_connection_and_a_ping_every_ten_seconds() -> None:
    """Nothing but pings happens on a healthy connection."""
    world = World(1).run(600)
    assert len(world.of(Connect)) == 1
    assert 55 <= len(world.of(Ping)) <= 60
    assert not world.of(Close)
    assert not world.session.looking


def test_pongs_alone_keep_a_connection_alive() -> None:
    """A market in which nothing trades for an hour is no reason to reconnect."""
    world = World(2)
    world.at(5, lambda: [names.clear() for names in world.open.values()])
    world.run(3600)
    assert len(world.of(Connect)) == 1


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_a_silent_hole_is_noticed_within_fifteen_seconds(seed: int) -> None:
    """Whenever the socket goes dead without an end, it is given up 15 s later at most, and what it held is lost."""
    world = World(seed)
    hole_s = world.rng.uniform(1, 100)
    world.at(hole_s, lambda: world.dead.update(world.open))
    world.run(hole_s + 40)
    ((at, close),) = world.of(Close)
    assert at - hole_s <= 15.5
    assert isinstance(close, Close)
    assert close.abort
    assert [at for at, _ in world.of(SymbolsLost)] == [at]
    assert len(world.of(Connect)) == 2
    assert world.received["A"][-1] >= world.heads["A"] - 5


def test_without_pings_twice_the_heartbeat_counts() -> None:
    """A venue that answers no ping is given up by its own heartbeat's measure, and never pinged."""
    world = World(3, keepalive=KeepAlive("none", stale_s=2.0))
    world.at(50, lambda: world.dead.update(world.open))
    world.run(60)
    assert not world.of(Ping)
    assert world.of(Close)[0][0] - 50 <= 2.6


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.booleans())
def test_a_pause_of_our_own_is_recognised(seed: int, suspended: bool) -> None:
    """Stopped by a signal, or the machine suspended (only the boot clock runs on): lost, closed, connected again."""
    world = World(seed)

    def pause() -> None:
        if suspended:
            world.slept += 3600 * S
        else:
            events = [(max(at, world.now + 20 * S), order, event) for at, order, event in world._events]
            heapq.heapify(events)
            world._events = events

    world.at(30, pause)
    world.run(70)
    (_, lost), *more = world.of(SymbolsLost)
    assert not more
    assert isinstance(lost, SymbolsLost)
    assert lost.symbols == ("A", "B")
    assert "was paused" in lost.reason
    (_, close), *_ = world.of(Close)
    assert isinstance(close, Close)
    assert not close.abort
    assert len(world.of(Connect)) == 2


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_before_the_venues_cut_another_connection_has_taken_over(seed: int) -> None:
    """Ten lifetimes without one missing id: the old one closes only when every symbol is taken over."""
    world = World(seed, lifetime_s=120.0).run(1000)
    assert world.missing("A") == []
    assert world.missing("B") == []
    assert not world.of(SymbolsLost)
    steps = [action.step for _, action in world.of(HandoverStep) if isinstance(action, HandoverStep)]
    assert steps == ["begins", "opened", "taken over"] * (len(steps) // 3) + steps[len(steps) // 3 * 3 :]
    assert len(steps) >= 24
    assert len(world.open) <= 2


def test_closing_before_the_new_one_delivers_would_lose_trades() -> None:
    """The harness can tell: a connection that is closed as soon as the new one opens leaves holes."""

    def hasty(seed: int) -> int:
        world = World(seed, lifetime_s=120.0)
        opened = world.session.opened

        def open_and_cut(connection: int, now_ns: int) -> None:
            for old in [number for number in world.open if number != connection]:
                world.open.pop(old)
                world.session.ended(old, now_ns)
            opened(connection, now_ns)

        world.session.opened = open_and_cut  # type: ignore[method-assign]
        return len(world.run(1200).missing("A"))

    assert sum(hasty(seed) for seed in range(4)) > 0


def test_a_farewell_begins_a_handover_at_once() -> None:
    """serverShutdown: the new connection is there half a second later, and nobody lost anything."""
    world = World(5)
    world.at(50.2, lambda: world.session.noticed(1, Notice("farewell"), 0))
    world.at(80, lambda: world._end(1))
    world.run(100)
    assert world.of(Connect)[1][0] <= 50.8
    assert (world.missing("A"), world.missing("B")) == ([], [])
    assert not world.of(SymbolsLost)


def test_a_quiet_symbol_is_taken_over_by_a_probe() -> None:
    """B does not trade during the handover; five seconds later its head is asked for, and that decides."""
    world = World(7)
    world.at(60, lambda: world.session.noticed(1, Notice("farewell"), 0))
    world.run(59)
    # From here on B never trades again.
    world._trade = lambda name, trade=world._trade: trade(name) if name == "A" else None  # type: ignore[method-assign]
    world.run(90)
    (asked_s, probe), *_ = [(at, action) for at, action in world.of(Probe) if at > 60]
    assert probe == Probe(("B",))
    assert 65 <= asked_s <= 66
    ((closed_s, _),) = world.of(Close)
    assert asked_s < closed_s <= asked_s + 4


def test_without_an_answer_the_old_connection_stays() -> None:
    """Nobody answers the probe: the old one is kept, and both deliver."""
    world = World(7)
    world.answers_probes = False
    world.at(60, lambda: world.session.noticed(1, Notice("farewell"), 0))
    world.run(59)
    world._trade = lambda name, trade=world._trade: trade(name) if name == "A" else None  # type: ignore[method-assign]
    world.run(200)
    assert not world.of(Close)
    assert len(world.open) == 2


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_a_deaf_subscription_is_renewed_without_losing_the_others(seed: int) -> None:
    """B is subscribed and not delivered: a new connection brings it, and A misses nothing."""
    world = World(seed)
    world.at(20, lambda: world.open[1].discard("B"))
    world.at(100, lambda: world.session.renew(["B"]))
    world.run(200)
    assert world.missing("A") == []
    assert len(world.of(Connect)) == 2
    assert len(world.open) == 1
    assert 1 not in world.open
    assert world.received["B"] == [] or world.received["B"][-1] >= world.heads["B"] - 1


def test_a_handover_that_fails_is_tried_again_while_the_old_connection_lives() -> None:
    """New connections are refused a third of the time: waits grow, the old one goes on, nothing is lost."""
    refused = 0
    for seed in range(4):
        world = World(seed, lifetime_s=600.0)
        world.refuse = lambda world=world: world.now > 10 * S and world.rng.random() < 0.3  # type: ignore[misc]
        world.run(1500)
        assert world.missing("A") == []
        assert not world.of(SymbolsLost)
        refused += len(world.of(Connect)) - len(world.of(Close)) - 1
    assert refused > 0


@pytest.mark.parametrize("seed", range(5))
def test_the_old_connection_dying_during_a_handover_is_on_record(seed: int) -> None:
    """It goes dead before the new one has taken over every symbol: these are told as lost."""
    world = World(seed)
    world.answers_probes = False
    world.at(60, lambda: world.session.noticed(1, Notice("farewell"), 0))
    world.run(59)
    world._trade = lambda name, trade=world._trade: trade(name) if name == "A" else None  # type: ignore[method-assign]
    world.at(63, lambda: world._end(1))
    world.run(70)
    ((_, lost),) = world.of(SymbolsLost)
    assert lost == SymbolsLost(("B",), "ended during a handover")


def test_the_same_seed_gives_the_same_story() -> None:
    """Nothing but seed and events decides."""
    assert World(11, lifetime_s=90.0).run(500).said == World(11, lifetime_s=90.0).run(500).said


def test_an_hour_of_flapping_stays_within_the_budget() -> None:
    """Every connection is cut as soon as it has delivered: no 5 minutes hold more than half the venue's 300."""
    world = World(13)
    deliver = world._deliver

    def deliver_and_cut(connection: int, name: str, number: int) -> None:
        deliver(connection, name, number)
        world._end(connection)

    world._deliver = deliver_and_cut  # type: ignore[method-assign]
    world.run(3600)
    times = [at for at, _ in world.of(Connect)]
    assert max(sum(at <= other < at + 300 for other in times) for at in times) <= 150
    assert max(later - earlier for earlier, later in zip(times, times[1:], strict=False)) < 10


def test_without_proof_by_ids_a_new_connection_has_its_symbols_asked_for() -> None:
    """No gap opens by the first id that comes, so REST tells what was traded before it; with proof nothing is asked."""
    for ids_prove in (True, False):
        handover = HandoverTracker(["A"], opened_ns=0, replaces=False, ids_prove=ids_prove)
        handover.new("A", 7)
        assert handover.waiting(S) == ([] if ids_prove else ["A"])
        assert handover.ask(6 * S) == ([] if ids_prove else ["A"])
        handover.probed({"A": None}, 7 * S)
        assert handover.waiting(7 * S) == []
    replacing = HandoverTracker(["A"], opened_ns=0, replaces=True, ids_prove=False)
    replacing.old("A", 7)
    replacing.new("A", 7)
    assert replacing.waiting(S) == []

"""Children are started again after the waits of their policy, and end all within one span of time."""

from __future__ import annotations

import pytest

from trading_platform.ingest.workers import supervisor as ingest
from trading_platform.processes import service_supervisor as services
from trading_platform.processes.supervisor import RestartPolicy, Supervisor


class World:
    """A clock, and what its children did."""

    def __init__(self) -> None:
        self.now = 0.0
        self.children: list[FakeChild] = []
        self.told: list[tuple[str, int, float]] = []

    def supervisor(self, policy: RestartPolicy) -> Supervisor[FakeChild]:
        """Return a supervisor on this clock."""
        return Supervisor(
            policy,
            on_death=lambda name, child, code, wait_s: self.told.append((name, code, wait_s)),
            monotonic=lambda: self.now,
        )

    def start(self, stops_after_s: float = 0.0) -> FakeChild:
        """Start a child that takes so long to stop."""
        self.children.append(FakeChild(self, stops_after_s))
        return self.children[-1]


class FakeChild:
    """A child that ends when told, in the world's time."""

    def __init__(self, world: World, stops_after_s: float) -> None:
        self.pid = len(world.children)
        self.code: int | None = None
        self.asked_at: float | None = None
        self._world, self._stops_after_s = world, stops_after_s

    def ended(self) -> int | None:
        return self.code

    def ask_to_stop(self) -> None:
        if self.code is None:
            self.asked_at = self._world.now

    def finish(self, within_s: float) -> int:
        if self.code is None:
            assert self.asked_at is not None
            ready = self.asked_at + self._stops_after_s
            self.code = 0 if ready <= self._world.now + within_s else -9
            self._world.now = max(self._world.now, min(ready, self._world.now + within_s))
        return self.code


@pytest.mark.parametrize(
    ("policy", "waits"),
    [(services.POLICY, [1, 2, 4, 8, 16, 30, 30]), (ingest.POLICY, [0, 2, 4, 8, 10, 10, 10])],
    ids=["services", "workers"],
)
def test_waits_grow_with_quick_deaths_and_are_short_again_after_a_long_life(
    policy: RestartPolicy, waits: list[int]
) -> None:
    """Nothing is started before its wait is over; a child that lived long makes the next wait the first one."""
    world = World()
    supervisor = world.supervisor(policy)
    supervisor.add("a", world.start)
    for wait in waits:
        world.children[-1].code = 3
        assert supervisor.exit_code("a") == 3
        assert supervisor.keep_up() == ["a"]
        assert world.told[-1] == ("a", 3, wait) and supervisor.exit_code("a") is None
        if wait:
            world.now += wait - 0.01
            assert supervisor.keep_up() == [] and supervisor.running() == {}
        world.now += 0.02
        assert supervisor.keep_up() == [] and supervisor.running() == {"a": world.children[-1]}
    world.now += policy.steady_s + 1
    world.children[-1].code = 3
    supervisor.keep_up()
    assert world.told[-1] == ("a", 3, policy.waits_s[0])


def test_all_stop_within_one_budget_and_are_kept_no_more() -> None:
    """Children stop side by side; the time is for all of them together, and what is left then is killed."""
    world = World()
    supervisor = world.supervisor(services.POLICY)
    for name, stops_after_s in (("quick", 1.0), ("slow", 4.0), ("deaf", 100.0)):
        supervisor.add(name, lambda stops_after_s=stops_after_s: world.start(stops_after_s))
    assert supervisor.stop(["quick", "slow", "deaf", "unknown"], 5.0) == {"quick": 0, "slow": 0, "deaf": -9}
    assert world.now == 5.0
    world.now += 1000.0
    assert supervisor.keep_up() == [] and len(world.children) == 3 and world.told == []


def test_a_child_that_is_restarted_is_no_death() -> None:
    """The next one starts at once and waits are as before."""
    world = World()
    supervisor = world.supervisor(ingest.POLICY)
    supervisor.add("a", world.start)
    supervisor.restart("a", 5.0)
    assert world.children[0].code == 0
    assert supervisor.keep_up() == [] and len(world.children) == 2 and world.told == []


def test_a_child_that_runs_already_is_kept() -> None:
    """It counts as the first; what dies is replaced by one that the supervisor starts."""
    world = World()
    first = world.start()
    supervisor = world.supervisor(ingest.POLICY)
    supervisor.add("a", world.start, first)
    assert supervisor.children() == {"a": first} and "a" in supervisor
    first.code = 1
    supervisor.keep_up()
    supervisor.keep_up()
    assert supervisor.children() == {"a": world.children[1]}

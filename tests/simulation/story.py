"""What a seed draws: which faults happen at all, when, and how hard. Nothing here acts.

Each seed leaves some kinds of fault out altogether: a world in which everything happens at once hides what a single
kind does. The last part of a story is calm, so that everything can be drained.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

from tests.simulation.machine import Habits
from trading_platform.domain.days import day_start
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.synthetic_market import Profile

MARKETS = 4
"""Different markets among all seeds; making one costs as much as a minute of simulation."""
CALM = 0.15
"""How much of a story is calm at its end."""
_DAY = day_start("2024-03-15")
STARTS = (_DAY - 5 * 60 * 10**9, _DAY + 9 * 3600 * 10**9, _DAY + 15 * 3600 * 10**9, _DAY + 20 * 3600 * 10**9)
"""Where the markets begin: one is cut by a midnight."""
SYMBOLS = (None, ("BTC-USDT", "SOL-USDT"), None, ("ETH-USDT",))
"""What they trade; None: everything. A transaction costs by symbol."""

PROFILES = (
    Profile("BTC-USDT", 5_000_000_001, 62_000.0, 2, 0.004, 5, 60_000, 1.0, pauses=False),
    Profile("ETH-USDT", 4_500_000_001, 3_300.0, 2, 0.06, 4, 25_000, 1.2, pauses=False),
    Profile("SOL-USDT", 4_400_000_001, 145.0, 2, 0.8, 3, 3_000, 1.6, pauses=True),
)
"""Less trade than under `simulate`: about one trade a second, the quietest symbol one in half a minute."""


class Happening(NamedTuple):
    """Something that befalls our machine or the way to the exchange."""

    at_s: float
    kind: str
    role: str = ""
    seconds: float = 0.0
    amount: float = 0.0


@dataclass
class Story:
    """All that a seed means."""

    seed: int
    minutes: float
    habits: Habits
    plan: FaultPlan
    lifetime_s: float
    latency_s: float
    rest_errors: float = 0.0
    short_pages: float = 0.0
    hang: float = 0.0
    deaf: float = 0.0
    streams: int = 1024
    address_bytes: int = 8000
    happenings: list[Happening] = field(default_factory=list)


def draw(seed: int, minutes: float) -> Story:
    """Return the story of a seed; how many faults happen grows with its length."""
    rng = Random(f"story {seed}")
    length_s = minutes * 60.0
    faulty_s = length_s * (1.0 - CALM)
    tens = max(1.0, minutes / 10.0)

    def maybe(chance: float = 0.5) -> bool:
        return rng.random() < chance

    def times(most: int) -> list[float]:
        return sorted(rng.uniform(5.0, faulty_s) for _ in range(rng.randint(1, max(1, round(most * tens)))))

    story = Story(
        seed,
        minutes,
        _habits(rng),
        _plan(rng, times, maybe),
        lifetime_s=rng.choice([150.0, 240.0, 86_400.0]) * (1 if minutes < 30 else 3),
        latency_s=rng.choice([0.002, 0.02, 0.15]),
        rest_errors=rng.choice([0.0, 0.0, 0.03, 0.2]),
        short_pages=rng.choice([0.0, 0.0, 0.2]),
        hang=rng.choice([0.0, 0.0, 0.1]),
        deaf=rng.choice([0.0, 0.0, 0.2]),
    )
    _spread(story, Random(f"spread {seed}"), faulty_s)
    story.happenings = sorted(_happenings(rng, times, maybe))
    return story


def _spread(story: Story, rng: Random, faulty_s: float) -> None:
    """Have some of the worlds use several connections, and an exchange that takes shorter addresses than is known."""
    story.streams = rng.choice([1024, 1024, 1, 2])
    story.address_bytes = rng.choice([8000, 8000, 50, 35])
    if rng.random() < 0.3:
        code = rng.choice([1008, 1013])
        close = Event(kind="close", at_s=rng.uniform(5.0, faulty_s), code=code)
        story.plan = replace(story.plan, events=(*story.plan.events, close))


def _habits(rng: Random) -> Habits:
    return Habits(
        look_s=4.0,
        decode_every=rng.choice([5, 15, 30]),
        stage_s=rng.uniform(150.0, 300.0),
        publish=rng.uniform(8.0, 20.0),
        recover_s=rng.uniform(200.0, 500.0),
        commit_s=rng.choice([0.0003, 0.002, 0.02]),
    )


def _plan(rng: Random, times: object, maybe: object) -> FaultPlan:
    def some(kind: str, most: int, chance: float, **options: object) -> list[Event]:
        if not maybe(chance):  # type: ignore[operator]
            return []
        drawn = []
        for at_s in times(most):  # type: ignore[operator]
            values = {name: value() if callable(value) else value for name, value in options.items()}
            drawn.append(Event(kind=kind, at_s=at_s, **values))  # type: ignore[arg-type]
        return drawn

    def seconds(low: float, high: float) -> object:
        return lambda: round(rng.uniform(low, high), 3)

    def symbol() -> str | None:
        return rng.choice([None, *(profile.symbol for profile in PROFILES)])

    events = [
        *some("drop", 3, 0.4, count=lambda: rng.choice([1, 3, 40]), symbol=symbol),
        *some("duplicate", 2, 0.3, count=lambda: rng.choice([1, 30])),
        *some("reorder", 2, 0.3, count=lambda: rng.choice([1, 20]), depth=lambda: rng.randint(1, 30), symbol=symbol),
        *some("replay", 2, 0.3, count=lambda: rng.choice([5, 200])),
        *some("silence", 2, 0.3, seconds=seconds(5, 90), symbol=symbol),
        *some("cut", 4, 0.5),
        *some("hole", 2, 0.4, seconds=seconds(5, 120)),
        *some("server_shutdown", 2, 0.4, seconds=seconds(1, 30)),
        *some("refuse_connect", 2, 0.3, seconds=seconds(5, 60)),
        *some("ban_connect", 1, 0.25, seconds=seconds(30, 200)),
        *some("deaf", 2, 0.4, symbol=symbol),
        *some("ping_flood", 2, 0.3, count=lambda: rng.choice([3, 50])),
        *some("rest_429", 2, 0.3, seconds=seconds(5, 90), retry_after=lambda: rng.choice([None, "", "30", "-5"])),
        *some("rest_418", 1, 0.25, seconds=seconds(60, 250)),
        *some("rest_5xx", 2, 0.3, seconds=seconds(5, 90), status=lambda: rng.choice([500, 502, 503, 504])),
        *some("rest_garbage", 2, 0.3, seconds=seconds(5, 60)),
    ]
    return FaultPlan(
        drop=rng.choice([0.0, 0.0, 0.01, 0.1]),
        duplicate=rng.choice([0.0, 0.0, 0.05]),
        reorder=rng.choice([0.0, 0.0, 0.05]),
        cut=rng.choice([0.0, 0.0, 0.002]),
        rest_429=rng.choice([0.0, 0.0, 0.02]),
        rest_5xx=rng.choice([0.0, 0.0, 0.05]),
        events=tuple(events),
    )


def _happenings(rng: Random, times: object, maybe: object) -> list[Happening]:
    found: list[Happening] = []

    def some(
        kind: str, most: int, chance: float, roles: tuple[str, ...] = ("",), low: float = 0, high: float = 0
    ) -> None:
        if maybe(chance):  # type: ignore[operator]
            for at_s in times(most):  # type: ignore[operator]
                role = rng.choice(roles)
                found.append(Happening(at_s, kind, role, round(rng.uniform(low, high), 3), rng.random()))

    workers = ("recorder", "processor", "publisher", "ingest", "recover", "prober")
    some("kill", 3, 0.5, workers)
    some("dies at an operation", 3, 0.5, (*workers, "recorder", "processor", "recover"))
    some("power", 1, 0.35)
    some("stop", 1, 0.2)
    some("pause", 2, 0.35, ("recorder", "processor", "all"), 2, 90)
    some("suspend", 1, 0.2, ("",), 20, 120)
    some("step", 2, 0.3, ("",), -3600, 3600)
    some("disk full", 1, 0.25, ("",), 5, 60)
    some("sync fails", 1, 0.25)
    some("slow disk", 1, 0.25, ("",), 10, 60)
    some("network down", 2, 0.3, ("",), 2, 60)
    some("slow network", 2, 0.3, ("",), 10, 60)
    some("reset", 3, 0.4)
    return found

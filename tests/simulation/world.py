"""One seed, played: the exchange, the way to it, our machine, and everything that befalls them; then the verdict.

`play` is a function of its arguments: the same seed gives the same trace in any process. What is inside the world and
what is not is docs/decisions/0019-simulation.md.
"""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import TextIO

import pytest
import structlog
from _pytest.mark import ParameterSet
from structlog.typing import EventDict

from tests.simulation.clockwork import Clock, Process, S, VirtualLoop
from tests.simulation.exchange import Exchange
from tests.simulation.judge import Judge
from tests.simulation.machine import Machine
from tests.simulation.platter import Platter
from tests.simulation.story import MARKETS, PROFILES, STARTS, SYMBOLS, Happening, Story, draw
from tests.simulation.virtual_parts import JudgedLedger, open_database
from tests.support.builders.venue_limits import with_limit
from trading_platform.domain.errors import StorageError
from trading_platform.simulate.synthetic_market import SyntheticMarket
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Batch, Ledger
from trading_platform.store.ledger.database import Database

SUITE_SEEDS, TEN_MINUTE_SEEDS = range(60), range(200)
"""What the suite plays, ten minutes each, and what the campaign does besides its hours."""
SETTLE_S = 90.0
STOP_S = 200.0
DRAIN_S = 4 * 3600.0


def seeds_of(market: int) -> list[ParameterSet]:
    """Return a market's seeds of ten minutes for a test; the campaign alone plays those behind the suite's."""
    return [
        pytest.param(seed, marks=() if seed in SUITE_SEEDS else pytest.mark.campaign)
        for seed in TEN_MINUTE_SEEDS[market::MARKETS]
    ]


@dataclass
class Verdict:
    """How a seed ended.

    Attributes
    ----------
    problems : what was wrong; nothing, if the platform kept its word.
    digest : of everything that happened, in order, with its time.
    figures : what the world saw, for evidence.
    """

    seed: int
    minutes: float
    problems: list[str]
    digest: str
    figures: dict[str, int] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """What replays it."""
        return f"python -m tests.simulation --seed {self.seed} --minutes {self.minutes:g}"

    def text(self) -> str:
        """Return all of it in words."""
        lines = [*self.problems, f"digest {self.digest}", f"replay with: {self.command}"]
        return "\n".join(lines)


class Tracer:
    """Hashes what happens; writes it out too, if somebody wants to read it."""

    def __init__(self, clock: Clock, out: TextIO | None) -> None:
        self._clock, self._out = clock, out
        self._hash = blake2b(digest_size=16)
        self.events = 0

    def __call__(self, what: str, *facts: object) -> None:
        self.events += 1
        *facts_but_data, data = facts if facts and isinstance(facts[-1], bytes) else (*facts, b"")
        self._hash.update(repr((self._clock.now, what, facts_but_data, len(data))).encode())
        self._hash.update(data)
        if self._out is not None and not (what == "disk" and facts[0] in {"sync", "sync_directory"}):
            shown = [fact if not isinstance(fact, bytes) else _printable(fact) for fact in facts]
            print(f"{self._clock.now / S:12.6f} {what}", *shown, file=self._out)

    def log(self, _logger: object, method: str, event: EventDict) -> str:
        """Write out a line of the platform's own log; it is no part of the hash."""
        if self._out is not None:
            event.pop("component", None)
            print(f"{self._clock.now / S:12.6f} log {method}", dict(event), file=self._out)
        return ""

    def digest(self) -> str:
        """Return the hash of all so far."""
        return self._hash.hexdigest()


def _printable(data: bytes) -> str:
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data.strip(b"\0")[:300])
    return f"{len(data)} bytes {text}"


Plant = Callable[["World"], object]


class World:
    """Everything of one seed."""

    def __init__(self, story: Story, root: Path, out: TextIO | None = None) -> None:
        self.story = story
        start_ns = STARTS[story.seed % MARKETS]
        self.clock = Clock(start_ns)
        self.loop = VirtualLoop(self.clock)
        self.trace = Tracer(self.clock, out)
        self.rng = Random(f"world {story.seed}")
        self.data = DataDir(root / "data").create()
        self.database = _database(self.data.ledger_path)
        market = _market(story.seed % MARKETS, start_ns + int(story.minutes * 60 * S))
        exchange = Exchange(
            self.loop,
            self.clock,
            market,
            story.plan,
            story.seed,
            Random(f"exchange {story.seed}"),
            self.trace,
            lifetime_s=story.lifetime_s,
            address_bytes=story.address_bytes,
        )
        self.exchange = exchange
        network = exchange.network
        network.base_s = story.latency_s
        network.rest_errors, network.short_pages = story.rest_errors, story.short_pages
        network.hang, network.deaf = story.hang, story.deaf
        self.judge = Judge(self.clock, exchange, self.data.ledger_path)
        self.platter = Platter(self.data.log, self.judge.on_durable)
        self.machine = Machine(
            self.loop,
            self.clock,
            self.platter,
            self.data,
            exchange,
            self.rng,
            self.trace,
            story.habits,
            self.database,
            JudgedLedger,
            self._on_batch,
        )
        adapter = self.machine.adapter
        adapter.limits = with_limit(adapter.limits, "streams", story.streams)
        self.over = False
        self._restart_at: int | None = None
        self._stopping = False

    def _on_batch(self, batch: Batch) -> None:
        self.trace("batch", batch.lane, tuple(batch.start), tuple(batch.end))
        self.judge.on_transaction({key.symbol for key in batch.seen})

    # ---- the story

    def play(self) -> bool:
        """Let it all happen; return whether everything could be drained."""
        story, loop, machine = self.story, self.loop, self.machine
        for happening in story.happenings:
            loop.after(int(happening.at_s * S), self._happen, happening)
        machine.start_ingest()
        loop.after(S, self._manage)
        loop.after(int(story.habits.recover_s * S), self._recover)
        loop.run(int(story.minutes * 60 * S))
        self.over = True
        self._calm()
        loop.run(self.clock.now + int(SETTLE_S * S))
        self._stopping = machine.stop_ingest = True
        loop.run(self.clock.now + int(STOP_S * S), done=lambda: machine.alive("ingest") is None)
        if machine.alive("ingest") is not None:
            self.judge.say("stop", f"ingest still runs {STOP_S:.0f} s after it was told to stop")
        return self._drain()

    def _drain(self) -> bool:
        machine, loop = self.machine, self.loop
        until = self.clock.now + int(DRAIN_S * S)
        while self.clock.now < until:
            process = machine.start_recovery(patient=True)
            loop.run(until, done=lambda: process.dead)  # noqa: B023  run to its end within this turn
            if process.code == 0:
                return True
            loop.run(self.clock.now + 60 * S)
        return False

    def _manage(self) -> None:
        """Start ingest again when it is dead, as a service manager does."""
        machine = self.machine
        if machine.alive("ingest") is None and not self._stopping and self.clock.asleep_since is None:
            if self._restart_at is None:
                self._restart_at = self.clock.now + int(self.rng.uniform(1.0, 20.0) * S)
            elif self.clock.now >= self._restart_at:
                self._restart_at = None
                machine.stop_ingest = False
                machine.start_ingest()
        self.loop.after(S, self._manage)

    def _recover(self) -> None:
        if not self._stopping:
            if self.clock.asleep_since is None:
                self.machine.start_recovery()
            self.loop.after(int(self.story.habits.recover_s * S), self._recover)

    # ---- what befalls us

    def _happen(self, happening: Happening) -> None:
        if self.over:
            return
        self.trace("happening", *happening)
        {
            "kill": self._kill,
            "dies at an operation": self._doom,
            "power": self._lose_power,
            "stop": self._stop,
            "pause": self._pause,
            "suspend": self._suspend,
            "step": self._step,
            "disk full": self._fill,
            "sync fails": self._fail_sync,
            "slow disk": self._slow_disk,
            "network down": self._cut_network,
            "slow network": self._slow_network,
            "reset": self._reset,
        }[happening.kind](happening)

    def _kill(self, happening: Happening) -> None:
        process = self.machine.alive(happening.role)
        if process is not None:
            process.kill()

    def _doom(self, happening: Happening) -> None:
        process = self.machine.alive(happening.role)
        if process is not None:
            disk = self.machine.disk_of(process)
            disk.dies_in, disk.half = int(happening.amount * 20), happening.amount > 0.5

    def _lose_power(self, _: Happening) -> None:
        for process in list(self.machine.processes.values()):
            process.kill()
        self.platter.lose_power(self.rng)

    def _stop(self, _: Happening) -> None:
        self.machine.stop_ingest = True

    def _pause(self, happening: Happening) -> None:
        roles = [happening.role] if happening.role != "all" else list(self.machine.processes)
        for process in [process for role in roles if (process := self.machine.alive(role)) is not None]:
            process.pause()
            self.loop.after(int(happening.seconds * S), process.resume)

    def _suspend(self, happening: Happening) -> None:
        if self.clock.asleep_since is not None:
            return
        sleeping = [process for process in self.machine.processes.values() if not process.dead]
        for process in sleeping:
            process.pause()
        self.clock.asleep_since = self.clock.now
        self.loop.after(int(happening.seconds * S), self._wake, sleeping)

    def _wake(self, sleeping: list[Process]) -> None:
        if self.clock.asleep_since is not None:
            self.clock.suspended += self.clock.now - self.clock.asleep_since
            self.clock.asleep_since = None
        for process in sleeping:
            process.resume()

    def _step(self, happening: Happening) -> None:
        self.clock.stepped += int(happening.seconds * S)

    def _fill(self, happening: Happening) -> None:
        self.platter.room = 0
        self.loop.after(int(happening.seconds * S), self._free)

    def _free(self) -> None:
        self.platter.room = None

    def _fail_sync(self, _: Happening) -> None:
        self.platter.failing_syncs += 1

    def _slow_disk(self, happening: Happening) -> None:
        self.machine.fsync_slow = 10 ** (1 + 2 * happening.amount)
        self.loop.after(int(happening.seconds * S), self._fast_disk)

    def _fast_disk(self) -> None:
        self.machine.fsync_slow = 1.0

    def _cut_network(self, happening: Happening) -> None:
        self.exchange.network.down = True
        for connection in sorted(self.exchange.connections, key=lambda one: one.number):
            connection.hole()
        self.loop.after(int(happening.seconds * S), self._join_network)

    def _join_network(self) -> None:
        self.exchange.network.down = False

    def _slow_network(self, happening: Happening) -> None:
        self.exchange.network.slow = 1 + 40 * happening.amount
        self.loop.after(int(happening.seconds * S), self._fast_network)

    def _fast_network(self) -> None:
        self.exchange.network.slow = 1.0

    def _reset(self, happening: Happening) -> None:
        for connection in sorted(self.exchange.connections, key=lambda one: one.number):
            connection.reset("connection reset by peer")

    def _calm(self) -> None:
        """End everything that goes wrong on our side; what was planned for the exchange ends by itself."""
        self._free()
        self._fast_disk()
        self._join_network()
        self._fast_network()
        self.platter.failing_syncs = 0
        network = self.exchange.network
        network.rest_errors = network.short_pages = network.hang = network.deaf = 0.0
        self._wake([process for process in self.machine.processes.values() if not process.dead])
        for process in self.machine.processes.values():
            if not process.dead:
                self.machine.disk_of(process).dies_in = None

    def close(self) -> None:
        """End what still runs."""
        for process in list(self.machine.processes.values()):
            process.kill()
        self.loop.discard()
        self.judge.close()
        self.database.close()


def play(
    seed: int,
    *,
    minutes: float = 10.0,
    plant: Plant | None = None,
    out: TextIO | None = None,
    story: Story | None = None,
) -> Verdict:
    """Play a seed and judge it.

    Parameters
    ----------
    plant : puts a bug into the world before it begins; for negative controls.
    out : where to write the trace in words.
    """
    root = _folder()
    world = World(story or draw(seed, minutes), root, out)
    before = structlog.get_config()
    structlog.configure(
        processors=[world.trace.log],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if out is not None else logging.CRITICAL),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    try:
        if plant is not None:
            plant(world)
        drained = world.play()
        for crash in world.machine.crashes:
            world.judge.say("crash", crash)
        for error in world.loop.errors:
            world.judge.say("crash", repr(error))
        world.judge.conclude(world.data.root, world.platter, drained=drained)
        figures = {
            "trades": sum(map(len, world.exchange.truth.values())),
            "events": world.trace.events,
            "gaps": world.judge.gaps(),
            "processes that died": world.machine.deaths,
            "transactions": world.judge.transactions,
            "connections": len(world.exchange.all_connections),
            "requests": len(world.exchange.api.requests),
        }
        return Verdict(seed, minutes, world.judge.problems, world.trace.digest(), figures)
    finally:
        with suppress(StorageError):
            world.close()
        structlog.configure(**before)
        shutil.rmtree(root / "data", ignore_errors=True)


@lru_cache(maxsize=MARKETS)
def _market(number: int, end_ns: int) -> SyntheticMarket:
    return SyntheticMarket(
        seed=number, start_ns=STARTS[number], end_ns=end_ns, symbols=SYMBOLS[number], profiles=PROFILES
    )


@lru_cache(maxsize=1)
def _folder() -> Path:
    """Return where this process's worlds lie, one after the other; in memory if there is such a file system."""
    memory = Path("/dev/shm")  # noqa: S108  a folder with a name of its own in it
    root = Path(tempfile.mkdtemp(prefix="simulation-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


@lru_cache(maxsize=1)
def _empty_ledger() -> bytes:
    """Return a migrated ledger that knows nothing."""
    root = Path(tempfile.mkdtemp(prefix="ledger-"))
    try:
        data = DataDir(root).create()
        Ledger.open(data).close()
        return data.ledger_path.read_bytes()
    finally:
        shutil.rmtree(root)


_DATABASES: dict[Path, Database] = {}


def _database(path: Path) -> Database:
    """Return the database at this path, empty; its engine is kept from world to world."""
    path.write_bytes(_empty_ledger())
    if path not in _DATABASES:
        _DATABASES[path] = open_database(path)
    return _DATABASES[path]

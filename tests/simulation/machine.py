"""Our machine: the real ingest, its workers, a recovery now and then, as virtual processes on one clock and one disk.

Everything they do is the project's code. What is written anew here is what commands/ingest.py,
commands/workers/ingest_worker.py and commands/recover.py do as roots: make the parts, hand them their surroundings, say
when the next look is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom

from tests.simulation import clockwork
from tests.simulation.clockwork import Clock, Fiber, Killed, Process, VirtualLoop
from tests.simulation.exchange import CONNECTS_WINDOW_S, Exchange, Trace
from tests.simulation.platter import Platter, ProcessDisk
from tests.simulation.virtual_parts import (
    GUARDS,
    JudgedLedger,
    VirtualChild,
    VirtualCommitter,
    VirtualProber,
    VirtualSupervisor,
)
from trading_platform.domain.errors import PlatformError, VenueError, WorkError
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.processor.log_maintenance import LogMaintenance
from trading_platform.ingest.processor.processor import Processor
from trading_platform.ingest.processor.publisher import publish_until
from trading_platform.ingest.processor.stale_symbol_monitor import SilenceWatch
from trading_platform.ingest.rate_limits.connect_history import ConnectHistory
from trading_platform.ingest.rate_limits.shared_cooldown import Refusals
from trading_platform.ingest.rate_limits.stream_bans import stream_ban_until
from trading_platform.ingest.recorder.disk_full import record_with_space
from trading_platform.ingest.recorder.recorder import Clocks, Recorder
from trading_platform.ingest.recovery.fetch_lane import LaneEnvironment
from trading_platform.ingest.recovery.fetcher import Endpoint, FetchContext
from trading_platform.ingest.recovery.open_tails import ingest_lock
from trading_platform.ingest.recovery.recovery import probe_ended, recover_missing
from trading_platform.ingest.recovery.rest_client import RestClient, Waiter
from trading_platform.ingest.workers import messages
from trading_platform.ingest.workers.supervisor import WorkerSpec
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.ledger import Batch, Ledger
from trading_platform.store.ledger.database import Database
from trading_platform.store.log.writer import LaneWriter
from trading_platform.venues import VENUES

VENUE = "binance"
ADAPTER = VENUES[VENUE]
BOUNDS = Bounds.of("2016-01-01")
SEGMENT_BYTES = 64 << 10
RESERVE_BYTES = 256 << 10
STOP_WITHIN_S = 30.0
POLL_S = 2.0


@dataclass
class Habits:
    """How often what a real machine does all the time is done here: a transaction costs, idle looks do not matter.

    Attributes
    ----------
    look_s : the processor's pause between two looks; decode_every: at each how manieth of them it decodes.
    stage_s : pause between putting trades into staging; publish: factor on the publisher's own pause.
    recover_s : pause between two recoveries.
    commit_s : what a commit usually takes.
    """

    look_s: float = 4.0
    decode_every: int = 5
    stage_s: float = 120.0
    publish: float = 10.0
    recover_s: float = 90.0
    commit_s: float = 0.001


class Machine:
    """The machine and what runs on it.

    Attributes
    ----------
    processes : the living ones by what they do; the latest of each role.
    adapter : the recorder's; its limits may be less than the venue's.
    crashes : what ended otherwise than on purpose.
    deaths : how many were killed.
    """

    def __init__(  # noqa: PLR0913  the parts that a machine is made of
        self,
        loop: VirtualLoop,
        clock: Clock,
        platter: Platter,
        data: DataDir,
        exchange: Exchange,
        rng: Random | SystemRandom,
        trace: Trace,
        habits: Habits,
        database: Database,
        ledger_class: type[JudgedLedger],
        on_batch: Callable[[Batch], object],
    ) -> None:
        self.loop, self.clock, self.platter, self.data, self.exchange = loop, clock, platter, data, exchange
        self.trace, self.habits = trace, habits
        self.rng, self._database, self.ledger_class, self._on_batch = rng, database, ledger_class, on_batch
        self.processes: dict[str, Process] = {}
        self._disks: dict[Process, ProcessDisk] = {}
        self.crashes: list[str] = []
        self.deaths = 0
        self.stop_ingest = False
        self.outcome_open = True
        self.fsync_slow = 1.0
        loop.executor_latency = self._commit_s
        self.symbols = {listing.venue_symbol: listing.symbol for listing in exchange.market.listings}
        self.adapter = copy(ADAPTER)
        self.endpoints = {VENUE: Endpoint(ADAPTER, "http://exchange")}
        self._root_length = len(str(data.root))
        GUARDS[database] = self._guard

    # ---- processes

    def process(self, role: str) -> Process:
        """Return a new process."""
        process = self.processes[role] = Process(self.loop, role)
        self._disks[process] = ProcessDisk(self.platter, process, self._disk_trace)
        process.at_end.append(lambda: self._ended(process))
        return process

    def alive(self, role: str) -> Process | None:
        process = self.processes.get(role)
        return None if process is None or process.dead else process

    def _ended(self, process: Process) -> None:
        self.trace("process ends", process.name, process.code)
        self.deaths += process.code == -9
        if process.crash is not None:
            self.crashes.append(f"{process.name}: {process.crash!r}")

    def fiber(self, process: Process, work: Callable[[], int | None]) -> None:
        """Run blocking code as a process."""

        def main() -> None:
            try:
                code = work()
            except PlatformError as error:
                self.trace("gave up", process.name, type(error).__name__)
                process.code = 1
            except Killed:
                raise
            except BaseException as error:  # noqa: BLE001  for the judge
                process.crash, process.code = error, 70
            else:
                process.code = code or 0
            if not process.dead:
                process.kill(process.code)

        Fiber(process, main)

    def _disk_trace(self, name: str, path: Path, data: bytes) -> None:
        place = str(path)[self._root_length :]
        self.trace("disk", name, "tmp" if place.endswith(".tmp") else place, data)

    def _commit_s(self) -> float:
        return self.habits.commit_s * self.fsync_slow * self.rng.uniform(0.2, 3.0)

    def open_ledger(self) -> Ledger:
        """Open the ledger."""
        return self.ledger_class.of(self._database, self._on_batch)

    def _guard(self, what: str) -> None:
        """Let no dead process write; a commit is an operation that a process may die at."""
        process = clockwork.OWNER.get()
        if process is not None:
            self.disk_of(process).operate(what, self.data.ledger_path)

    def disk_of(self, process: Process) -> ProcessDisk:
        """Return the disk as a process has it."""
        return self._disks[process]

    def _environment(self, process: Process) -> LaneEnvironment:
        rng = Random(self.rng.getrandbits(64))
        return LaneEnvironment(self.clock.wall_ns, self.clock.monotonic_ns, rng.randbytes, self.disk_of(process))

    def _waiter(self, process: Process) -> Waiter:
        def wait(seconds: float, /) -> bool:
            clockwork.sleep(seconds)
            return False

        return wait

    # ---- ingest

    def start_ingest(self) -> None:
        """Start the command, as a service manager does."""
        if self.alive("ingest") is None:
            process = self.process("ingest")
            self.fiber(process, lambda: self._ingest(process))

    def _ingest(self, process: Process) -> int:
        disk = self.disk_of(process)
        with FileLock.acquire(ingest_lock(self.data, VENUE), "ingest"):
            ledger = self.open_ledger()
            try:
                return self._supervise(process, ledger, disk)
            finally:
                ledger.close()

    def _supervise(self, process: Process, ledger: Ledger, disk: ProcessDisk) -> int:
        config = WorkerSpec(
            data_dir=str(self.data.root),
            venue=VENUE,
            symbols=self.symbols,
            ws_url="ws://exchange",
            history_start="2016-01-01",
            database_url="",
        )
        supervisor = VirtualSupervisor(
            self, process, config, lambda: stream_ban_until(self.data, ledger, VENUE, config.lane, disk=disk)
        )
        supervisor.start()

        def wait(seconds: float) -> bool:
            clockwork.sleep(POLL_S)
            return self.stop_ingest

        with self._prober(process, supervisor.tell_heads) as prober:
            supervisor.ask = prober.ask
            supervisor.watch(wait)
        problem = 0
        try:
            supervisor.stop_workers()
        except WorkError:
            problem = 1
        context = self._context(process)
        with suppress(VenueError):
            probe_ended(self.data, ledger, self.endpoints, context, frozenset({VENUE}))
        supervisor.stop_publisher()
        return problem

    def _prober(self, parent: Process, answered: Callable[[dict[str, int | None]], object]) -> VirtualProber:
        def client(ledger: Ledger, on_ban: Callable[[int], None], wait: Waiter) -> RestClient:
            return RestClient(
                ADAPTER,
                "http://exchange",
                share=0.5,
                wall_ns=self.clock.wall_ns,
                monotonic=self.clock.monotonic,
                wait=self._waiter(prober.process),
                rng=Random(self.rng.getrandbits(64)),
                banned_until_ns=ledger.ban_until(VENUE),
                on_ban=on_ban,
                refusals=Refusals(ledger, VENUE, self.clock.monotonic),
                transport=self.exchange.rest(),
            )

        spelling = {symbol: name for name, symbol in self.symbols.items()}
        prober = VirtualProber(
            self,
            parent,
            self.data,
            self.open_ledger,
            ADAPTER,
            client,
            BOUNDS,
            spelling,
            answered,
        )
        prober._environment = self._environment(prober.process)
        return prober

    def _context(self, process: Process) -> FetchContext:
        return FetchContext(
            BOUNDS,
            pass_all,
            0.5,
            self._waiter(process),
            Random(self.rng.getrandbits(64)),
            self.clock.wall_ns,
            self.clock.monotonic,
            self._environment(process),
            self.exchange.rest(),
        )

    # ---- workers

    def start_worker(self, child: VirtualChild) -> None:
        """Start a worker's work."""
        process = child.process
        if child.role == "recorder":
            self.loop.spawn(process, self._recorder_main(child))
        else:
            work = {"processor": self._process, "publisher": self._publish}[child.role]
            self.fiber(process, lambda: work(child))

    async def _recorder_main(self, child: VirtualChild) -> None:
        process = child.process
        try:
            await self._record(child)
        except PlatformError as error:
            self.trace("gave up", "recorder", str(type(error).__name__))
            process.end(1)
        except Killed:
            raise
        except BaseException as error:  # noqa: BLE001  for the judge
            process.end(70, error)
        else:
            process.end(0)

    async def _record(self, child: VirtualChild) -> None:
        stop = asyncio.Event()
        child.stopping = stop.set
        recorders: list[Recorder] = []
        rng = Random(self.rng.getrandbits(64))
        disk = self.disk_of(child.process)

        def on_message(line: bytes) -> None:
            match messages.decode_message(line):
                case messages.Heads(heads) if recorders:
                    recorders[-1].probed(heads)
                case messages.Renew(symbols) if recorders:
                    recorders[-1].renew(symbols)

        child.on_message = on_message
        attempts = ConnectHistory(self.data.run / "attempts-binance", CONNECTS_WINDOW_S)

        def open_writer(on_full: Callable[[], None]) -> LaneWriter:
            writer = LaneWriter.open(
                self.data.lane(child.config.lane),
                clock=self.clock.wall_ns,
                entropy=rng.randbytes,
                disk=disk,
                segment_bytes=SEGMENT_BYTES,
                reserve_bytes=RESERVE_BYTES,
                on_full=on_full,
                background=True,
            )
            child.process.at_end.append(writer._lock.release)
            return writer

        async def receive(writer: LaneWriter, pause: asyncio.Event) -> None:
            recorder = Recorder(
                self.adapter,
                child.config.symbols,
                child.config.ws_url,
                writer,
                Clocks(self.clock.wall_ns, self.clock.monotonic_ns, self.clock.boot_ns),
                rng,
                transport=self.exchange.connect,
                banned_until_ns=child.config.banned_until_ns,
                probe=lambda symbols: [child.send(line) for line in messages.probe(symbols)],
                attempted_ns=attempts.recall(self.clock.wall_ns()),
                on_connect=attempts.note,
            )
            recorder.committer = VirtualCommitter(
                writer,
                wall_ns=self.clock.wall_ns,
                monotonic_ns=self.clock.monotonic_ns,
                on_durable=recorder._durable,
            )
            recorders[:] = [recorder]
            await recorder.run(pause)

        await record_with_space(child.config.lane, open_writer, receive, stop)

    def _process(self, child: VirtualChild) -> int:
        stopping: list[bool] = []
        child.stopping = lambda: stopping.append(True)
        habits, disk = self.habits, self.disk_of(child.process)
        ledger = self.open_ledger()
        try:
            watch = SilenceWatch(child.config.symbols.values(), child.send, self.clock.monotonic_ns)
            child.on_message = watch.on_message
            processor = Processor(
                self.data,
                child.config.lane,
                ledger,
                VENUES,
                BOUNDS,
                observe=lambda decoded, added: watch.observe(decoded),
                disk=disk,
            )
            try:
                staged, looks = self.clock.monotonic(), 0
                while not stopping:
                    looks += 1
                    if looks % habits.decode_every == 0:
                        processor.step()
                    watch.judge()
                    clockwork.sleep(habits.look_s)
                    if self.clock.monotonic() - staged > habits.stage_s:
                        processor.stage()
                        staged = self.clock.monotonic()
                processor.drain()
            finally:
                processor.close()
        finally:
            ledger.close()
        return 0

    def _publish(self, child: VirtualChild) -> int:
        stopping: list[bool] = []
        child.stopping = lambda: stopping.append(True)
        ledger = self.open_ledger()
        disk = self.disk_of(child.process)
        keeper = LogMaintenance(
            self.data, ledger, VENUES, BOUNDS, retention_ns=None, now_ns=self.clock.wall_ns, disk=disk
        )

        def wait(seconds: float) -> bool:
            left = seconds * self.habits.publish
            while left > 0 and not stopping:
                clockwork.sleep(min(left, 5.0))
                left -= 5.0
            return bool(stopping)

        try:
            publish_until(
                self.data,
                ledger,
                pass_all,
                monotonic=self.clock.monotonic,
                wait=wait,
                afterwards=keeper.keep,
                disk=disk,
            )
        finally:
            ledger.close()
        return 0

    # ---- recovery

    def start_recovery(self, *, patient: bool = False) -> Process:
        """Start what closes gaps, unless it runs already."""
        running = self.alive("recover")
        if running is not None:
            return running
        process = self.process("recover")
        self.fiber(process, lambda: self._recover(process, patient=patient))
        return process

    def _recover(self, process: Process, *, patient: bool) -> int:
        ledger = self.open_ledger()
        try:
            outcome = recover_missing(self.data, ledger, self.endpoints, self._context(process), patient=patient)
            self.outcome_open = not outcome.nothing_open
            self.trace("recovered", outcome.pages, len(outcome.open_gaps), len(outcome.open_tails))
            return 0 if outcome.nothing_open else 1
        finally:
            ledger.close()

"""Parts of the platform with only their shell exchanged: threads and processes are fibers of the virtual machine.

Who puts them together and starts them is machine.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast
from weakref import WeakKeyDictionary

import msgspec
import sqlalchemy as sa

from tests.simulation import clockwork
from tests.simulation.clockwork import Process
from trading_platform.domain.errors import StorageError
from trading_platform.ingest.recorder.group_commit import Committer
from trading_platform.ingest.recovery.head_prober import Prober
from trading_platform.ingest.workers.supervisor import IngestSupervisor, WorkerSpec
from trading_platform.processes.worker_process import Child
from trading_platform.store.ledger import Batch, Ledger, SequenceKey
from trading_platform.store.ledger.database import Database
from trading_platform.store.ledger.projection import Advance

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

ZERO_EVERY_S = 20.0
RECORDER_ORPHANED_S = 0.7


class VirtualCommitter(Committer):
    """The committer's rule and its commits, on the event loop's time instead of in a thread."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._work = asyncio.Event()

    def add(self, *args: Any, **options: Any) -> None:
        super().add(*args, **options)
        self._work.set()

    def add_batch(self, *args: Any, **options: Any) -> None:
        super().add_batch(*args, **options)
        self._work.set()

    def close(self) -> None:
        super().close()
        self._work.set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        zeroing = asyncio.create_task(self._zero(loop))
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                while runs := self._backlog.take():
                    await loop.run_in_executor(None, self._commit, runs)
                    self._backlog.committed(sum(run.size for run in runs))
                    self._has_room()
                if self._closing:
                    return
        finally:
            zeroing.cancel()

    async def _zero(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make space ahead now and then, between any two commits."""
        while True:
            await asyncio.sleep(ZERO_EVERY_S)
            with suppress(StorageError):  # the next commit says so
                while await loop.run_in_executor(None, self._writer.zero_ahead):
                    pass


class JudgedLedger(Ledger):
    """The real ledger; the judge is told of every batch it took.

    All processes of all worlds share its engine, because SQLAlchemy compiles statements once for each: who writes is
    told by whose turn it is, and a dead process writes no more.
    """

    told: Callable[[Batch], object]

    @classmethod
    def of(cls, database: Database, told: Callable[[Batch], object]) -> Self:
        """Return the ledger in this database."""
        ledger = cls(database)
        ledger.told = told
        return ledger

    def close(self) -> None:
        """Leave the connections to others."""

    def apply(self, batch: Batch, advance: Advance) -> dict[SequenceKey, int]:
        added = super().apply(batch, advance)
        self.told(batch)
        return added


GUARDS: WeakKeyDictionary[Database, Callable[[str], object]] = WeakKeyDictionary()
"""Asked before each transaction and before each commit of a writer: that of the world that uses the database now."""


def open_database(path: Path) -> Database:
    """Open a ledger's database whose transactions ask `GUARDS`."""
    database = Database.open(path)

    @sa.event.listens_for(database.engine, "begin")
    def _(connection: sa.Connection) -> None:
        GUARDS[database]("ledger begin")

    @sa.event.listens_for(database.engine, "commit")
    def _(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("writing"):
            GUARDS[database]("ledger commit")

    return database


class VirtualChild(Child):
    """A worker as its supervisor has it."""

    def __init__(self, machine: Machine, role: str, config: WorkerSpec) -> None:
        self.name, self.role = role, role
        self.process = machine.process(role)
        self.config = config
        self.stopping: Callable[[], object] = lambda: None
        self.on_message: Callable[[bytes], object] = lambda line: None
        self._sent: list[bytes] = []
        self._machine = machine

    @property
    def pid(self) -> int:
        return 1

    def ended(self) -> int | None:
        return self.process.code

    def tell(self, message: bytes) -> bool:
        self.process.soon(lambda: self.on_message(message))
        return True

    def send(self, message: bytes) -> bool:
        """Tell the parent."""
        self._sent.append(message)
        return True

    def messages(self) -> list[bytes]:
        sent, self._sent = self._sent, []
        return sent

    def ask_to_stop(self) -> None:
        if self.process.code is None:
            self.process.soon(lambda: self.stopping())  # noqa: PLW0108  it may still change

    def finish(self, within_s: float) -> int:
        waited = 0.0
        while self.process.code is None and waited < within_s:
            clockwork.sleep(0.1)
            waited += 0.1
        self.process.kill()
        return cast("int", self.process.code)

    def orphan(self) -> None:
        """End as a worker whose parent is dead: the recorder in order, if that is quick."""
        if self.role == "recorder" and self.process.code is None:
            self.process.soon(lambda: self.stopping())  # noqa: PLW0108  as above
            self._machine.loop.after(int(RECORDER_ORPHANED_S * clockwork.S), self.process.kill)
        else:
            self.process.kill()


class VirtualSupervisor(IngestSupervisor):
    """The real supervisor, whose children are virtual processes."""

    def __init__(self, machine: Machine, process: Process, config: WorkerSpec, banned: Callable[[], int]) -> None:
        super().__init__(config, monotonic=machine.clock.monotonic, banned_until_ns=banned)
        self._machine, self._process = machine, process

    def _spawn(self, role: str) -> VirtualChild:
        config = self._config
        if role == "recorder":
            config = msgspec.structs.replace(config, banned_until_ns=self._banned_until_ns())
        child = VirtualChild(self._machine, role, config)
        self._process.at_end.append(child.orphan)
        self._machine.start_worker(child)
        return child


class VirtualProber(Prober):
    """The real prober, on a virtual process instead of a thread."""

    def __init__(self, machine: Machine, parent: Process, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._machine, self._waiting = machine, False
        self.process = machine.process("prober")
        parent.at_end.append(self.process.kill)

    def __enter__(self) -> Self:
        self._machine.fiber(self.process, self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.put(None)
        self.process.soon(self._wake)

    def ask(self, symbols: Iterable[str]) -> None:
        super().ask(symbols)
        self.process.soon(self._wake)

    def _wake(self) -> None:
        if self._waiting:
            self._waiting = False
            self.process.fibers[0].resume()

    def _next(self) -> list[str] | None:
        while self._asked.empty():
            self._waiting = True
            self.process.fibers[0].park()
        return super()._next()

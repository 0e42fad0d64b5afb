"""Run a venue's ingest: recorder, processor, publisher and what feeds the database, each started again if it dies.

The recorder starts first and stops first. Starting again is processes/supervisor.py. What the children do is in their
modules; how they are told is commands/workers/ingest_worker.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Literal

import msgspec

from trading_platform.domain.errors import WorkError
from trading_platform.ingest.workers import messages
from trading_platform.ingest.workers.run_account import RunAccount
from trading_platform.processes import worker_process as children
from trading_platform.processes.supervisor import RestartPolicy, Supervisor
from trading_platform.telemetry import SHARED
from trading_platform.telemetry.logs import get_logger

log = get_logger(__name__)

WORKERS = "trading_platform.commands.workers.ingest_worker"
CONFIG_VARIABLE = "TP_INGEST_CONFIG"
POLL_S = 0.1
POLICY = RestartPolicy(waits_s=(0.0, 0.0, 2.0, 4.0, 8.0, 10.0), steady_s=30.0)
"""The first death costs nothing: recording goes on at once."""
STOP_WITHIN_S = 25.0
"""All steps of a stop together, from the moment `watch` ends; the contract allows the whole command 30 s."""
RECORDER_STOP_S = 8.0
PUBLISH_S = 10.0
"""Of a stop, what is kept for publishing."""
DATABASE_S = 3.0
"""How long a stop may write into the database."""
ONE_LEAF_S = 3.0
"""How long the part or symbol-day may take that a worker is at when its time is over."""


class WorkerSpec(msgspec.Struct, frozen=True):
    """All that a worker needs, as JSON in its environment."""

    data_dir: str
    venue: str
    symbols: dict[str, str]  # venue's spelling -> canonical
    ws_url: str
    history_start: str
    database_url: str
    metrics_dir: str | None = None
    log_retention_s: int | None = None
    transport: Literal["websockets", "fast"] = "websockets"
    compression: bool = False
    banned_until_ns: int = 0
    known_ns: int = 0
    began_ns: int = 0  # wall time; what was received before is another run's

    @property
    def lane(self) -> str:
        """The live lane of the venue."""
        return f"live-{self.venue}"


class IngestSupervisor:
    """Keeps the three workers of one venue running, and passes on what they say to each other.

    Parameters
    ----------
    banned_until_ns : asked at each start of a recorder: until when the venue's stream may not be connected to.
    known_ns : asked then too: up to when what is on record of the symbols' ends bears times.

    Attributes
    ----------
    ask : has the heads of these symbols asked for; the answer comes through `tell_heads`.
    account : what was heard of each symbol.
    """

    def __init__(
        self,
        config: WorkerSpec,
        account: RunAccount | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        banned_until_ns: Callable[[], int] = lambda: 0,
        known_ns: Callable[[], int] = lambda: 0,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._config = config
        self._monotonic, self._wall_ns = monotonic, wall_ns
        self._banned_until_ns, self._known_ns = banned_until_ns, known_ns
        self._heads: SimpleQueue[dict[str, int | None]] = SimpleQueue()
        self.ask: Callable[[list[str]], object] = lambda symbols: None
        self.account = account or RunAccount(config.symbols.values())
        self._workers: Supervisor[children.Child] = Supervisor(POLICY, on_death=self._log_death, monotonic=monotonic)
        self._stops_by: float | None = None
        self._wait_to_begin = False

    def prepare(self) -> None:
        """Have a recorder load what it needs, so that it begins at once when all are started."""
        self._wait_to_begin = True
        self._add("recorder")
        self._wait_to_begin = False

    def start(self) -> None:
        """Start all workers, the recorder first."""
        if "recorder" in self._workers:
            self._workers.children()["recorder"].begin()
        for role in ("recorder", "processor", "publisher", *(["database"] if self._config.database_url else [])):
            if role not in self._workers:
                self._add(role)

    def _add(self, role: str) -> None:
        self._workers.add(role, lambda: self._spawn(role))

    def watch(self, wait: Callable[[float], bool]) -> None:
        """Start workers again that die, until `wait` says stop."""
        while not wait(POLL_S):
            self._workers.keep_up()
            self._pass_on()
        self._stops_by = self._monotonic() + STOP_WITHIN_S

    def left_s(self, keep_s: float = 0.0) -> float:
        """Return how much is left of the time for a stop, less what is to be kept of it for what follows."""
        if self._stops_by is None:
            self._stops_by = self._monotonic() + STOP_WITHIN_S
        return max(0.0, self._stops_by - self._monotonic() - keep_s)

    def respell(self, symbols: Mapping[str, str]) -> None:
        """Record these from now on, the venue's spelling mapped to ours: the recorder starts again."""
        self._config = msgspec.structs.replace(self._config, symbols=dict(symbols))
        self._workers.restart("recorder", RECORDER_STOP_S)

    def tell_heads(self, heads: dict[str, int | None]) -> None:
        """Have the recorder and the processor told of heads; from any thread."""
        self._heads.put(heads)

    def stop_workers(self) -> None:
        """Stop receiving, then decode and stage all that was received, as far as the time for a stop allows.

        Raises
        ------
        WorkError : if one of them did not end well; nothing durable is lost, the next start goes on from it.
        """
        codes = self._workers.stop(["recorder"], min(RECORDER_STOP_S, self.left_s(PUBLISH_S)))
        self._tell("processor", messages.stop_within(self.left_s(PUBLISH_S + ONE_LEAF_S)))
        codes |= self._workers.stop(["processor"], self.left_s(PUBLISH_S))
        self._pass_on()
        failed = [role for role, code in codes.items() if code != 0]
        if failed:
            raise WorkError(f"{' and '.join(failed)} did not stop in order; start again or run recover")

    def stop_publisher(self) -> None:
        """Let the publisher publish once more, as much as the time for a stop allows, and end.

        Raises
        ------
        WorkError : if it did not end well; what it leaves is published at the next start.
        """
        self._tell("publisher", messages.stop_within(self.left_s(ONE_LEAF_S)))
        published = self._workers.stop(["publisher"], self.left_s())["publisher"] == 0
        if "database" in self._workers:
            # What it does not do now is done at the next start: a database never keeps a stop from being in order.
            self._tell("database", messages.stop_within(min(DATABASE_S, self.left_s(ONE_LEAF_S))))
            self._workers.stop(["database"], min(2 * DATABASE_S, self.left_s()))
        if not published:
            raise WorkError("not everything is published; start again or run recover")

    def _tell(self, role: str, line: bytes) -> None:
        worker = self._workers.children().get(role)
        if worker is not None:
            worker.tell(line)

    def kill(self) -> None:
        """End whatever still runs, at once."""
        for child in self._workers.running().values():
            child.stop(0.5)

    def _spawn(self, role: str) -> children.Child:
        config = self._config
        if role == "recorder":
            known = {"banned_until_ns": self._banned_until_ns(), "known_ns": self._known_ns()}
            config = msgspec.structs.replace(config, **known)
        environ = {CONFIG_VARIABLE: msgspec.json.encode(config).decode()}
        if config.metrics_dir is not None:
            environ[SHARED] = config.metrics_dir
        if self._wait_to_begin:
            environ[children.WAIT_TO_BEGIN] = "1"
        return children.start(role, [WORKERS, role], environ)

    def _pass_on(self) -> None:
        """Carry messages: questions to the venue, answers to both, renewals to the recorder."""
        workers = self._workers.children()
        for child in workers.values():
            for line in child.messages():
                self._receive(messages.decode_message(line), workers["recorder"])
        while not self._heads.empty():
            heads = self._heads.get()
            for symbol, head in heads.items():
                self.account.head(symbol, head, None)
            for line in messages.heads(heads):
                for role in ("recorder", "processor"):
                    workers[role].tell(line)

    def _receive(self, message: messages.Message | None, recorder: children.Child) -> None:
        match message:
            case messages.ProbeRequest(symbols):
                self.ask(symbols)
            case messages.Opened(symbols):
                self.account.opened(symbols, self._wall_ns())
            case messages.Refused(symbols, reason):
                self.account.refused(symbols, reason)
            case messages.Heard(symbols):
                self.account.heard(symbols)
            case messages.Renew(symbols):
                log.warning("subscribed but not delivered", venue=self._config.venue, symbols=symbols)
                for renewal in messages.renew(symbols):
                    recorder.tell(renewal)

    def _log_death(self, role: str, child: children.Child, code: int, wait_s: float) -> None:
        log.error("worker died", role=role, pid=child.pid, exit_code=code, again_in_s=wait_s)

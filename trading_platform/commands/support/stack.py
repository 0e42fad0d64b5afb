"""Start, supervise and stop the processes of `up`: ingest, Dagster, and simulators if no venue is configured.

Imports no Dagster. Arguments, locks and output are commands/up.py; Dagster's own processes are
orchestration/dagster_services.py.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from trading_platform.domain.errors import LOCKED, UsageError, WorkError
from trading_platform.orchestration.dagster_home import prepare
from trading_platform.processes import process_tree as processes
from trading_platform.processes.service_supervisor import Service, ServiceSupervisor, open_log

HOST = "127.0.0.1"
DAGSTER = "dagster"

_SIMULATOR_S = 20.0
_RECORDING_S = 6.0
_STOP_INGEST_S = 30.0
_STOP_DAGSTER_S = 28.0
_STOP_ALL_S = 43.0
_STOP_REST_S = 2.0
_TRIM_EVERY_S = 600.0

Wait = Callable[[float], bool]
"""Waits this many seconds; True when it is time to stop."""


class Recorded(NamedTuple):
    """A venue to record; addresses are the simulator's, or None for those of the settings."""

    venue: str
    symbols: tuple[str, ...]
    ws_url: str | None = None
    rest_url: str | None = None

    @property
    def service(self) -> str:
        """The name of the process that records it."""
        return f"ingest-{self.venue}"

    @property
    def simulator(self) -> str:
        """The name of the process that plays it."""
        return f"simulator-{self.venue}"


SYNTHETIC = Recorded("binance", ("BTC-USDT", "ETH-USDT", "SOL-USDT"))
"""What is recorded from the simulator if the settings name no venue."""


class Platform:
    """All processes of one data directory.

    Parameters
    ----------
    root : the data directory, absolute.
    recorded : what to record; empty to only show stored data. With `simulated`, a simulator of each venue is started.
    port : of the UI, None for none.

    Attributes
    ----------
    began_ns : wall time of the start; anything written before belongs to an earlier run.
    """

    def __init__(
        self,
        root: Path,
        recorded: tuple[Recorded, ...],
        *,
        simulated: bool,
        port: int | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.root = root
        self.recorded = recorded
        self.simulated = simulated
        self.port = port
        self.home = prepare(root)
        self.supervisor = ServiceSupervisor(monotonic=monotonic)
        self._monotonic = monotonic
        self._trimmed = monotonic()
        self.began_ns = time.time_ns()
        self._environ = {**os.environ, "TRADING_PLATFORM_DATA_DIR": str(root)}

    def start(self, wait: Wait) -> None:
        """Start the simulators, ingest, and Dagster once ingest records.

        Raises
        ------
        UsageError : with ingest's message, if it refuses to start.
        """
        processes.adopt_orphans()
        if self.simulated:
            self.recorded = tuple(self._simulate(recorded) for recorded in self.recorded)
        for recorded in self.recorded:
            self.supervisor.add(self._service(recorded.service, *self._ingest(recorded)))
        self._until_recording(wait)
        port = () if self.port is None else ("--port", str(self.port))
        words = ("-m", "trading_platform.orchestration.dagster_services", "--home", str(self.home), *port)
        self.supervisor.add(self._service(DAGSTER, *words))

    def keep_up(self) -> None:
        """Restart services that died.

        Raises
        ------
        UsageError : with ingest's message, if it refuses its configuration: a restart would not help.
        """
        self._check_refused()
        if DAGSTER in self.supervisor.keep_up():
            # The parent of these runs died and this process adopted them: end them.
            processes.end(self._strays, _STOP_REST_S)
        processes.reap()
        if self._monotonic() - self._trimmed > _TRIM_EVERY_S:
            self._trimmed = self._monotonic()
            self.supervisor.trim_logs()

    def ui_answers(self) -> bool:
        """Tell whether the UI can be opened."""
        if self.port is None:
            return False
        with socket.socket() as probe:
            probe.settimeout(0.5)
            return probe.connect_ex((HOST, self.port)) == 0

    def stop(self) -> None:
        """Stop ingest and its children, then Dagster and its runs, then the simulators; leave no process."""
        deadline = self._monotonic() + _STOP_ALL_S
        self.supervisor.stop([recorded.service for recorded in self.recorded], _STOP_INGEST_S)
        self.supervisor.stop([DAGSTER], max(5.0, min(_STOP_DAGSTER_S, deadline - self._monotonic() - _STOP_REST_S)))
        self.supervisor.stop([recorded.simulator for recorded in self.recorded], _STOP_REST_S)
        processes.end_all(_STOP_REST_S)

    def log_of(self, service: str) -> Path:
        """Return where a process's output goes."""
        return self.root / "run" / "logs" / f"{service}.log"

    def _service(self, name: str, *words: str) -> Service:
        return Service(name, (sys.executable, *words), self._environ, self.log_of(name))

    def _ingest(self, recorded: Recorded) -> list[str]:
        words = ["-m", "trading_platform", "ingest", "--venue", recorded.venue]
        words += ["--symbols", ",".join(recorded.symbols), "--data-dir", str(self.root)]
        if not self.simulated:
            return words  # addresses may contain credentials: ingest reads them from the settings
        return [*words, "--ws-url", str(recorded.ws_url), "--rest-url", str(recorded.rest_url), "--simulated"]

    def _simulate(self, recorded: Recorded) -> Recorded:
        """Start its simulator, on ports that stay the same after a restart; return it with the addresses."""
        words = ["-m", "trading_platform", "simulate", "--venue", recorded.venue, "--port", str(free_pair())]
        service = self._service(recorded.simulator, *words)
        with open_log(self.log_of(recorded.simulator)) as log:
            first = processes.start(service.command, env=self._environ, stdout=subprocess.PIPE, stderr=log)
        assert first.stdout is not None
        urls = _first_line(first.stdout, _SIMULATOR_S)
        if urls is None:
            raise WorkError(f"the simulator did not start (see {self.log_of(recorded.simulator)})")
        self.supervisor.take(service, first)
        return recorded._replace(ws_url=urls["ws_url"], rest_url=urls["rest_url"])

    def _until_recording(self, wait: Wait) -> None:
        """Wait until the log has been written: Dagster's start takes all CPUs, so recording starts first."""
        deadline = self._monotonic() + _RECORDING_S
        while not self.writing() and self._monotonic() < deadline and not wait(0.1):
            self._check_refused()

    def _check_refused(self) -> None:
        for recorded in self.recorded:
            if self.supervisor.exit_code(recorded.service) == 2:
                words = _last_line(self.log_of(recorded.service))
                if LOCKED not in words:  # another ingest holds the lock: this one takes over when it ends
                    raise UsageError(words)

    def writing(self) -> bool:
        """Tell whether every venue's lane of the log has been written since the start."""
        return all(any(map(self._is_new, (self.root / "log" / f"live-{r.venue}").glob("*.seg"))) for r in self.recorded)

    def _is_new(self, segment: Path) -> bool:
        try:
            return segment.stat().st_mtime_ns >= self.began_ns
        except FileNotFoundError:  # sealed meanwhile
            return False

    def _strays(self) -> list[int]:
        kept = set(self.supervisor.pids())
        for pid in list(kept):
            kept.update(processes.descendants(pid))
        return [pid for pid in processes.descendants() if pid not in kept]


def free_port(port: int) -> int:
    """Return the port, or any free one for 0.

    Raises
    ------
    UsageError : if it is in use.
    """
    with socket.socket() as probe:
        # Like the webserver: a port with connections only in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            raise UsageError(f"port {port} is in use; give another with --port, or --port 0 for any") from None
        return int(probe.getsockname()[1])


def free_pair() -> int:
    """Return the first of two neighbouring free ports."""
    for _ in range(50):
        port = free_port(0)
        try:
            free_port(port + 1)
        except UsageError:
            continue
        return port
    raise WorkError("found no two neighbouring free ports")


def _first_line(stream: IO[bytes], within_s: float) -> Mapping[str, str] | None:
    """Return the JSON object in a child's first line of output, None if it does not come in time."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        line = stream.readline() if selector.select(within_s) else b""
    try:
        found: Mapping[str, str] = json.loads(line)
    except ValueError:
        return None
    return found


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "ingest refused to start")
    return last.removeprefix("trading-platform: ")

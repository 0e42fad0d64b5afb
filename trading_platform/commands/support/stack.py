"""Start, supervise and stop the processes of `up`: ingest, Dagster, and the simulator if no venue is configured.

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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

from trading_platform.domain.errors import LOCKED, UsageError, WorkError
from trading_platform.orchestration.dagster_home import home_of
from trading_platform.processes import process_tree as processes
from trading_platform.processes.service_supervisor import Service, ServiceSupervisor, open_log
from trading_platform.telemetry import SHARED

HOST = "127.0.0.1"
DAGSTER = "dagster"
SIMULATOR = "simulator"

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


class Platform:
    """All processes of one data directory.

    Parameters
    ----------
    root : the data directory, absolute.
    recorded : what to record; empty to only show stored data, or what the simulator plays.
    simulated : whether the data are.
    plays : exchanges that the simulator plays, () for all that it can, None for no simulator.
    port : of the UI, None for none.
    metrics : folder that the workers of every ingest write their metrics into; None: they measure nothing.

    Attributes
    ----------
    began_ns : wall time of the start; anything written before belongs to an earlier run.
    """

    def __init__(
        self,
        root: Path,
        recorded: tuple[Recorded, ...] = (),
        *,
        simulated: bool,
        plays: Sequence[str] | None = None,
        port: int | None,
        metrics: Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.root = root
        self.recorded = recorded
        self.simulated = simulated
        self.plays = plays
        self.port = port
        self.home = home_of(root)
        self.supervisor = ServiceSupervisor(monotonic=monotonic)
        self._monotonic = monotonic
        self._trimmed = monotonic()
        self.began_ns = time.time_ns()
        self._environ = {**os.environ, "TRADING_PLATFORM_DATA_DIR": str(root)}
        if metrics is not None:  # one folder of all: `up` serves it, no ingest does
            self._environ[SHARED] = str(metrics)

    def start(self, wait: Wait) -> None:
        """Start the simulator, ingest, and Dagster once ingest records.

        Raises
        ------
        UsageError : with its message, if ingest or the simulator refuses to start.
        """
        processes.adopt_orphans()
        wanted = self.recorded
        if self.plays is not None:
            # One first: all at once, none would record within three seconds. A simulated market loses nothing by it,
            # because REST serves what was traded before.
            first, *rest = self._simulate(self.plays)
            self._record([first], wait)
            wanted = tuple(rest)
        self._record(wanted, wait)
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
        """Stop ingest and its children, then Dagster and its runs, then the simulator; leave no process."""
        deadline = self._monotonic() + _STOP_ALL_S
        self.supervisor.stop([recorded.service for recorded in self.recorded], _STOP_INGEST_S)
        self.supervisor.stop([DAGSTER], max(5.0, min(_STOP_DAGSTER_S, deadline - self._monotonic() - _STOP_REST_S)))
        self.supervisor.stop([SIMULATOR], _STOP_REST_S)
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

    def _record(self, wanted: Sequence[Recorded], wait: Wait) -> None:
        """Start recording; return once all of these are in the log, or it takes too long."""
        for recorded in wanted:
            self.supervisor.add(self._service(recorded.service, *self._ingest(recorded)))
        self.recorded = (*(each for each in self.recorded if each not in wanted), *wanted)
        self._until_recording(wanted, wait)

    def _simulate(self, plays: Sequence[str]) -> tuple[Recorded, ...]:
        """Start the simulator; return what it plays. After a restart it has the same addresses."""
        words = ("-m", "trading_platform.commands.workers.simulators")
        log = self.log_of(SIMULATOR)
        with open_log(log) as stderr:
            first = processes.start(
                (sys.executable, *words, *plays), env=self._environ, stdout=subprocess.PIPE, stderr=stderr
            )
        assert first.stdout is not None
        told = _first_line(first.stdout, _SIMULATOR_S)
        if told is None:
            if processes.wait_or_kill(first, _STOP_REST_S) == 2:
                raise UsageError(_last_line(log))
            raise WorkError(f"the simulator did not start (see {log})")
        again = [f"{venue}={urlsplit(at['ws_url']).port},{urlsplit(at['rest_url']).port}" for venue, at in told.items()]
        self.supervisor.take(self._service(SIMULATOR, *words, *again), first)
        return tuple(Recorded(venue, tuple(at["symbols"]), at["ws_url"], at["rest_url"]) for venue, at in told.items())

    def _until_recording(self, recorded: Sequence[Recorded], wait: Wait) -> None:
        """Wait until the log has been written: what is started next takes all CPUs, so recording starts first."""
        deadline = self._monotonic() + _RECORDING_S
        while not self.writing(recorded) and self._monotonic() < deadline and not wait(0.1):
            self._check_refused()

    def _check_refused(self) -> None:
        for recorded in self.recorded:
            if self.supervisor.exit_code(recorded.service) == 2:
                words = _last_line(self.log_of(recorded.service))
                if LOCKED not in words:  # another ingest holds the lock: this one takes over when it ends
                    raise UsageError(words)

    def not_ready(self) -> str | None:
        """Return which venues are not recorded yet, in one line; None once each is."""
        waiting = [recorded.venue for recorded in self.recorded if not self.writing([recorded])]
        return f"not recorded yet: {', '.join(waiting)}" if waiting or not self.recorded else None

    def writing(self, recorded: Sequence[Recorded]) -> bool:
        """Tell whether the lane of each of these venues has been written since the start."""
        return all(any(map(self._is_new, (self.root / "log" / f"live-{r.venue}").glob("*.seg"))) for r in recorded)

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


def _first_line(stream: IO[bytes], within_s: float) -> Mapping[str, Any] | None:
    """Return the JSON object in a child's first line of output, None if it does not come in time."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        line = stream.readline() if selector.select(within_s) else b""
    try:
        found: Mapping[str, Any] = json.loads(line)
    except ValueError:
        return None
    return found


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "it refused to start")
    return last.removeprefix("trading-platform: ")

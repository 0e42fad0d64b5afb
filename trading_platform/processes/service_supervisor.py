"""Keep programs running that are stopped by a signal, each with a log of bounded size.

Starting again and stopping is supervisor.py. Which programs, and in which order they stop, is dagster_services.py
(Dagster's own) and commands/support/stack.py (everything).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from trading_platform.processes import process_tree as processes
from trading_platform.processes.supervisor import RestartPolicy, Supervisor

POLICY = RestartPolicy(waits_s=(1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0), steady_s=60.0)

_OLD_LOG_BYTES = 16 << 20


class Service(NamedTuple):
    """A program to keep running.

    Attributes
    ----------
    name : for messages.
    command : the words that start it.
    environ : its environment, ours if None.
    log : where its output goes; None: where ours goes.
    stop_signal : what tells it to stop in order.
    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] | None = None
    log: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM


class ServiceProcess:
    """A service that runs."""

    def __init__(self, service: Service, process: subprocess.Popen[bytes]) -> None:
        self.service = service
        self._process = process

    @classmethod
    def start(cls, service: Service) -> ServiceProcess:
        """Start a service, tied to this process."""
        if service.log is None:
            return cls(service, processes.start(service.command, env=service.environ))
        with open_log(service.log) as log:
            child = processes.start(service.command, env=service.environ, stdout=log, stderr=subprocess.STDOUT)
        return cls(service, child)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ended(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """Send its signal."""
        self._process.send_signal(self.service.stop_signal)

    def finish(self, within_s: float) -> int:
        """Wait for its end, kill it if that takes too long; return the exit code."""
        return processes.wait_or_kill(self._process, within_s)


class ServiceSupervisor:
    """Runs services until they are stopped by name.

    Parameters
    ----------
    say : where a death is told.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        say: Callable[[str], object] = lambda text: print(text, file=sys.stderr, flush=True),
    ) -> None:
        self._say = say
        self._services: Supervisor[ServiceProcess] = Supervisor(POLICY, on_death=self._tell, monotonic=monotonic)

    def add(self, service: Service) -> None:
        """Start a service and keep it running from now on."""
        self._services.add(service.name, partial(ServiceProcess.start, service))

    def take(self, service: Service, child: subprocess.Popen[bytes]) -> None:
        """Keep a service running whose first process is running already."""
        self._services.add(service.name, partial(ServiceProcess.start, service), ServiceProcess(service, child))

    def keep_up(self) -> list[str]:
        """Start again what died and is due; return the names of what was found dead."""
        return self._services.keep_up()

    def trim_logs(self) -> None:
        """Put big logs aside, so that what runs for years keeps a bounded past."""
        for child in self._services.children().values():
            log = child.service.log
            if log is not None and log.exists() and log.stat().st_size > _OLD_LOG_BYTES:
                # Copied and emptied, not renamed: children go on appending to the file they have open.
                shutil.copyfile(log, log.with_suffix(".log.old"))
                os.truncate(log, 0)

    def pids(self) -> list[int]:
        """Return the processes that run."""
        return [child.pid for child in self._services.running().values()]

    def pid(self, name: str) -> int | None:
        """Return a service's process, None while it does not run."""
        child = self._services.running().get(name)
        return None if child is None else child.pid

    def exit_code(self, name: str) -> int | None:
        """Return how a service ended, None while it runs or waits to be started again."""
        return self._services.exit_code(name)

    def stop(self, names: Sequence[str], within_s: float) -> dict[str, int]:
        """Stop services, all at once, and keep them no more; return their exit codes: what had to be killed has -9."""
        return self._services.stop(names, within_s)

    def _tell(self, name: str, child: ServiceProcess, code: int, wait_s: float) -> None:
        where = "" if child.service.log is None else f" (see {child.service.log})"
        self._say(f"{name} ended with {code}; it is started again in {wait_s:.0f} s{where}")


def open_log(path: Path) -> IO[bytes]:
    """Open a log for appending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")

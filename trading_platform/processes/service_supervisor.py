"""Keep child processes running: start again what dies, waiting longer each time. Imports no Dagster.

Which children, and in which order they stop, is dagster_services.py (Dagster's own) and stack.py (everything).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from trading_platform.processes import process_tree as processes

LONGEST_WAIT_S = 30.0
STEADY_S = 60.0
"""Who has lived this long is trusted again: the next wait is short."""

_OLD_LOG_BYTES = 16 << 20


class Service(NamedTuple):
    """A child to keep running.

    Attributes
    ----------
    name : for messages, and of its log.
    command : the words that start it.
    environ : its environment, ours if None.
    log : where its output goes; None: where ours goes.
    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] | None = None
    log: Path | None = None


class _Kept:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.child: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.deaths = 0
        self.due = 0.0


class Keeper:
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
        self._monotonic = monotonic
        self._say = say
        self._kept: dict[str, _Kept] = {}

    def add(self, service: Service) -> None:
        """Start a service and keep it running from now on."""
        kept = self._kept[service.name] = _Kept(service)
        self._start(kept)

    def take(self, service: Service, child: subprocess.Popen[bytes]) -> None:
        """Keep a service running whose first process is running already."""
        kept = self._kept[service.name] = _Kept(service)
        kept.child, kept.started = child, self._monotonic()

    def keep_up(self) -> list[str]:
        """Start again what died and is due; return the names of what was found dead."""
        dead = []
        for kept in self._kept.values():
            if kept.child is not None and kept.child.poll() is not None:
                self._note_death(kept, kept.child.returncode)
                dead.append(kept.service.name)
            elif kept.child is None and self._monotonic() >= kept.due:
                self._start(kept)
        return dead

    def trim_logs(self) -> None:
        """Put big logs aside, so that what runs for years keeps a bounded past."""
        for kept in self._kept.values():
            log = kept.service.log
            if log is not None and log.exists() and log.stat().st_size > _OLD_LOG_BYTES:
                # Copied and emptied, not renamed: children go on appending to the file they have open.
                shutil.copyfile(log, log.with_suffix(".log.old"))
                os.truncate(log, 0)

    def pids(self) -> list[int]:
        """Return the processes that run."""
        return [k.child.pid for k in self._kept.values() if k.child is not None and k.child.poll() is None]

    def pid(self, name: str) -> int | None:
        """Return a service's process, None while it does not run."""
        kept = self._kept.get(name)
        return kept.child.pid if kept is not None and kept.child is not None and kept.child.poll() is None else None

    def exit_code(self, name: str) -> int | None:
        """Return how a service ended, None while it runs."""
        child = self._kept[name].child
        return None if child is None else child.poll()

    def stop(self, names: Sequence[str], within_s: float, number: signal.Signals = signal.SIGTERM) -> list[str]:
        """Stop services, all at once, and keep them no more; return the names of those that had to be killed."""
        kept = [self._kept.pop(name) for name in names if name in self._kept]
        children = {k.service.name: k.child for k in kept if k.child is not None and k.child.poll() is None}
        for child in children.values():
            child.send_signal(number)
        deadline = self._monotonic() + within_s
        killed = []
        for name, child in children.items():
            try:
                child.wait(max(0.0, deadline - self._monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                killed.append(name)
        return killed

    def _start(self, kept: _Kept) -> None:
        service = kept.service
        kept.started = self._monotonic()
        if service.log is None:
            kept.child = processes.start(service.command, env=service.environ)
            return
        with open_log(service.log) as log:
            kept.child = processes.start(service.command, env=service.environ, stdout=log, stderr=subprocess.STDOUT)

    def _note_death(self, kept: _Kept, code: int) -> None:
        now = self._monotonic()
        kept.child = None
        kept.deaths = 0 if now - kept.started > STEADY_S else kept.deaths + 1
        wait = min(2.0 ** max(kept.deaths - 1, 0), LONGEST_WAIT_S)
        kept.due = now + wait
        where = "" if kept.service.log is None else f" (see {kept.service.log})"
        self._say(f"{kept.service.name} ended with {code}; it is started again in {wait:.0f} s{where}")


def open_log(path: Path) -> IO[bytes]:
    """Open a log for appending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")

"""Keep child processes running: start, watch, start again after waits that grow, end all within one span of time.

Whatever can be asked to stop can be a child: a worker with pipes (worker_process.py), a program with a log
(service_supervisor.py). Which children there are, and in which order they stop, is for the owner of a supervisor.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar


class ChildProcess(Protocol):
    """A running child."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    def ended(self) -> int | None:
        """Return the exit code, None while it runs."""
        ...

    def ask_to_stop(self) -> None:
        """Ask it to stop in order."""
        ...

    def finish(self, within_s: float) -> int:
        """Wait for its end, kill it if that takes too long, and let go of what belonged to it; return the exit code."""
        ...


C = TypeVar("C", bound=ChildProcess)


class RestartPolicy(NamedTuple):
    """How long to wait before a child is started again.

    Attributes
    ----------
    waits_s : after a child that had lived long, after the first that had not, after the second in a row, and so on;
        the last one counts from then on.
    steady_s : a child that has lived longer than this has lived long.
    """

    waits_s: tuple[float, ...]
    steady_s: float

    def wait_s(self, quick_deaths: int) -> float:
        """Return the wait after so many deaths in a row of children that had not lived long."""
        return self.waits_s[min(quick_deaths, len(self.waits_s) - 1)]


@dataclass
class _Entry(Generic[C]):
    start: Callable[[], C]
    child: C
    started: float
    quick_deaths: int = 0
    due: float | None = None  # when the next one is started; None while this one counts as running


class Supervisor(Generic[C]):
    """Runs children until they are stopped by name.

    Parameters
    ----------
    on_death : told of a child that ended by itself: its name, the child, its exit code, the wait before the next one.
    """

    def __init__(
        self,
        policy: RestartPolicy,
        *,
        on_death: Callable[[str, C, int, float], object],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy, self._on_death, self._monotonic = policy, on_death, monotonic
        self._entries: dict[str, _Entry[C]] = {}

    def add(self, name: str, start: Callable[[], C], first: C | None = None) -> None:
        """Start a child, if `first` does not run already, and keep it running from now on."""
        started = self._monotonic()
        self._entries[name] = _Entry(start, start() if first is None else first, started)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def children(self) -> dict[str, C]:
        """Return the newest child of each name, whether it runs or not."""
        return {name: entry.child for name, entry in self._entries.items()}

    def running(self) -> dict[str, C]:
        """Return the children that run."""
        return {name: child for name, child in self.children().items() if child.ended() is None}

    def exit_code(self, name: str) -> int | None:
        """Return how a child ended that `keep_up` has not looked at since, else None."""
        entry = self._entries[name]
        return entry.child.ended() if entry.due is None else None

    def keep_up(self) -> list[str]:
        """Start again what died and is due; return the names of what was found dead."""
        dead = []
        for name, entry in self._entries.items():
            now = self._monotonic()
            if entry.due is None:
                code = entry.child.ended()
                if code is not None:
                    self._note_death(name, entry, code, now)
                    dead.append(name)
            elif now >= entry.due:
                entry.child, entry.started, entry.due = entry.start(), now, None
        return dead

    def restart(self, name: str, within_s: float) -> None:
        """Stop a child in order; the next `keep_up` starts another."""
        entry = self._entries[name]
        entry.child.ask_to_stop()
        entry.child.finish(within_s)
        entry.due = self._monotonic()

    def stop(self, names: Iterable[str], within_s: float) -> dict[str, int]:
        """Stop children, all at once, and keep them no more; return the exit codes of those that are known."""
        entries = {name: self._entries[name] for name in names if name in self._entries}
        for entry in entries.values():
            entry.due = math.inf
            entry.child.ask_to_stop()
        deadline = self._monotonic() + within_s
        return {name: e.child.finish(max(0.0, deadline - self._monotonic())) for name, e in entries.items()}

    def _note_death(self, name: str, entry: _Entry[C], code: int, now: float) -> None:
        entry.child.finish(0.0)
        entry.quick_deaths = 0 if now - entry.started > self._policy.steady_s else entry.quick_deaths + 1
        wait_s = self._policy.wait_s(entry.quick_deaths)
        entry.due = now + wait_s
        self._on_death(name, entry.child, code, wait_s)

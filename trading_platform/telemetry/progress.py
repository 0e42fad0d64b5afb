"""A progress line for a person: on stderr, only if stderr is a terminal, never in a log or a result."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO


class Progress:
    """Show the progress of a long task.

    Parameters
    ----------
    what : what is being done, for example "decoding".
    total : how many steps there are, None if unknown.
    stream : stderr by default; nothing is written if it is not a terminal.
    clock : seconds, monotonic; the line is rewritten at most ten times a second.

    Examples
    --------
    >>> import io
    >>> with Progress("decoding", total=2, stream=io.StringIO()) as progress:
    ...     progress.advance()
    >>> progress.done
    1
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self._stream = sys.stderr if stream is None else stream
        self._shown = self._stream.isatty()
        self._clock = clock
        self._next = 0.0

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count `steps` more as done; `note` names the one just finished."""
        self.done += steps
        of = "" if self.total is None else f"/{self.total}"
        self.show(f"{self.done}{of} {note}")

    def show(self, told: str) -> None:
        """Rewrite the line without counting anything."""
        if self._shown and self._clock() >= self._next:
            self._next = self._clock() + 0.1
            self._stream.write(f"\r\x1b[K{self.what} {told}"[:120])
            self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


class Steps:
    """Shows on a progress line how many of a number of equal steps are done, and how long the others take.

    Examples
    --------
    >>> import io
    >>> class Terminal(io.StringIO):
    ...     def isatty(self) -> bool:
    ...         return True
    >>> times, out = iter([0.0, 30.0]), Terminal()
    >>> Steps(Progress("fetching", stream=out, clock=lambda: 1.0), "BTC-USDT", "pages", 3, lambda: next(times)).step()
    >>> out.getvalue().rpartition("K")[2]
    'fetching BTC-USDT: 1 of 3 pages, 0:01:00 left'
    """

    def __init__(self, progress: Progress, about: str, unit: str, total: int, clock: Callable[[], float]) -> None:
        self._progress, self._about, self._unit, self._total, self._clock = progress, about, unit, total, clock
        self._begun, self._done = clock(), 0

    def step(self) -> None:
        """Count one step as done."""
        self._done += 1
        left = max(0, self._total - self._done)
        left_s = (self._clock() - self._begun) / self._done * left
        self._progress.show(f"{self._about}: {self._done:,} of {self._total:,} {self._unit}, {clock_of(left_s)} left")


def clock_of(seconds: float) -> str:
    """Return a duration as people read it from a clock.

    >>> clock_of(59.6), clock_of(3725)
    ('0:01:00', '1:02:05')
    """
    minutes, left = divmod(round(min(max(seconds, 0.0), 3.6e9)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{left:02d}"

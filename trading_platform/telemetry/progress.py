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

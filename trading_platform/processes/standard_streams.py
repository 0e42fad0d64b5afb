"""Standard streams that may be closed, full or gone when a process starts, or become so.

What a command prints on stdout is its result: where that cannot be written, the command has failed (cli.py). stderr is
for people: what cannot be written there is lost, and the work goes on.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, TextIO, cast


def reserve() -> bool:
    """Give closed standard streams a place to go; tell whether stdout had one.

    Without it the next file that is opened gets the number of the closed stream, and what is printed ends in that file.
    """
    told = True
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
            told = told and number != 1
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  for as long as the process lives
    stderr = open(2, "w", encoding="utf-8", closefd=False) if sys.stderr is None else sys.stderr  # noqa: SIM115
    sys.stderr = cast("TextIO", _Tolerant(stderr))
    return told


def let_go() -> None:
    """Drop what stdout and stderr still hold and do not take: Python would complain of it at its end."""
    for number, stream in ((1, sys.stdout), (2, sys.__stderr__)):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)


class _Tolerant:
    """A text stream that loses what cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

"""Child processes that end when their parent does, however it ends: each reads a pipe that only its parent can write.

A byte means stop in order; the end of the pipe means that the parent is dead. Not SIGTERM: a child that is still
importing has no handler yet and would die of it with work left undone.

Who starts which child is supervisor.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

PARENT_PIPE = "TP_PARENT_PIPE"
"""Environment variable with the descriptor (not under the settings' prefix, where unknown names are errors)."""


class Child:
    """A running worker process."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], pipe: int) -> None:
        self.name = name
        self._process = process
        self._pipe = pipe

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def ended(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._process.poll()

    def stop(self, within_s: float) -> int:
        """Ask it to stop in order; kill it if that takes too long. Return the exit code."""
        if self._process.poll() is None and self._pipe >= 0:
            with suppress(BrokenPipeError):  # it has just ended by itself
                os.write(self._pipe, b"s")
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._close()
        return code

    def _close(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def start(name: str, arguments: Sequence[str], environ: Mapping[str, str]) -> Child:
    """Start ``python -m <arguments>`` with a pipe to this process; `environ` is added to our environment.

    What may be secret goes there, never among the arguments, which every user of the machine can read.
    """
    read, write = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=2,  # stdout belongs to the parent's result
            pass_fds=(read,),
            env={**os.environ, **environ, PARENT_PIPE: str(read)},
            # A Ctrl-C at the terminal reaches the parent alone, which stops its children in order.
            start_new_session=True,
        )
    except BaseException:
        os.close(write)
        raise
    finally:
        os.close(read)
    return Child(name, process, write)


def obey_parent(*, stop: Callable[[], object], orphaned: Callable[[], object]) -> None:
    """Call `stop` when the parent asks for it and `orphaned` once the parent is gone, on a thread of its own.

    Does nothing without a parent that watches.
    """
    descriptor = os.environ.pop(PARENT_PIPE, None)
    if descriptor is None:
        return

    def watch(number: int) -> None:
        while os.read(number, 1):
            stop()
        orphaned()

    threading.Thread(target=watch, args=(int(descriptor),), name="parent-watch", daemon=True).start()

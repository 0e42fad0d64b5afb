"""Worker processes: started with pipes for messages both ways, and ended when their parent ends, however it ends.

Each worker reads a pipe that only its parent can write. The line ``s`` means stop in order, any other line is a
message; the end of the pipe means that the parent is dead. SIGTERM would not do: a worker that is still importing has
no handler yet and would die with work left undone. A second pipe takes the worker's messages to its parent. Neither
side ever waits for the other: a message that finds a pipe full is dropped, and its sender asks again.

Keeping children running is supervisor.py; what ingest and its workers say to each other is ingest/workers/messages.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from trading_platform.processes.process_tree import wait_or_kill

PARENT_PIPE = "TP_PARENT_PIPE"
"""Environment variable with the descriptor (not under the settings' prefix, where unknown names are errors)."""
CHILD_PIPE = "TP_CHILD_PIPE"
"""The same for what the child tells."""
WAIT_TO_BEGIN = "TP_WAIT_TO_BEGIN"
"""Set for a child that is to load what it needs and then wait for its parent's word."""
_STOP = b"s"
_BEGIN = b"b"
_MOST_BYTES = 1 << 16


class Child:
    """A running worker process."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], pipe: int, told: int) -> None:
        self.name = name
        self._process = process
        self._pipe = pipe
        self._told = told
        self._half = b""
        self._left: list[bytes] = []

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def ended(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._process.poll()

    def tell(self, message: bytes) -> bool:
        """Send one line; return whether it could be sent."""
        return self._pipe >= 0 and _write_line(self._pipe, message)

    def messages(self) -> list[bytes]:
        """Return the lines it has sent since the last call."""
        if self._told < 0:
            lines, self._left = self._left, []
            return lines
        data = self._half
        with suppress(BlockingIOError):
            while (piece := os.read(self._told, _MOST_BYTES)) and len(data) < _MOST_BYTES:
                data += piece
        *lines, self._half = data.split(b"\n")
        return lines

    def begin(self) -> None:
        """Let a child go on that was started to wait for this."""
        self.tell(_BEGIN)

    def stop(self, within_s: float) -> int:
        """Ask it to stop in order; kill it if that takes too long. Return the exit code."""
        self.ask_to_stop()
        return self.finish(within_s)

    def ask_to_stop(self) -> None:
        """Ask it to stop in order."""
        if self._process.poll() is None:
            self.tell(_STOP)

    def finish(self, within_s: float) -> int:
        """Wait for its end, kill it if that takes too long, and close the pipes; return the exit code."""
        code = wait_or_kill(self._process, within_s)
        if self._told >= 0:
            self._left = self.messages()
        self._close()
        return code

    def _close(self) -> None:
        for pipe in (self._pipe, self._told):
            if pipe >= 0:
                os.close(pipe)
        self._pipe = self._told = -1


def start(name: str, arguments: Sequence[str], environ: Mapping[str, str], *, descriptors: Sequence[int] = ()) -> Child:
    """Start ``python -m <arguments>`` with pipes to and from this process; `environ` is added to our environment.

    What may be secret goes there, never among the arguments, which every user of the machine can read.

    Parameters
    ----------
    descriptors : open files that the child keeps open, too, under the same numbers.
    """
    down, write = os.pipe()
    read, up = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=2,  # stdout belongs to the parent's result
            pass_fds=(down, up, *descriptors),
            env={**os.environ, **environ, PARENT_PIPE: str(down), CHILD_PIPE: str(up)},
            # A Ctrl-C at the terminal reaches the parent alone, which stops its children in order.
            start_new_session=True,
        )
    except BaseException:
        os.close(write)
        os.close(read)
        raise
    finally:
        os.close(down)
        os.close(up)
    os.set_blocking(write, False)
    os.set_blocking(read, False)
    return Child(name, process, write, read)


def may_begin() -> bool:
    """Wait for the parent's word if this child was started to wait for it; return False if it is to end instead."""
    if os.environ.pop(WAIT_TO_BEGIN, None) is None or PARENT_PIPE not in os.environ:
        return True
    return os.read(int(os.environ[PARENT_PIPE]), 2) == _BEGIN + b"\n"  # not a byte more: the rest is for obey_parent


def obey_parent(
    *,
    stop: Callable[[], object],
    orphaned: Callable[[], object],
    told: Callable[[bytes], object] = lambda message: None,
) -> None:
    """Call `stop` when the parent asks for it, `told` with its messages, `orphaned` once it is gone.

    All on one thread of its own. Does nothing without a parent that watches.
    """
    descriptor = os.environ.pop(PARENT_PIPE, None)
    if descriptor is None:
        return

    def watch(number: int) -> None:
        data = b""
        while piece := os.read(number, _MOST_BYTES):
            *lines, data = (data + piece).split(b"\n")
            for line in lines:
                if line == _STOP:
                    stop()
                else:
                    told(line)
        orphaned()

    threading.Thread(target=watch, args=(int(descriptor),), name="parent-watch", daemon=True).start()


def parent_teller() -> Callable[[bytes], bool]:
    """Return what sends one line to the parent, and tells whether it could; without a parent it cannot."""
    descriptor = os.environ.pop(CHILD_PIPE, None)
    if descriptor is None:
        return lambda message: False
    pipe = int(descriptor)
    os.set_blocking(pipe, False)
    return lambda message: _write_line(pipe, message)


class Outbox:
    """Lines for the parent that must not be dropped: those that find the pipe full are sent again.

    Parameters
    ----------
    tell : sends a line, and tells whether it could.
    """

    MOST = 2000

    def __init__(self, tell: Callable[[bytes], bool]) -> None:
        self._tell = tell
        self._lines: deque[bytes] = deque(maxlen=self.MOST)

    def put(self, lines: Iterable[bytes]) -> None:
        """Send these after what is still to be sent, now or at a later call."""
        self._lines.extend(lines)
        self.flush()

    def flush(self) -> None:
        """Send what can be sent now."""
        while self._lines and self._tell(self._lines[0]):
            self._lines.popleft()


def _write_line(pipe: int, message: bytes) -> bool:
    """Write a whole line or nothing: up to 4,096 bytes a pipe takes no part of."""
    assert b"\n" not in message and len(message) < 4096
    try:
        os.write(pipe, message + b"\n")
    except (BlockingIOError, BrokenPipeError):
        return False
    return True

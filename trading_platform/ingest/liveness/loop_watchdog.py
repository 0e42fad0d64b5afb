"""Notice a blocked event loop, from a thread of its own and on the monotonic clock.

A blocked loop receives nothing, sends no ping and cannot report it. After `WARN_S` an error is logged. After `ABORT_S`
the process ends, with the stack of every thread on stderr, and its supervisor starts another.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Literal, Self

from trading_platform.ingest.liveness.keepalive import PAUSE_S
from trading_platform.telemetry.logs import get_logger

log = get_logger(__name__)

WARN_S = 5.0
ABORT_S = 30.0
LOOK_S = 1.0
ABORT_EXIT = 70


class BeatCheck:
    """Decides whether the loop runs. Sans-I/O: the time of its last beat and now -> verdict.

    Examples
    --------
    >>> check = BeatCheck(warn_s=5.0, abort_s=30.0, pause_s=5.0)
    >>> [check.verdict(now, beat=0.0) for now in (1.0, 5.5, 9.0, 29.9)]
    [None, 'warn', None, None]

    If this thread did not run either, the whole process was paused, and the loop gets its time again.

    >>> check.verdict(100.0, beat=0.0), check.verdict(104.0, beat=0.0), check.verdict(106.0, beat=0.0)
    (None, None, 'warn')
    """

    def __init__(self, warn_s: float, abort_s: float, pause_s: float) -> None:
        self._warn_s, self._abort_s, self._pause_s = warn_s, abort_s, pause_s
        self._checked_at: float | None = None
        self._not_before = 0.0
        self._warned = False

    def verdict(self, now: float, beat: float) -> Literal["warn", "abort"] | None:
        """Tell what to do."""
        if self._checked_at is not None and now - self._checked_at > self._pause_s:
            self._not_before, self._warned = now, False
        self._checked_at = now
        blocked_s = now - max(beat, self._not_before)
        if blocked_s >= self._abort_s:
            return "abort"
        if blocked_s < self._warn_s:
            self._warned = False
        elif not self._warned:
            self._warned = True
            return "warn"
        return None


def end_process() -> None:
    """Print every thread's stack and end, without waiting for anything that may hang."""
    faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr, all_threads=True)
    os._exit(ABORT_EXIT)


class Watchdog:
    """Watches the loop that calls `beat`; a context manager.

    Parameters
    ----------
    abort : what ends the process.
    look_s, warn_s, abort_s : how often to look, and after how long a silence to do what.
    """

    def __init__(
        self,
        *,
        abort: Callable[[], object] = end_process,
        monotonic: Callable[[], float] = time.monotonic,
        look_s: float = LOOK_S,
        warn_s: float = WARN_S,
        abort_s: float = ABORT_S,
    ) -> None:
        self._abort, self._monotonic, self._look_s = abort, monotonic, look_s
        self._check = BeatCheck(warn_s, abort_s, max(PAUSE_S, 5 * look_s))
        self._beat = monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def beat(self) -> None:
        """Say that the loop runs."""
        self._beat = self._monotonic()

    async def keep_beating(self) -> None:
        """Beat as often as the event loop gets round to it, until cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(self._look_s)

    def _watch(self) -> None:
        while not self._stop.wait(self._look_s):
            now = self._monotonic()
            verdict = self._check.verdict(now, self._beat)
            if verdict is None:
                continue
            blocked_s = round(now - self._beat, 1)
            if verdict == "warn":
                log.error("event loop is blocked", blocked_s=blocked_s)
            else:
                log.critical("event loop is blocked: ending the process", blocked_s=blocked_s)
                self._abort()
                return

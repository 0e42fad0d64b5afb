"""Give a blocking call a deadline: run it on a thread of its own, and stop waiting when the time is over.

A socket's time-out counts from byte to byte, and a name lookup has none: a server that sends a byte every few seconds,
or a dead resolver, defeats it. The caller waits for the answer, for a deadline, or for being told to stop. A call that
was given up ends by itself once its connection is closed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
LOOK_EVERY_S = 0.05


class GivenUp(Exception):
    """The call did not return in time."""


class Call(Generic[T]):
    """One call on a thread of its own.

    Examples
    --------
    >>> Call(lambda: 7).within(lambda: 10.0)
    7
    >>> Call(threading.Event().wait).within(lambda: 0.0)
    Traceback (most recent call last):
      ...
    trading_platform.processes.call_deadline.GivenUp
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._ended: SimpleQueue[tuple[T] | BaseException] = SimpleQueue()
        self._call = call
        # A daemon thread: a call that was given up must not hold up the end of the process.
        threading.Thread(target=self._run, name="in-time", daemon=True).start()

    def _run(self) -> None:
        try:
            self._ended.put((self._call(),))
        except BaseException as error:  # noqa: BLE001  it is raised where the answer is waited for
            self._ended.put(error)

    def within(self, left_s: Callable[[], float]) -> T:
        """Return what the call returns, or raise what it raises.

        Parameters
        ----------
        left_s : asked again and again how many seconds are left. It may raise: then the call is given up, too.

        Raises
        ------
        GivenUp : if none are.
        """
        while True:
            left = left_s()
            try:
                ended = self._ended.get(timeout=max(0.0, min(LOOK_EVERY_S, left)))
            except Empty:
                if left <= 0:
                    raise GivenUp from None
                continue
            if isinstance(ended, BaseException):
                raise ended
            return ended[0]

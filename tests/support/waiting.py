"""Wait for a condition with a deadline: the only way in which tests wait or sleep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], *, timeout_s: float = 20.0, every_s: float = 0.01, what: str = "") -> T:
    """Return the first truthy value of `condition`; fail loudly, naming `what`, when the deadline has passed."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"still not so after {timeout_s} s: {what or condition!r}; last value {value!r}")
        pause.wait(every_s)

"""Give memory back to the system between bursts of work, for a worker that rests most of the time.

Arrow's own allocator keeps what a burst needed, and a little more after each: measured on growing leaves, a publisher
rose from 116 to 149 MB at rest and to 197 MB at work. With the C library's, trimmed after each burst, it stays at 99
and 124 MB and is no slower. Which worker does this is commands/workers/ingest_worker.py.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress


def use_system_allocator() -> bool:
    """Have Arrow take its memory from the C library; what a user chose stays.

    Returns
    -------
    bool : False if pyarrow is loaded already and has made its choice.
    """
    if "pyarrow" in sys.modules:
        return False
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    return True


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    with open("/proc/self/statm", "rb") as told:
        return int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def give_back() -> None:
    """Return freed memory to the system: a few milliseconds. Does nothing where the C library has no call for it."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)

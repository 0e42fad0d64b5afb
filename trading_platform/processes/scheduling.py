"""Give the recorder priority for CPU and disk over workers whose data is already safe.

Correctness never depends on this: what a system lacks or does not allow is left out. Which worker asks for what is
commands/workers/ingest_worker.py.

Niceness alone is not enough: each worker leads a session of its own, and where the kernel groups processes by session
(`sched_autogroup_enabled`) niceness counts only within a session. So the recorder's session gets it as well. The
sessions of the others keep their share: on a machine busy with other programs they would hardly run at all, and a stop
waits for them.

Even a process of the highest priority can be preempted, and the other one then runs until the next clock tick, 4 ms. So
background workers are kept off one CPU: there they cannot preempt the recorder.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from contextlib import suppress
from pathlib import Path

SLICE_NS = 100_000
"""The recorder works in short bursts. A process that asks for short slices preempts longer ones (Linux 6.12)."""
FIRST, SOON, LAST = -20, -5, 5
_AUTOGROUP = Path("/proc/self/autogroup")
_ATTRIBUTES = struct.Struct("<IIQiIQQQ")
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_BEST_EFFORT = 2 << 13
_DISK_FIRST, _DISK_USUAL, _DISK_LAST = _BEST_EFFORT | 0, _BEST_EFFORT | 4, _BEST_EFFORT | 7
"""Not the idle class: on a busy disk it can wait ten seconds for each request."""


def come_first() -> None:
    """Run this process before others, as far as that is allowed, without waiting for their time slices to end."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, FIRST)
    if os.getsid(0) == os.getpid():  # else it would count for others too
        with suppress(OSError):
            _AUTOGROUP.write_text(str(FIRST))
    _ask_for_slices(SLICE_NS)
    _call(_IOPRIO_SET, 1, 0, _DISK_FIRST)


def come_last() -> None:
    """Run this process after others, never preempt them, and keep it off one CPU altogether."""
    with suppress(OSError):  # a process that was started with a higher niceness keeps it
        os.setpriority(os.PRIO_PROCESS, 0, max(LAST, os.getpriority(os.PRIO_PROCESS, 0)))
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with suppress(OSError, AttributeError):
        _leave_one_cpu()
    _call(_IOPRIO_SET, 1, 0, _DISK_LAST)


def come_soon() -> None:
    """Take back what `come_last` did, for all threads: the recorder has ended, and a stop waits for this process.

    Before other programs, as far as that is allowed, but after recorders of other venues.
    """
    every = range(os.cpu_count() or 1)
    for thread in map(int, os.listdir("/proc/self/task") if Path("/proc/self/task").exists() else ()):
        with suppress(OSError, AttributeError):
            os.sched_setaffinity(thread, every)
        with suppress(OSError, AttributeError):
            os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, SOON)
        _call(_IOPRIO_SET, 1, thread, _DISK_USUAL)


def _leave_one_cpu() -> None:
    """Never run on the last of our CPUs, if there are others: most interrupts go to the first ones."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) > 1:
        os.sched_setaffinity(0, allowed - {max(allowed)})


def _ask_for_slices(slice_ns: int) -> None:
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, 0, 0, nice, 0, slice_ns, 0, 0)
    _call(_SCHED_SETATTR, 0, ctypes.c_char_p(attributes), 0)


def _call(numbers: dict[str, int], *arguments: object) -> int:
    """Make a system call that the standard library has no name for; return 0 if it was made and did what it says."""
    number = numbers.get(platform.machine()) if os.uname().sysname == "Linux" else None
    if number is None:
        return -1
    return int(ctypes.CDLL(None).syscall(ctypes.c_long(number), *arguments))

"""A burst of work leaves no memory behind, in a process that gives it back; in one that does not, it does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from trading_platform.processes import memory as spare_memory

BURSTS = """
import sys
from trading_platform.processes import memory as spare_memory
gives = sys.argv[1] == "gives"
if gives:
    spare_memory.use_system_allocator()
import pyarrow as pa

def dirty():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))

pa.array([b"what is loaded by first use"])
before = dirty()
held = [pa.array([b"x" * 4000] * 5) for _ in range(5000)]
kept = held[::250]
held = None
if gives:
    spare_memory.give_back()
print(pa.default_memory_pool().backend_name, dirty() - before)
"""


def burst(how: str) -> tuple[str, int]:
    done = subprocess.run([sys.executable, "-c", BURSTS, how], stdout=subprocess.PIPE, text=True, check=True)
    backend, left_kib = done.stdout.split()
    return backend, int(left_kib)


@pytest.mark.process
def test_a_burst_leaves_nothing_behind() -> None:
    """A hundred megabytes in small pieces, of which one in 250 stays; the control keeps more than it needs."""
    backend, left = burst("gives")
    control, kept = burst("keeps")
    assert backend == "system" != control
    assert left < 8 << 10
    assert kept > 64 << 10


@pytest.mark.process
def test_the_choice_is_made_once() -> None:
    """Where Arrow is loaded, as it is here, its allocator is chosen; a worker that starts has not loaded it yet."""
    import pyarrow as pa  # noqa: F401

    assert not spare_memory.use_system_allocator()
    asked = "import sys; import trading_platform.commands.workers.ingest_worker; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == "False"

"""Who comes first: each wish is asked for in a process of its own, and the kernel is asked what it granted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

AUTOGROUP = Path("/proc/self/autogroup")
TOLD = """
import json, os, sys
from trading_platform.processes import scheduling as priority
before = os.getpriority(os.PRIO_PROCESS, 0)
getattr(priority, sys.argv[1])()
group = open("/proc/self/autogroup").read() if os.path.exists("/proc/self/autogroup") else ""
told = {"before": before, "nice": os.getpriority(os.PRIO_PROCESS, 0), "group": group}
on = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
print(json.dumps({**told, "batch": os.sched_getscheduler(0) == os.SCHED_BATCH, "on": on}))
"""


def wish(name: str, *, alone: bool = True, on: set[int] | None = None) -> dict[str, object]:
    narrow = "" if on is None else f"import os; os.sched_setaffinity(0, {on})\n"
    done = subprocess.run(
        [sys.executable, "-c", narrow + TOLD, name], stdout=subprocess.PIPE, check=True, start_new_session=alone
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.mark.process
def test_who_comes_last_is_nicer_and_never_interrupts() -> None:
    """Anybody may step back."""
    told = wish("come_last")
    assert isinstance(told["nice"], int)
    assert isinstance(told["before"], int)
    assert told["nice"] >= told["before"]
    assert told["batch"]


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may come first")
def test_who_comes_first_is_less_nice_where_that_is_allowed() -> None:
    """Root gets what it asks for."""
    told = wish("come_first")
    assert told["nice"] == -20
    assert not told["batch"]


@pytest.mark.process
@pytest.mark.skipif(not AUTOGROUP.exists() or os.geteuid() != 0, reason="this kernel does not group by session")
def test_the_session_comes_first_too_if_it_is_the_process_s_own() -> None:
    """Niceness counts only within a session; one that is shared is left alone, as is that of who comes last."""
    assert str(wish("come_first")["group"]).endswith("nice -20\n")
    assert str(wish("come_last")["group"]).endswith("nice 0\n")
    ours = AUTOGROUP.read_text()
    wish("come_first", alone=False)
    assert AUTOGROUP.read_text() == ours


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system keeps nobody off a processor")
def test_who_comes_last_leaves_one_processor_if_there_are_others() -> None:
    """What is allowed to us is not all of the machine; on a single processor everybody runs."""
    allowed = sorted(os.sched_getaffinity(0))
    assert wish("come_last")["on"] == (allowed[:-1] or allowed)
    assert wish("come_last", on={allowed[0]})["on"] == allowed[:1]
    assert wish("come_first")["on"] == allowed


@pytest.mark.process
def test_what_a_stop_waits_for_comes_before_others_again() -> None:
    """Stepping back is undone in all threads; who may not come before others at least runs on all processors."""
    script = TOLD.replace("getattr(priority, sys.argv[1])()", "priority.come_last(); PART").replace(
        "PART",
        "import threading; halt = threading.Event(); threading.Thread(target=halt.wait, daemon=True).start(); "
        "priority.come_soon(); on_all = [sorted(os.sched_getaffinity(int(t))) for t in os.listdir('/proc/self/task')]; "
        "assert len(on_all) == 2 and on_all[0] == on_all[1], on_all",
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True, start_new_session=True)
    told = json.loads(done.stdout)
    assert not told["batch"]
    assert told["on"] == sorted(os.sched_getaffinity(0))
    assert told["nice"] == (-5 if os.geteuid() == 0 else max(5, told["before"]))


@pytest.mark.process
def test_what_the_system_does_not_have_is_left_out() -> None:
    """A machine whose calls are numbered differently runs as it did."""
    script = "import platform; platform.machine = lambda: 'mips'\n" + TOLD
    done = subprocess.run([sys.executable, "-c", script, "come_first"], stdout=subprocess.PIPE, check=False)
    assert done.returncode == 0

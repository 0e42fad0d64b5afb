"""Measure the memory of real ``ingest`` processes at a steady rate, and its growth, as counted by the kernel.

Private dirty memory is what a process has for itself alone: no file pages, nothing shared. Its slope is the median of
the slopes between all pairs of samples (Theil, Sen): a publish in progress or a table that doubled is no growth.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.bench.feed import symbols
from tests.support.builders.ingest_process import COMMAND, MOST_RSS, ROLES
from tests.support.waiting import wait_until
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger

RATE, SYMBOLS = 20_000, 50
MOST_GROWTH, OVER_S = 16 << 20, 1800.0
"""What private dirty memory may grow in half an hour."""
STOP_S = 60.0
ROOT = Path(__file__).resolve().parents[3]


class Sample(NamedTuple):
    """One look at a process: seconds since the first, bytes."""

    at_s: float
    private_dirty: int
    rss: int


def look(pid: int, at_s: float) -> Sample:
    """Ask the kernel."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, _ = line.split()
        found[name] = int(size) << 10
    return Sample(at_s, found["Private_Dirty:"], found["Rss:"])


def sample(pids: Mapping[str, int], seconds: float, every_s: float) -> dict[str, list[Sample]]:
    """Look at some processes again and again."""
    taken: dict[str, list[Sample]] = {name: [] for name in pids}
    begun, pause = time.monotonic(), threading.Event()
    for number in range(int(seconds / every_s) + 1):
        pause.wait(max(0.0, begun + number * every_s - time.monotonic()))
        for name, pid in pids.items():
            taken[name].append(look(pid, time.monotonic() - begun))
    return taken


def growth(samples: Sequence[Sample], over_s: float = OVER_S) -> float:
    """Return by how many bytes private dirty memory grows in so many seconds.

    >>> round(growth([Sample(t, 1000 + 5 * t, 0) for t in range(10)], over_s=100))
    500
    """
    slopes = [
        (later.private_dirty - first.private_dirty) / (later.at_s - first.at_s)
        for first, later in combinations(samples, 2)
    ]
    return statistics.median(slopes) * over_s


@contextmanager
def feed(rate: int = RATE) -> Iterator[dict[str, str]]:
    """Run the steady sender; give its URLs."""
    command = [sys.executable, "-m", "tests.support.builders.steady_feed", str(SYMBOLS), str(rate)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def ingesting(folder: Path, urls: Mapping[str, str], transport: str) -> Iterator[psutil.Popen]:
    """Run the command ``ingest`` with a transport; it is given a minute to stop."""
    settings = f'[venues.binance]\ntransport = "{transport}"\nsymbols = ["BTC-USDT"]\n'
    (folder / "trading_platform.toml").write_text(settings)
    names = ",".join(symbols(SYMBOLS).values())
    where = ["--ws-url", urls["ws_url"], "--rest-url", urls["rest_url"], "--data-dir", str(folder / "data")]
    with (folder / "ingest.log").open("wb") as log:
        process = psutil.Popen(
            [*COMMAND, "ingest", "--venue", "binance", "--symbols", names, *where, "--json"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
            process.terminate()
            with suppress(psutil.TimeoutExpired):  # how it stops is other tests' business
                process.wait(STOP_S)
        finally:
            children = process.children() if process.is_running() else []
            for each in (process, *children):
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            psutil.wait_procs([process, *children], timeout=10)


def workers(process: psutil.Popen) -> dict[str, int]:
    """Return the process ids by role once all of them run, the command itself among them."""

    def found() -> dict[str, int] | None:
        roles = {child.cmdline()[-1]: child.pid for child in process.children() if child.cmdline()}
        return roles if set(ROLES) <= roles.keys() else None

    return {"ingest": process.pid, **wait_until(found, what="all workers run")}


def measure(
    folder: Path, transport: str, *, warm_up_s: float, seconds: float, every_s: float
) -> tuple[dict[str, list[Sample]], float]:
    """Return the samples by role, and at what rate trades were stored meanwhile."""
    with feed() as urls, ingesting(folder, urls, transport) as process:
        pids = workers(process)
        wait_until(lambda: stored(folder) > 0, timeout_s=60, every_s=0.5, what="trades are stored")
        threading.Event().wait(warm_up_s)
        begun, before = time.monotonic(), stored(folder)
        taken = sample(pids, seconds, every_s)
        rate = (stored(folder) - before) / (time.monotonic() - begun)
        assert workers(process) == pids, "a worker died meanwhile"
    return taken, rate


def stored(folder: Path) -> int:
    """Return how many trades the ledger counts."""
    data = DataDir(folder / "data")
    if not (data.root / "ledger.sqlite").exists():
        return 0
    ledger = Ledger.open(data)
    try:
        return sum(row.stored for symbol in symbols(SYMBOLS).values() for row in ledger.days("binance", symbol))
    finally:
        ledger.close()


def judge(taken: Mapping[str, Sequence[Sample]], *, slopes: Callable[[str], bool] = lambda role: True) -> list[str]:
    """Return what is wrong: a process that is too large, or that grows."""
    wrong = []
    for role, samples in taken.items():
        largest = max(one.rss for one in samples)
        if largest > MOST_RSS:
            wrong.append(f"{role}: {largest >> 20} MB resident")
        if slopes(role) and abs(growth(samples)) > MOST_GROWTH:
            wrong.append(f"{role}: private dirty memory changes by {growth(samples) / 2**20:.1f} MB in half an hour")
    return wrong

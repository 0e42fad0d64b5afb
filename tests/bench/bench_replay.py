"""Replay of sealed segments to published leaves, by one process and by two

The log holds Binance combined `@trade` frames of about 170 B of 50 symbols, in the records of a recorder at full speed,
in sealed segments but for the newest. A replay decompresses, checks and decodes them, merges, judges, writes, reads
back and publishes every leaf, durably; afterwards every file of the lake is compared, byte for byte, with the one that
recording published, and so is what the ledger knows of it. Rounds alternate, the values are medians. Kernels are loaded
and both processes started before the clock starts.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from quality.schemas import GATES
from tests.bench import bench_processor
from tests.bench.__main__ import Line
from tests.bench.bench_processor import LANE
from tests.bench.streams import HISTORY_START, fresh_data
from trading_platform.commands.workers.replay_worker import VARIABLE, HelperConfig
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.trade_scanner import scan_frames
from trading_platform.ingest.processor.log_maintenance import LogMaintenance
from trading_platform.ingest.processor.processor import Processor
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.ingest.replay.helpers import Task
from trading_platform.ingest.replay.replay import WorkerPool, replay
from trading_platform.processes import worker_process as children
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.venues import VENUES

TRADES = 13_500_000
ROUNDS = 7
BOUNDS = Bounds.of(HISTORY_START)


class Run(NamedTuple):
    """What one replay took: seconds by the wall, seconds of processor."""

    wall: float
    cpu: float


def measure() -> Iterator[Line]:
    """Measure replays by one and by two processes in turn."""
    scan_frames.dispatcher()
    with fresh_data() as source:
        expected = record(source)
        one, two = [], []
        for _ in range(ROUNDS):
            one.append(run(source, 1, expected))
            two.append(run(source, 2, expected))
    alone = Run(*(statistics.median(side) for side in zip(*one, strict=True)))
    shared = statistics.median(each.wall for each in two)
    ratio = statistics.median(a.wall / b.wall for a, b in zip(one, two, strict=True))
    yield Line(
        "replay of sealed segments to published leaves (goal: 1,500)",
        TRADES / alone.cpu / 1e3,
        "k trades a CPU second",
        headline=True,
    )
    yield Line("the same by the wall, one process", TRADES / alone.wall / 1e3, "k trades/s")
    yield Line("by the wall, two processes", TRADES / shared / 1e3, "k trades/s")
    yield Line("replay by two processes to one, by the wall (goal: 1.8 or more)", ratio, "×", headline=True)


def record(data: DataDir) -> dict[str, str]:
    """Make the log, publish it as recording does, seal it; return what was published."""
    bench_processor.fill(data, TRADES)
    ledger = Ledger.open(data)
    processor = Processor(data, LANE, ledger, VENUES, BOUNDS)
    processor.drain()
    processor.close()
    publish_staged(data, ledger, GATES["ticks"])
    keeper = LogMaintenance(data, ledger, VENUES, BOUNDS, retention_ns=None, now_ns=time.time_ns)
    if not keeper.keep().sealed:
        raise AssertionError("nothing was sealed")
    found = published(data, ledger)
    ledger.close()
    return found


def published(data: DataDir, ledger: Ledger) -> dict[str, str]:
    """Return the hash of every file of the lake with what the ledger knows of it."""
    known = {str(leaf.path): record for leaf, record in ledger.leaves("ticks").items()}
    files = [path for path in data.lake.rglob("*") if path.is_file()]
    names = {str(path.relative_to(data.lake)): path for path in files}
    if sum(record.rows for record in known.values()) != TRADES:
        raise AssertionError("trades are missing")
    return {name: f"{hashlib.sha256(path.read_bytes()).hexdigest()} {known[name]}" for name, path in names.items()}


def run(source: DataDir, processes: int, expected: dict[str, str]) -> Run:
    """Replay a copy of the log into an empty lake."""
    began: list[Run] = []
    with fresh_data() as data:
        shutil.copytree(source.log, data.log, dirs_exist_ok=True)
        os.sync()  # what the copy left to be written is not the replay's
        ledger = Ledger.open(data)
        told = replay(
            data,
            ledger,
            VENUES,
            BOUNDS,
            GATES["ticks"],
            days=lambda day: True,
            scratch=None,
            on_lane=lambda lane: began.append(now()),
            pool=WorkerPool(processes, lambda task, locks: start(data.root, task, locks), together=True),
        )
        ended = now()
        if told.trades != TRADES or published(data, ledger) != expected:
            raise AssertionError("the replay is not what was recorded")
        ledger.close()
    return Run(ended.wall - began[0].wall, ended.cpu - began[0].cpu)


def start(root: Path, task: Task, locks: Sequence[int]) -> children.Child:
    """Start a process that helps."""
    config = msgspec.json.encode(HelperConfig(task, str(root), HISTORY_START, None)).decode()
    module = "trading_platform.commands.workers.replay_worker"
    return children.start(f"helper {task.number}", [module], {VARIABLE: config}, descriptors=locks)


def now() -> Run:
    """Return the time, and what this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Run(time.perf_counter(), used.ru_utime + used.ru_stime)

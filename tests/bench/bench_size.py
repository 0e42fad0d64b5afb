"""At the size people have: a ledger of many symbols, a lake of many leaves

The ledger holds a year a symbol, sealed, and a hundred open gaps in it, spread over it: 365,000 symbol-days and 100,000
gaps at 1,000 symbols. Commands run in a process that has run them once before, and print to nowhere, so what is
measured is their work without the start of Python and its libraries; how much that is, the lines of whole processes
tell. The first reader of a ledger keeps what follows for each day; one line has it do so again. A tick is a sensor's
decision. Queries are whole processes over 50,000 leaves of ticks. Seconds are of the processor, medians of
three: what other programs take of the machine counts little.
"""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg

from sensors.gap_recovery import gap_recovery
from sensors.observe_ingest import observe_ingest
from sensors.refresh_today import refresh_today
from sensors.seal_days import seal_days
from tests.bench.__main__ import Line
from tests.bench.large import Size, fill_lake, fill_ledger
from trading_platform import cli
from trading_platform.definitions import defs
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.store.ledger.tables import kept_days
from trading_platform.store.verify import identity

SYMBOLS = (10, 100, 1000)
LEAVES = 50_000
GOALS = {
    "`status`": 0.2,
    "`status --days`": 3.0,
    "`gaps list`": 0.5,
    "identity of `verify`": 10.0,
    "a tick of `gap_recovery`": 0.3,
    "a tick of `observe_ingest`": 0.3,
    "a tick of `seal_days`": 0.3,
    "a tick of `refresh_today`": 0.3,
}
ONE_DAY = "SELECT count(*), avg(price) FROM ticks WHERE symbol = 'C0007-USDT' AND date = '2024-03-01'"
ONE_SYMBOL = "SELECT count(*), avg(price) FROM ticks WHERE symbol = 'C0007-USDT'"
ALL_SYMBOLS = "SELECT count(*), avg(price) FROM ticks WHERE date = '2024-03-01'"


def measure() -> Iterator[Line]:
    """Measure the ledger at each size, then the lake."""
    for symbols in SYMBOLS:
        with tempfile.TemporaryDirectory() as folder:
            for what, seconds in _ledger(DataDir(Path(folder)).create(), symbols):
                goal = f" (goal: {GOALS[what]:g} or less)" if symbols == SYMBOLS[-1] and what in GOALS else ""
                yield Line(f"{what}, {symbols:,} symbols{goal}", seconds, "s")
    with tempfile.TemporaryDirectory() as folder:
        data = DataDir(Path(folder)).create()
        for _ in fill_lake(data, LEAVES):
            pass
        for what, text in (
            ('`query "SELECT 1"`, the whole process (goal: 0.3 or less)', "SELECT 1"),
            ("`query` of one symbol and day, the whole process (goal: 0.5 or less)", ONE_DAY),
            ("`query` of one symbol, 365 leaves, the whole process", ONE_SYMBOL),
            ("`query` of one day, 137 symbols, the whole process", ALL_SYMBOLS),
        ):
            yield Line(what, _process(data, "query", text), "s")


def _ledger(data: DataDir, symbols: int) -> Iterator[tuple[str, float]]:
    ledger = Ledger.open(data)
    fill_ledger(ledger, Size(symbols, 365, symbols * 100))
    ledger.remember("rest_url:binance", "http://127.0.0.1:1")
    for words in ("status", "status --days", "gaps list"):
        yield f"`{words}`", _seconds(lambda words=words: _command(data, words))
    yield "`status --json`", _seconds(lambda: _command(data, "status --json"))
    yield "`status` that finds nothing kept", _seconds(lambda: _forgetful(data, ledger))
    yield "`status`, the whole process", _process(data, "status")
    if found := identity(ledger):
        raise AssertionError(found[:3])
    yield "identity of `verify`", _seconds(lambda: identity(ledger))
    ledger.close()
    with dg.DagsterInstance.local_temp(str(data.root)) as instance:
        pipeline = PipelineResource(data_dir=str(data.root))
        for sensor in (gap_recovery, observe_ingest, refresh_today, seal_days):
            yield f"a tick of `{sensor.name}`", _seconds(lambda sensor=sensor: _tick(sensor, instance, pipeline))
        pipeline.close()


def _seconds(work: Callable[[], object]) -> float:
    """Return the processor's seconds, after a first time that imports."""
    work()
    took = []
    for _ in range(3):
        begun = time.process_time()
        work()
        took.append(time.process_time() - begun)
    return statistics.median(took)


def _command(data: DataDir, words: str) -> None:
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        if code := cli.main([*words.split(), "--data-dir", str(data.root)]):
            raise AssertionError(f"{words} ended with {code}")


def _forgetful(data: DataDir, ledger: Ledger) -> None:
    with ledger.database.writing() as db:
        db.execute(kept_days.delete())
    _command(data, "status")


def _tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, pipeline: PipelineResource) -> None:
    repository = defs.get_repository_def()
    with dg.build_sensor_context(instance, resources={"pipeline": pipeline}, repository_def=repository) as context:
        sensor.evaluate_tick(context)


def _process(data: DataDir, *words: str) -> float:
    took = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "trading_platform", *words, "--data-dir", str(data.root)]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(took[1:])

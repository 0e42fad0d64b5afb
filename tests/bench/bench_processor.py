"""From the log to staged parts: decoding on one core

The log holds Binance combined `@trade` frames of about 170 B of 50 symbols, in the records of a recorder at full speed.
A rate is trades a second of process CPU, so what other programs take of the machine does not count; the disk's waiting
does not count either, and is told beside it as wall rate. Kernels are compiled and loaded before.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator

from tests.bench.__main__ import Line
from tests.bench.feed import START_MS, payloads, symbols
from tests.bench.streams import HISTORY_START, SYMBOLS, fresh_data
from trading_platform.completeness.gap_detector import advance
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.ingest.processor.processor import Processor, read_batch
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, LaneReader, LaneWriter
from trading_platform.venues import VENUES

TRADES = 3_000_000
A_RECORD = 1500
ROUNDS = 3
LANE = "live-binance"


def measure() -> Iterator[Line]:
    """Measure decoding with and without what follows it."""
    with fresh_data() as source:
        fill(source)
        core = [_run(source, _account) for _ in range(ROUNDS + 1)][1:]
        staged = [_run(source, _stage) for _ in range(ROUNDS)]
    for name, goal, runs in (
        ("decode + bounds + gap check + ledger", 1000, core),
        ("the same and staging", None, staged),
    ):
        wall, cpu = (statistics.median(side) for side in zip(*runs, strict=True))
        told = f" (goal: {goal:,})" if goal else ""
        yield Line(f"{name}{told}", TRADES / cpu / 1e3, "k trades a CPU second", headline=goal is not None)
        yield Line(f"{name}, by the wall", TRADES / wall / 1e3, "k trades/s")


def fill(data: DataDir, trades: int = TRADES) -> None:
    """Write the log."""
    names = symbols(SYMBOLS)
    with LaneWriter.open(data.lane(LANE), clock=time.time_ns, entropy=os.urandom) as writer:
        begun = START_MS * 10**6
        for fact in (control.Started("binance", names), control.Connected("binance", 1, names)):
            writer.append(Kind.CONTROL, [control.encode_control(fact)], ts_recv=begun, mono_ns=0)
        frames = payloads(trades, list(names))
        for number in range(trades // A_RECORD):
            run = [next(frames) for _ in range(A_RECORD)]
            at = begun + number * 10**6
            writer.append(Kind.FRAMES, run, ts_recv=at, mono_ns=at, connection=1)
            if number % 64 == 63:
                writer.commit()


def _run(source: DataDir, work: Callable[[DataDir, Ledger], int]) -> tuple[float, float]:
    """Return wall and CPU seconds that the work takes on a copy of the log."""
    with fresh_data() as data:
        shutil.copytree(source.log, data.log, dirs_exist_ok=True)
        ledger = Ledger.open(data)
        wall, cpu = time.perf_counter(), time.process_time()
        trades = work(data, ledger)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        ledger.close()
    if trades != TRADES:
        raise AssertionError(f"{trades} of {TRADES} trades")
    return wall, cpu


def _account(data: DataDir, ledger: Ledger) -> int:
    decoder = Decoder(LANE, VENUES, Bounds.of(HISTORY_START), scan_after=0)
    with LaneReader(data.lane(LANE)) as reader:
        while True:
            start = reader.position
            records = read_batch(reader)
            if not records:
                return sum(day.stored for key in ledger.symbols() for day in ledger.days(*key))
            ledger.apply(decoder.decode(records, start, reader.position).batch, advance)


def _stage(data: DataDir, ledger: Ledger) -> int:
    processor = Processor(data, LANE, ledger, VENUES, Bounds.of(HISTORY_START))
    processor.drain()
    processor.close()
    return sum(day.stored for key in ledger.symbols() for day in ledger.days(*key))

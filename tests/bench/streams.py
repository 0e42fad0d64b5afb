"""Run what receives against tests/bench/feed.py, each in a process of its own, and judge what it kept."""

from __future__ import annotations

import json
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import psutil

from tests.bench.feed import PAUSE, payloads, symbols
from trading_platform.domain.position import START
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.ingest.processor.processor import read_batch
from trading_platform.ingest.workers.supervisor import CONFIG_VARIABLE, WorkerSpec
from trading_platform.store.fs.disk import REAL_DISK
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.log.segment_files import FIRST_BYTES, MarkReader
from trading_platform.store.log.writer import SEGMENT_BYTES, LaneReader
from trading_platform.venues import VENUES

ROOT = Path(__file__).resolve().parents[2]
SYMBOLS = 50
HISTORY_START = "2016-01-01"
_QUIET_S = 0.5


class Feed:
    """The running sender."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, count: int) -> None:
        self._process, self.url, self.count = process, url, count

    def begun_ns(self, within_s: float = 30.0) -> int:
        """Return when the next connection was made, on the monotonic clock."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], within_s)[0]:
            raise TimeoutError("nobody connected to the feed")
        return int(json.loads(self._process.stdout.readline())["begun_ns"])


@contextmanager
def feed(count: int, *options: str) -> Iterator[Feed]:
    """Start a sender of so many trades."""
    command = [sys.executable, "-m", "tests.bench.feed", str(count), str(SYMBOLS), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as process:
        assert process.stdout is not None
        try:
            yield Feed(process, json.loads(process.stdout.readline())["url"], count)
        finally:
            process.kill()


class Measured(NamedTuple):
    """How fast one receiver was, from the connection to the last durable trade."""

    rate: float
    cpu_ns: float


def bare(source: Feed) -> Measured:
    """Receive with a loop over `websockets` that keeps nothing."""
    command = [sys.executable, "-m", "tests.bench.receive", "bare", source.url, str(source.count)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, start_new_session=True)
    told = json.loads(done.stdout)
    begun = source.begun_ns()
    return Measured(source.count / (told["ended_ns"] - begun) * 1e9, told["cpu_ns"] / source.count)


@contextmanager
def worker(
    role: str,
    data: DataDir,
    url: str,
    *,
    transport: str = "websockets",
    compression: bool = False,
    module: Sequence[str] = ("trading_platform.commands.workers.ingest_worker",),
) -> Iterator[psutil.Popen]:
    """Run a worker of `ingest`, told to stop in order at the end."""
    config = WorkerSpec(
        data_dir=str(data.root), venue="binance", symbols=symbols(SYMBOLS), ws_url=url, history_start=HISTORY_START,
        database_url="", transport=transport, compression=compression,  # type: ignore[arg-type]
    )  # fmt: skip
    process = psutil.Popen(
        [sys.executable, "-m", *module, role],
        cwd=ROOT,
        env={**_environ(), CONFIG_VARIABLE: msgspec.json.encode(config).decode()},
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # as the supervisor does
    )
    try:
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
        try:
            process.wait(60)
        except psutil.TimeoutExpired:
            process.kill()


def _environ() -> dict[str, str]:
    import os

    return {**os.environ, "TP_LOG_LEVEL": "error"}


def recorded(source: Feed, data: DataDir, transport: str, *, compression: bool = False, tls: str = "") -> Measured:
    """Record everything with the real recorder; the trades are checked afterwards."""
    mark = MarkReader(data.lane("live-binance"), REAL_DISK)
    environment = {"SSL_CERT_FILE": tls} if tls else {}
    with (
        _variables(environment),
        worker("recorder", data, source.url, transport=transport, compression=compression) as process,
    ):
        begun = source.begun_ns()
        before = process.cpu_times()
        expected = sum(len(payload) + 4 for payload in _few()) / len(_few()) * source.count
        at, changed = START, time.monotonic_ns()
        cpu = process.cpu_times()
        while True:
            PAUSE.wait(0.005)
            now = mark.read() or START
            if now != at:
                at, changed, cpu = now, time.monotonic_ns(), process.cpu_times()
            before_it = FIRST_BYTES + (at.segment - 1) * (SEGMENT_BYTES - (1 << 19)) if at.segment else 0
            done = before_it + at.offset >= 0.9 * expected
            if time.monotonic_ns() - changed > _QUIET_S * 1e9 and (done or time.monotonic_ns() - begun > 120e9):
                break
    mark.close()
    verify(data, source.count)
    spent = cpu.user + cpu.system - before.user - before.system
    return Measured(source.count / (changed - begun) * 1e9, spent / source.count * 1e9)


def _few() -> list[bytes]:
    return list(payloads(500, list(symbols(SYMBOLS))))


@contextmanager
def _variables(changed: dict[str, str]) -> Iterator[None]:
    import os

    kept = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def verify(data: DataDir, count: int) -> None:
    """Raise unless the log holds exactly the trades that were sent."""
    decoder = Decoder("live-binance", VENUES, Bounds.of(HISTORY_START), scan_after=0)
    ids: dict[str, list[np.ndarray]] = {}
    with LaneReader(data.lane("live-binance")) as reader:
        while records := read_batch(reader):
            decoded = decoder.decode(records, START, reader.position)
            if decoded.batch.quarantine:
                raise AssertionError(f"quarantined: {decoded.batch.quarantine[0].detail}")
            for key, columns in decoded.trades.items():
                ids.setdefault(key.symbol, []).append(columns.trade_id)
    found = {symbol: np.concatenate(parts) for symbol, parts in ids.items()}
    if sum(map(len, found.values())) != count or any((np.diff(mine) != 1).any() for mine in found.values()):
        raise AssertionError(f"{sum(map(len, found.values()))} of {count} trades, or not in order")


@contextmanager
def fresh_data() -> Iterator[DataDir]:
    """Give an empty data directory on the disk of the project."""
    (ROOT / "data-bench").mkdir(exist_ok=True)
    root = Path(tempfile.mkdtemp(dir=ROOT / "data-bench"))
    data = DataDir(root)
    data.create()
    try:
        yield data
    finally:
        shutil.rmtree(root)
        with suppress(OSError):
            root.parent.rmdir()


def record_once(source: Feed, transport: str, *, compression: bool = False, tls: str = "") -> Measured:
    """Record everything into a fresh directory."""
    with fresh_data() as data:
        return recorded(source, data, transport, compression=compression, tls=tls)


def medians(measured: Sequence[Measured]) -> Measured:
    """Return the median of each number."""
    return Measured(*(statistics.median(values) for values in zip(*measured, strict=True)))


def logged(source: Feed) -> tuple[list[tuple[int, int, int]], int]:
    """Let the reference logger keep everything; return its waits and when the last byte was durable."""
    with fresh_data() as data:
        command = [sys.executable, "-m", "tests.bench.receive", "logger", source.url, str(source.count)]
        command.append(str(data.root / "flat"))
        # A session of its own, as each worker has.
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, start_new_session=True)
    told = json.loads(done.stdout)
    return told["waits"], told["ended_ns"]

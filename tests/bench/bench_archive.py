"""A day's file of the archive to durable log, ledger and staging

The file is a zip of Binance's form with two million rows of one symbol, about 75 B each, packed by zlib as the exchange
packs it. The clock runs from the opened file to the last commit of the ledger: unpacking, cutting, packing and logging
with fdatasync, decoding, accounting and staging. Downloading and publishing are not in it. Rounds are fresh data
directories, the values are medians. The kernel is loaded before the clock starts.
"""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.bench.__main__ import Line
from tests.bench.streams import HISTORY_START, fresh_data
from trading_platform.domain.days import day_start
from trading_platform.ingest.decoder.archive.pieces import pack
from trading_platform.ingest.decoder.archive.rows import scan_rows
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.recovery.archive_files import pieces, unpacked
from trading_platform.ingest.recovery.fetch_lane import FILES_BYTES, FetchLane
from trading_platform.store.fs.disk import REAL_DISK
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.venues import VENUES

TRADES = 2_000_000
ROUNDS = 3
VENUE, SYMBOL, NAME, DAY = "binance", "BTC-USDT", "BTCUSDT", "2024-08-08"
FIRST_ID = 3_744_529_158


def measure() -> Iterator[Line]:
    """Measure some rounds over one file."""
    scan_rows.dispatcher()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "day.zip"
        write(path)
        rounds = [run(path) for _ in range(ROUNDS)]
    wall, cpu = (statistics.median(side) for side in zip(*rounds, strict=True))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Line(
        "a daily file to durable log, ledger and staging", TRADES / cpu / 1e3, "k trades a CPU second", headline=True
    )
    yield Line("the same by the wall", TRADES / wall / 1e3, "k trades/s")
    yield Line("peak memory of the process", peak_mb, "MB")


def write(path: Path) -> None:
    """Write the file: prices walk, times rise through the day."""
    rng = np.random.default_rng(7)
    prices = 6_000_000 + np.cumsum(rng.integers(-3, 4, TRADES))
    sizes = rng.integers(1, 200_000, TRADES)
    times = day_start(DAY) // 10**6 + np.sort(rng.integers(0, 86_400_000, TRADES))
    maker = rng.integers(0, 2, TRADES).astype(bool)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{NAME}-trades-{DAY}.csv", "w") as file,
    ):
        for begin in range(0, TRADES, 100_000):
            part = slice(begin, begin + 100_000)
            columns = zip(
                prices[part].tolist(), sizes[part].tolist(), times[part].tolist(), maker[part].tolist(), strict=True
            )
            lines = [
                f"{number},{price / 100:.8f},{size / 1e5:.8f},{price * size / 1e7:.8f},{ms},{sold},True\n"
                for number, (price, size, ms, sold) in enumerate(columns, start=FIRST_ID + begin)
            ]
            file.write("".join(lines).encode())


def run(path: Path) -> tuple[float, float]:
    """Take the file into a fresh data directory; return seconds by the wall and of the processor."""
    archive = VENUES[VENUE].archive
    assert archive is not None
    with fresh_data() as data:
        ledger = Ledger.open(data)
        file = REAL_DISK.open(path, "read")
        wall, cpu = time.perf_counter(), time.process_time()
        with FetchLane(data, ledger, VENUES, Bounds.of(HISTORY_START), segment_bytes=FILES_BYTES) as lane:
            for rows in pieces(unpacked(file.read, archive.file(NAME, DAY)), archive, SYMBOL):
                page = control.PageHeader(
                    VENUE, "archive", SYMBOL, FIRST_ID, FIRST_ID + TRADES - 1, "archive", day=DAY, size=len(rows)
                )
                lane.page(page, pack(rows))
        took = time.perf_counter() - wall, time.process_time() - cpu
        file.close()
        (row,) = ledger.days(VENUE, SYMBOL)
        assert row.stored == TRADES
        ledger.close()
    return took

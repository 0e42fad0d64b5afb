"""A computation that is killed at any moment leaves whole files, and the next one finishes its work."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from quality.schemas import GATES
from tests.support.builders.lakes import Market, made_up
from tests.support.waiting import wait_until
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.store.verify import verify_store

FIRST, LAST = "2024-08-01", "2024-08-04"
DATASETS = ("bars", "indicators", "regimes")
FRAMES = ("1m", "1h", "1d")
KILLS = 3


def test_killed_computations_leave_no_trace(tmp_path: Path) -> None:
    """Kill backfill with -9 again and again: every file is whole, and the end is as if it had never happened."""
    everything = made_up(FIRST, 4, 300)
    alone = Market.open(tmp_path / "alone")
    alone.hold(everything)
    pipeline = Pipeline(alone.data, alone.ledger, gates=GATES, timeframes=FRAMES)
    pipeline.refresh_range(DATASETS, FIRST, LAST)
    market = Market.open(tmp_path / "killed")
    market.hold(everything)
    rng = random.Random(7)
    for number in range(KILLS):
        process = start(market)
        wait_for_files(market, process, len(market.files(*DATASETS)) + rng.randint(3, 8))
        process.kill()
        process.wait()
        assert number or process.returncode == -9
        for name in market.files(*DATASETS):
            pq.read_table(market.data.lake / name)
    done = start(market)
    assert done.wait(120) == 0
    assert market.files(*DATASETS) == alone.files(*DATASETS)
    assert verify_store(market.data, market.ledger, GATES).violations == ()
    market.ledger.close()
    alone.ledger.close()


def wait_for_files(market: Market, process: subprocess.Popen[bytes], goal: int) -> None:
    def count() -> int:
        return sum(1 for dataset in DATASETS for _ in (market.data.lake / dataset).rglob("*.parquet"))

    wait_until(lambda: process.poll() is not None or count() >= goal, every_s=0.005)


def start(market: Market) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "trading_platform", "backfill", "--assets", ",".join(DATASETS)]
    command += ["--from", FIRST, "--to", LAST, "--data-dir", str(market.data.root)]
    environ = {**os.environ, "TRADING_PLATFORM_TIMEFRAMES": ",".join(FRAMES)}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environ)

"""Run the real ``ingest`` against a simulated venue, inject faults, and check the result from outside.

The oracle reads files and the venue's truth only: nothing of what is under test computes what is expected.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.builders.venue_thread import Simulator
from tests.support.waiting import wait_until

ROLES = ("recorder", "processor", "publisher")
COMMAND = [sys.executable, "-m", "trading_platform"]
MOST_RSS = 512 << 20
"""What no process of ``ingest`` may ever have resident, whatever happens to it."""
PEAKS_VARIABLE = "TESTS_PEAKS"
"""Where set, a file that gets the peak of every process weighed, in bytes, a line each."""


def peak_bytes(pid: int, *, reset: bool = False) -> int:
    """Return the peak of resident memory since the last reset; what is resident at a reset counts."""
    if reset:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise psutil.ZombieProcess(pid)


class Ingest:
    """A running ``ingest`` command and its workers."""

    def __init__(self, venue: Simulator, data_dir: Path, symbols: list[str]) -> None:
        arguments = ["ingest", "--venue", "binance", "--symbols", ",".join(symbols), "--data-dir", str(data_dir)]
        arguments += ["--ws-url", venue.ws_url, "--rest-url", venue.rest_url, "--json"]
        self._log = (data_dir.parent / "ingest.log").open("ab")
        self.process = psutil.Popen(
            [*COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True
        )

    def worker(self, role: str) -> psutil.Process | None:
        """Return the worker of that role, None while it is not running."""
        for child in self._workers():
            with suppress(psutil.NoSuchProcess):
                if child.cmdline()[-2:] == ["trading_platform.commands.workers.ingest_worker", role]:
                    return child
        return None

    def _workers(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return list(self.process.children())
        return []

    def wait_for(self, role: str) -> psutil.Process:
        """Return the worker once it runs."""
        return wait_until(lambda: self.worker(role), what=f"{role} runs")

    def kill(self, role: str) -> None:
        """Kill -9 the command itself (``ingest``) or one of its workers."""
        self.weigh()
        victim = self.process if role == "ingest" else self.worker(role)
        if victim is not None:
            try:
                victim.send_signal(signal.SIGKILL)
                victim.wait(5)
            except psutil.NoSuchProcess:
                pass
        if role == "ingest":
            self._log.close()

    def stop(self, within_s: float = 40.0) -> int:
        """Stop in order; return the exit code."""
        self.weigh()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(within_s)
        self._log.close()
        return int(code)

    def weigh(self) -> None:
        """See that no process has ever had more resident than it may; of those that run, before they are ended."""
        peaks = []
        for pid in (self.process.pid, *(child.pid for child in self._workers())):
            with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):  # it has just ended
                peaks.append(peak_bytes(pid))
        if PEAKS_VARIABLE in os.environ:
            with Path(os.environ[PEAKS_VARIABLE]).open("a") as file:
                file.writelines(f"{peak}\n" for peak in peaks)
        assert max(peaks, default=0) <= MOST_RSS, [peak >> 20 for peak in peaks]

    def end(self) -> None:
        """Kill whatever still runs, at once; nothing if it was stopped."""
        if self.process.poll() is None:
            workers = self.process.children()
            self.process.kill()
            self.process.wait(5)
            psutil.wait_procs(workers, timeout=5)
        self._log.close()


def run(*arguments: str, data_dir: Path, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run one command of the platform to its end."""
    return subprocess.run(
        [*COMMAND, *arguments, "--data-dir", str(data_dir)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def held(data_dir: Path) -> dict[str, pa.Table]:
    """Return the published ticks by symbol, read file by file as any stranger would."""
    tables: dict[str, list[pa.Table]] = {}
    for path in sorted((data_dir / "lake" / "ticks").glob("venue=*/symbol=*/date=*/ticks.parquet")):
        symbol = path.parents[1].name.removeprefix("symbol=")
        tables.setdefault(symbol, []).append(pq.ParquetFile(path).read())
    return {symbol: pa.concat_tables(parts) for symbol, parts in tables.items()}


def rows(table: pa.Table) -> list[tuple[Any, ...]]:
    """Return the columns that must not depend on how a trade reached us, one tuple a trade."""
    columns = [
        table["epoch"].to_pylist(),
        table["trade_id"].to_pylist(),
        table["ts_event"].cast(pa.int64()).to_pylist(),
        table["price"].to_pylist(),
        table["quantity"].to_pylist(),
        table["side"].to_pylist(),
    ]
    return list(zip(*columns, strict=True))


def expected(truth: list[dict[str, Any]], symbol: str) -> list[tuple[Any, ...]]:
    """Return what the venue says it issued, in the same form, in order of ids."""
    mine = sorted(
        (line for line in truth if line["symbol"] == symbol), key=lambda line: (line["epoch"], line["trade_id"])
    )
    return [
        (t["epoch"], t["trade_id"], t["ts_event"], float(t["price"]), float(t["quantity"]), t["side"]) for t in mine
    ]

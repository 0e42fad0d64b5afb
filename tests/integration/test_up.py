"""`up` as a user starts it: everything comes up, a second one is refused, and nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from quality.schemas import GATES
from tests.support.waiting import wait_until
from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.days import day_of
from trading_platform.domain.position import START
from trading_platform.simulate.exchanges import EXCHANGES
from trading_platform.simulate.synthetic_market import DEMO_START_NS, GENESIS_NS, synthetic_name
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake.first_day import note_first_day
from trading_platform.store.ledger import Batch, Ledger, Seen, SequenceKey
from trading_platform.store.verify import verify_store

MARK = "TEST_OF_UP"
_SENSORS = "{ ... on Sensors { results { name sensorState { status } } } }"


class Up:
    """A running `up` and every process that stems from it, known by a mark in their environment."""

    def __init__(self, root: Path, *options: str, **environ: str) -> None:
        self.root = root
        self.mark = uuid.uuid4().hex
        self.began = time.monotonic()
        self.errors = root.with_suffix(".err")
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                up_command(root, *options),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **environ, MARK: self.mark},
                start_new_session=True,
            )

    def announced(self) -> dict[str, Any]:
        """Return what it prints once it runs."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        found: dict[str, Any] = json.loads(line)
        return found

    def recorded(self) -> set[str]:
        """Return the venues of which a trade is in the ledger."""
        data = DataDir(self.root)
        if not data.ledger_path.exists():
            return set()
        ledger = Ledger.open(data)
        try:
            return {venue for venue, _ in ledger.symbols()}
        finally:
            ledger.close()

    def processes(self) -> list[psutil.Process]:
        """Return everything that stems from it and still runs."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def close(self) -> None:
        """Kill what a failing test would leave."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def up_command(root: Path, *options: str) -> list[str]:
    """Return the words that start it."""
    return [sys.executable, "-m", "trading_platform", "up", "--data-dir", str(root), "--json", *options]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Up]]:
    """Collect what was started, to be killed at the end whatever happened."""
    found: list[Up] = []
    yield found
    for up in found:
        up.close()


def refused(root: Path, *options: str, **environ: str) -> str:
    """Start `up` where it must be refused; return its one line."""
    done = subprocess.run(
        up_command(root, *options),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environ},
    )
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    return line


def code_locations(ui: str) -> dict[str, str]:
    """Return what Dagster has loaded: the names of its code locations and whether each is well."""
    query = "{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }"
    answer = httpx.post(f"{ui}/graphql", json={"query": query}, timeout=10).json()
    entries = answer["data"]["workspaceOrError"]["locationEntries"]
    return {entry["name"]: (entry["locationOrLoadError"] or {}).get("__typename", "loading") for entry in entries}


def test_everything_starts_and_stops_in_order(
    tmp_path: Path, started: list[Up], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every exchange is recorded, UI and sensors run, a second start is refused; SIGTERM leaves whole data only.

    A code location of the user's own that is broken is shown as such, and everything else works.
    """
    (tmp_path / "broken_desk.py").write_text("raise RuntimeError('no such market')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TRADING_PLATFORM_DAGSTER__CODE_LOCATIONS", "broken_desk")
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics_port = free.getsockname()[1]
    monkeypatch.setenv("TRADING_PLATFORM_METRICS__PORT", str(metrics_port))
    root = tmp_path / "data"
    up = Up(root, "--port", "0")
    started.append(up)
    said = up.announced()
    assert up.recorded()
    assert said["dagster_home"] == str(root / "dagster") and said["simulated"] is True
    location = 'repositoryName: "__repository__", repositoryLocationName: "trading_platform.definitions"'
    query = f"{{ sensorsOrError(repositorySelector: {{{location}}}) {_SENSORS} }}"

    def sensors() -> list[dict[str, Any]]:
        answer = httpx.post(f"{said['ui']}/graphql", json={"query": query}, timeout=10)
        found: list[dict[str, Any]] = answer.json()["data"]["sensorsOrError"].get("results", [])
        return found

    running = {
        found["name"]: found["sensorState"]["status"] for found in wait_until(sensors, timeout_s=30, every_s=0.3)
    }
    assert running["gap_recovery"] == running["ingest_keepalive"] == "RUNNING"
    ours = ("trading_platform.definitions", "trading_platform.warehouse_definitions")
    loaded = {**dict.fromkeys(ours, "RepositoryLocation"), "broken_desk": "PythonError"}
    wait_until(lambda: code_locations(said["ui"]) == loaded, timeout_s=30, every_s=0.3, what="all locations are loaded")

    def first_partitions() -> set[str]:
        answer = httpx.post(f"{said['ui']}/graphql", json={"query": "{ assetNodes { partitionKeys } }"}, timeout=10)
        days = [asset["partitionKeys"] for asset in answer.json()["data"]["assetNodes"]]
        return {keys[0] for keys in days if keys}  # the exchange and the raw log, which we do not make, have none

    assert first_partitions() == {day_of(time.time_ns())}
    # A day that is fetched later: the running Dagster begins with it, without a restart.
    note_first_day(DataDir(root), ["2024-02-29"])
    wait_until(lambda: first_partitions() == {"2024-02-29"}, timeout_s=60, every_s=0.3, what="the code loaded again")

    wait_until(lambda: up.recorded() == EXCHANGES.keys(), timeout_s=30, what="a trade of each exchange")
    measured = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10).text
    gaps = re.findall(r'market_data_gap_seconds{symbol="[^"]+",venue="([^"]+)"}', measured)
    assert set(gaps) == EXCHANGES.keys()
    assert httpx.get(f"http://127.0.0.1:{metrics_port}/readyz", timeout=10).text == "ok\n"
    assert f"in use by process {up.process.pid}" in refused(root, "--no-ui")
    port = said["ui"].rpartition(":")[2]
    assert f"port {port} is in use" in refused(tmp_path / "other", "--port", port)
    assert not (tmp_path / "other").exists()

    status = httpx.get(f"{said['ui']}/platform/", timeout=10).text
    assert all(f"</span> {venue}<" in status for venue in EXCHANGES)
    with httpx.stream("GET", f"{said['ui']}/platform/feed", timeout=10) as feed:
        lines = feed.iter_lines()
        assert next(lines) == "event: snapshot"
        market = json.loads(next(lines).removeprefix("data: "))["rows"]
        assert {row["venue"] for row in market} == EXCHANGES.keys()
        # A page that stays open does not hold up the stop.
        stopping = time.monotonic()
        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(45) == 0
    assert time.monotonic() - stopping < 45
    assert up.processes() == []
    ledger = Ledger.open(DataDir(root))
    held = Counter((row.venue, row.symbol) for row in ledger.day_report(time.time_ns()) for _ in range(row.stored))
    published: Counter[tuple[str, str]] = Counter()
    for leaf, record in ledger.leaves("ticks").items():
        published[leaf.venue, leaf.symbol] += record.rows
    assert published == held and {venue for venue, _ in held} == EXCHANGES.keys()
    assert {ledger.fact(f"market:{venue}") for venue in EXCHANGES} == {synthetic_name(0, GENESIS_NS)}
    assert verify_store(DataDir(root), ledger, GATES).violations == ()
    ledger.close()


def test_whatever_kills_it_nothing_goes_on(tmp_path: Path, started: list[Up]) -> None:
    """After kill -9 of `up` its children end by themselves, and the next start finds everything free."""
    up = Up(tmp_path / "data", "--no-ui", TRADING_PLATFORM_SIMULATOR__VENUES="kraken")
    started.append(up)
    up.announced()
    wait_until(lambda: up.recorded() == {"kraken"}, timeout_s=20, what="a trade of the exchange that is chosen")
    wait_until(lambda: len(up.processes()) >= 6, timeout_s=30, what="ingest's workers, the simulator and Dagster")
    up.process.kill()
    up.process.wait()
    wait_until(lambda: not up.processes(), timeout_s=40, every_s=0.2, what="the end of every process")


def test_a_port_that_is_taken_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """One line and exit 2; not even the data directory is made."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "is in use" in refused(tmp_path / "data", "--port", str(taken.getsockname()[1]))
    assert not (tmp_path / "data").exists()


def test_only_what_can_be_simulated_is_played(tmp_path: Path) -> None:
    """An exchange that the simulator does not know is refused by name, and the known ones are named."""
    line = refused(tmp_path / "data", "--no-ui", TRADING_PLATFORM_SIMULATOR__VENUES="kraken,mars")
    assert line == f"trading-platform: 'mars' cannot be simulated; known: {' '.join(EXCHANGES)}"


def test_live_data_is_not_continued_by_the_simulator(tmp_path: Path) -> None:
    """A directory marked live refuses the simulator with ingest's own words, and nothing is left running."""
    root = tmp_path / "data"
    ledger = Ledger.open(DataDir(root).create())
    ledger.mark_kind("live")
    ledger.close()
    assert "holds live data" in refused(root, "--no-ui").splitlines()[-1]


@pytest.mark.parametrize("named", [True, False])
def test_a_demonstration_is_not_continued_by_another_market(tmp_path: Path, named: bool) -> None:
    """The demonstration's market and that of `up` have other trades at the same ids: told by name, or by the ids."""
    root = tmp_path / "data"
    ledger = Ledger.open(DataDir(root).create())
    ledger.mark_kind("simulated")
    if named:
        ledger.remember("market:binance", synthetic_name(0, DEMO_START_NS))
    seen = Seen(ids=np.array([5_000_000_001]), ts=np.array([DEMO_START_NS + 10**9]))
    batch = Batch("live-binance", START, START, {SequenceKey("binance", "BTC-USDT"): seen})
    ledger.apply(batch, advance)
    ledger.close()
    assert "holds the simulated market" in refused(root, "--no-ui")
    assert not (root / "run" / "up.lock").exists()


def test_there_must_be_a_demonstration_to_show(tmp_path: Path) -> None:
    """`up --demo` shows what `demo` left, and nothing else."""
    assert "run `trading-platform demo` first" in refused(tmp_path / "data", "--demo")
    assert not (tmp_path / "data").exists()
    ledger = Ledger.open(DataDir(tmp_path / "live").create())
    ledger.mark_kind("live")
    ledger.close()
    assert "it holds live data" in refused(tmp_path / "live", "--demo", "--no-ui")


def test_the_demonstration_is_shown_without_recording(tmp_path: Path, started: list[Up]) -> None:
    """With `--demo` Dagster runs on the data, and neither a simulator nor ingest does."""
    root = tmp_path / "data"
    ledger = Ledger.open(DataDir(root).create())
    ledger.mark_kind("simulated")
    ledger.close()
    up = Up(root, "--demo", "--no-ui")
    started.append(up)
    said = up.announced()
    assert (said["recording"], said["simulated"]) == (False, True)
    words = [" ".join(process.cmdline()) for process in up.processes()]
    assert any("orchestration.dagster_services" in line for line in words)
    assert not [line for line in words if " ingest " in line or " simulate " in line]
    assert "recording" not in up.errors.read_text().replace("nothing is recorded", "")
    up.process.send_signal(signal.SIGHUP)
    assert up.process.wait(45) == 0

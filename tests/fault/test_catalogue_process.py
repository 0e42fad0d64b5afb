"""Process faults of the catalogue (docs/faults.md): starved, out of descriptors, out of memory, stopped at bad moments.

What is hurt is the whole `ingest` command or its recorder; what comes out is judged by
tests/support/judges/identity.py. Kills, pauses and blocked loops have tests of their own, named in the catalogue.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.support.builders.ingest_in_process import SmallIngest
from tests.support.builders.ingest_process import COMMAND, Ingest, run
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.judges.identity import accounts, judge, lake_rows
from tests.support.waiting import wait_until
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.store.log import control_records as control

Start = Callable[..., Simulator]
Started = Callable[[Simulator], Ingest]
BTC = "BTC-USDT"
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
GROUPS = Path("/sys/fs/cgroup")
STOPS_WITHIN_S = 90.0
"""Far beyond what the contract allows: how long a stop takes on a crowded machine is not the point here."""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Start the command on a venue; what still runs in the end is ended."""
    running: list[Ingest] = []

    def start(venue: Simulator) -> Ingest:
        running.append(Ingest(venue, tmp_path / "data", [BTC]))
        return running[-1]

    yield start
    for ingest in running:
        ingest.end()


def assert_whole(venue: Simulator, data_dir: Path) -> None:
    """After recovery nothing is open, and the judge finds nothing wrong."""
    before = venue.truth()
    done = run("recover", "--once", "--rest-url", venue.rest_url, data_dir=data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    assert judge(data_dir, venue.truth(), by_the_end=before) == []


def head(data_dir: Path) -> int:
    """Return the newest id that the ledger knows, 0 before there is one."""
    with suppress(Exception):  # it is being made
        return max((book.head for book in accounts(data_dir).values()), default=0)
    return 0


@contextmanager
def control_group(kind: str, **limits: str) -> Iterator[Path]:
    """Give a control group of the kernel's first kind; skip where there is none, fail in CI."""
    group = GROUPS / kind / f"tp-{os.getpid()}"
    try:
        group.mkdir()
        for name, value in limits.items():
            (group / f"{kind}.{name}").write_text(value)
    except OSError as error:
        message = f"no control group for {kind} here: {error}"
        if IN_CI:
            pytest.fail(message)
        pytest.skip(message)
    try:
        yield group
    finally:
        for process in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                (GROUPS / kind / "cgroup.procs").write_text(process)
        wait_until(lambda: not (group / "cgroup.procs").read_text().split(), what="the group is empty")
        group.rmdir()


def test_starved_to_a_tenth_of_a_core_it_lives_and_loses_nothing(
    simulator: Start,  # noqa: F811
    started: Started,
    tmp_path: Path,
) -> None:
    """P6: for three seconds the recorder runs for 10 ms in each 100: connections are kept, every trade is there."""
    venue = simulator(synthetic(3600.0, symbols=[BTC]), speed=5.0)
    ingest = started(venue)
    recorder = ingest.wait_for("recorder")
    wait_until(lambda: head(tmp_path / "data"), what="recording")
    pause, began = threading.Event(), time.monotonic()
    while time.monotonic() - began < 3:
        recorder.send_signal(signal.SIGSTOP)
        pause.wait(0.09)
        recorder.send_signal(signal.SIGCONT)
        pause.wait(0.01)
    before = head(tmp_path / "data")
    wait_until(lambda: head(tmp_path / "data") > before, what="it goes on")
    assert ingest.worker("recorder") == recorder
    assert ingest.stop(STOPS_WITHIN_S) == 0
    assert [seen.what for seen in venue.server.connections].count("open") == 1
    assert_whole(venue, tmp_path / "data")


@pytest.mark.campaign
def test_a_recorder_that_runs_out_of_memory_is_started_again(
    simulator: Start,  # noqa: F811
    started: Started,
    tmp_path: Path,
) -> None:
    """P5: the kernel ends the recorder for its memory: another starts, and what was missed is fetched."""
    venue = simulator(synthetic(3600.0, symbols=[BTC]), speed=5.0)
    ingest = started(venue)
    recorder = ingest.wait_for("recorder")
    wait_until(lambda: head(tmp_path / "data"), what="recording")
    with control_group("memory", limit_in_bytes=str(1 << 20)) as group:
        # Its pages are charged where they were touched: only what it touches from now on counts, and 1 MB is soon used.
        (group / "cgroup.procs").write_text(str(recorder.pid))
        psutil.wait_procs([recorder], timeout=0.5)
        if recorder.is_running():
            recorder.kill()  # quiet markets touch little: the kernel's own signal, sent by us
        recorder.wait(5)
    again = wait_until(
        lambda: (found := ingest.worker("recorder")) is not None and found.pid != recorder.pid and found,
        what="another recorder",
    )
    before = head(tmp_path / "data")
    wait_until(lambda: head(tmp_path / "data") > before, what="it goes on")
    assert again.is_running()
    assert ingest.stop(STOPS_WITHIN_S) == 0
    assert_whole(venue, tmp_path / "data")


def test_without_a_free_descriptor_it_waits_and_goes_on(
    simulator: Start,  # noqa: F811
    started: Started,
    tmp_path: Path,
) -> None:
    """P7: cut, and no descriptor for a new connection: the log goes on, an error says why, later all is fetched."""
    venue = simulator(synthetic(3600.0, symbols=[BTC]), speed=5.0)
    ingest = started(venue)
    recorder = ingest.wait_for("recorder")
    wait_until(lambda: head(tmp_path / "data"), what="recording")
    most = recorder.rlimit(psutil.RLIMIT_NOFILE)
    # The limit is on a descriptor's number: none is free below it, also once the stream's own is.
    taken = {int(path.name) for path in Path(f"/proc/{recorder.pid}/fd").iterdir()}
    free = min(set(range(len(taken) + 1)) - taken)
    streams = [connection.fd for connection in recorder.net_connections("tcp")]
    recorder.rlimit(psutil.RLIMIT_NOFILE, (min(free, *streams), most[1]))
    venue.call(lambda: venue.server._act([_signal("cut")]))
    log = tmp_path / "ingest.log"
    wait_until(lambda: "Too many open files" in log.read_text(), what="the error is told")
    assert "Traceback" not in log.read_text()
    recorder.rlimit(psutil.RLIMIT_NOFILE, most)
    before = head(tmp_path / "data")
    wait_until(lambda: head(tmp_path / "data") > before, timeout_s=40, what="it goes on")
    assert ingest.worker("recorder") == recorder
    assert ingest.stop(STOPS_WITHIN_S) == 0
    assert_whole(venue, tmp_path / "data")


def _signal(kind: str) -> object:
    from trading_platform.simulate.faults import Signal

    return Signal(Event(kind=kind, at_s=0))


def test_stopped_in_the_middle_of_a_flood_all_that_came_is_kept(
    simulator: Start,  # noqa: F811
    started: Started,
    tmp_path: Path,
) -> None:
    """P9: SIGTERM while trades come as fast as they are taken: in order, within 5 s, and whole after recovery."""
    venue = simulator(synthetic(600.0, symbols=[BTC]), speed=None)
    ingest = started(venue)
    wait_until(lambda: venue.server.sent > 2000, what="a flood")
    recorder = ingest.wait_for("recorder")
    began = time.monotonic()
    ingest.process.send_signal(signal.SIGTERM)
    recorder.wait(10)
    assert time.monotonic() - began < 5
    assert ingest.process.wait(STOPS_WITHIN_S) == 0
    assert_whole(venue, tmp_path / "data")


def test_stopped_while_it_fetches_recovery_ends_and_goes_on_later(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """P9: SIGTERM to `recover` between two pages: exit 0 within 5 s, what was fetched is kept, the next one ends it."""
    busy = Event(kind="rest_5xx", at_s=40, seconds=3600)
    drops = Event(kind="drop", at_s=5, count=100)
    plan = FaultPlan(events=[drops, busy])
    venue = simulator(synthetic(60.0, symbols=[BTC]), speed=None, plan=plan)
    ingest = SmallIngest(tmp_path / "data", venue.ws_url, venue.rest_url)
    ingest.record(lambda: venue.wait_ended(0))
    ingest.process()
    wait_until(lambda: venue.server.api.faults.failing is not None, what="the venue is busy")
    arguments = ["recover", "--venue", "binance", "--rest-url", venue.rest_url, "--data-dir", str(tmp_path / "data")]
    recovery = subprocess.Popen([*COMMAND, *arguments], stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: venue.server.api.requests, what="it was asked")
        began = time.monotonic()
        recovery.send_signal(signal.SIGTERM)
        assert recovery.wait(10) == 0
        assert time.monotonic() - began < 5
    finally:
        recovery.kill()
        recovery.wait()
    assert judge(tmp_path / "data", venue.truth()) == []
    venue.server.api.faults.failing = None
    ingest.assert_whole(venue.truth(), bitten=True)
    ingest.close()


def test_two_recorders_of_one_venue_make_one_account(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """P11: two lanes, overlapping, each with holes where the other has none: the union, once each, and back again."""
    venue = simulator(synthetic(60.0, symbols=[BTC]), speed=20.0, plan=FaultPlan(events=[Event(kind="cut", at_s=30)]))
    ingest = SmallIngest(tmp_path / "data", venue.ws_url, venue.rest_url)
    blue = threading.Thread(target=lambda: ingest.record(lambda: venue.server.sent > 300))
    blue.start()
    wait_until(lambda: venue.server.sent > 100, what="blue records")
    green = threading.Thread(target=lambda: ingest.record(lambda: venue.server.sent > 500, lane="live-binance-b"))
    green.start()
    blue.join()
    ingest.record(lambda: venue.wait_ended(0))  # and back
    green.join()
    ingest.process(["live-binance", "live-binance-b"])
    assert any(isinstance(fact, control.Connected) for fact in ingest.controls("live-binance-b"))
    ingest.assert_whole(venue.truth())
    ids = [row.trade_id for row in lake_rows(ingest.data.root, BTC)]
    assert len(ids) == len(set(ids))
    ingest.close()

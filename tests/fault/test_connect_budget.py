"""A recorder that is killed and started again connects no more often than one that lives, nor after a refusal."""

from __future__ import annotations

import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.builders.ingest_in_process import SmallIngest
from tests.support.builders.venue_limits import with_limit
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.waiting import wait_until
from trading_platform.ingest.rate_limits.stream_bans import stream_ban_until
from trading_platform.ingest.transport import fast_websocket as fast_transport, websocket as websocket_client
from trading_platform.ingest.transport.protocol import Transport
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.store.log import control_records as control

S = 10**9
SCRIPT = Path(__file__).with_name("connect_and_die.py")
ALLOWED = 5
"""Half of half of what connect_and_die's venue allows: from there on attempts are 60 s apart."""
LIVES = 12


@pytest.fixture
def lives() -> Iterator[subprocess.Popen[str]]:
    """Give a process that starts recorders."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    yield process
    process.communicate(timeout=10)


def live_and_die(lives: subprocess.Popen[str], venue: Simulator, root: Path, keeps: str) -> list[str]:
    """Let recorders live one after the other, each until it has connected or may not; return what each said."""
    assert lives.stdin is not None and lives.stdout is not None
    said = []
    for _ in range(LIVES):
        lives.stdin.write(f"{venue.ws_url} {root} {keeps}\n")
        pid = int(lives.stdout.readline())
        said.append(lives.stdout.readline().strip())
        os.kill(pid, signal.SIGKILL)
    return said


def test_a_429_binds_the_next_process_too(tmp_path: Path) -> None:
    """A refused connect is in the log with its end, and whoever starts next finds it there."""
    with refusing(b"429 Too Many Requests", retry_after_s=90) as url:
        ingest = SmallIngest(tmp_path / "data", url, "http://127.0.0.1:1")
        try:
            before_ns = time.time_ns()
            ingest.record(lambda: refusals(ingest))
            until_ns = stream_ban_until(ingest.data, ingest.ledger, "binance", "live-binance")
            assert [fact.channel for fact in refusals(ingest)] == ["stream"]
        finally:
            ingest.close()
    assert before_ns + 90 * S <= until_ns <= time.time_ns() + 90 * S


@pytest.mark.parametrize("code", [1008, 1013])
@pytest.mark.parametrize(
    "transport", [websocket_client.open_stream, fast_transport.open_stream], ids=["library", "fast"]
)
def test_a_close_that_pushes_back_binds_all_connections_and_the_next_process(
    tmp_path: Path,
    simulator: Callable[..., Simulator],  # noqa: F811
    code: int,
    transport: Transport,
) -> None:
    """As after a 429: a minute without a connect by either connection, and in the log for the next process."""
    plan = FaultPlan(events=[Event(kind="close", at_s=5, code=code)])
    venue = simulator(synthetic(3600, symbols=["BTC-USDT", "ETH-USDT"]), speed=5.0, plan=plan)
    symbols = ["BTC-USDT", "ETH-USDT"]
    ingest = SmallIngest(tmp_path / "data", venue.ws_url, venue.rest_url, symbols, transport=transport)
    ingest.adapter.limits = with_limit(ingest.adapter.limits, "streams", 1)
    try:
        before_ns = time.time_ns()
        ingest.record(lambda: len(ingest.ends()) == 2 and time.time_ns() > before_ns + 3 * S)
        until_ns = stream_ban_until(ingest.data, ingest.ledger, "binance", "live-binance")
        assert [end.startswith(f"closed {code}") for end in ingest.ends()] == [True, True]
    finally:
        ingest.close()
    assert before_ns + 60 * S <= until_ns <= time.time_ns() + 60 * S
    assert [seen.what for seen in venue.server.connections] == ["open", "open", "closed", "closed"]


def refusals(ingest: SmallIngest) -> list[control.BanSeen]:
    """Return the refusals in the log."""
    return [fact for fact in ingest.controls() if isinstance(fact, control.BanSeen)]


@contextmanager
def refusing(status: bytes, *, retry_after_s: int) -> Iterator[str]:
    """Answer every connection with this status; give the address."""
    answer = b"HTTP/1.1 %b\r\nRetry-After: %d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    class Refuse(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer % (status, retry_after_s))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuse) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"ws://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            serving.join()


def opened(venue: Simulator) -> int:
    """Return how many connections the venue saw."""
    return sum(seen.what == "open" for seen in venue.server.connections)


def noticed(venue: Simulator, least: int) -> int:
    """Return how many connections the venue saw, once it has noticed those it must have."""
    wait_until(lambda: opened(venue) >= least, what=f"the venue notices {least} connections")
    return opened(venue)


def test_a_crash_loop_keeps_the_connect_budget(
    tmp_path: Path,
    simulator: Callable[..., Simulator],  # noqa: F811
    lives: subprocess.Popen[str],
) -> None:
    """Killed after each connect, the recorders of one data directory share the budget of one; forgetting breaks it."""
    venue = simulator(synthetic(3600))
    said = live_and_die(lives, venue, tmp_path / "data", "kept")
    assert said == ["open"] * ALLOWED + ["held back"] * (LIVES - ALLOWED)
    assert noticed(venue, ALLOWED) == ALLOWED
    # The control: recorders that do not know of each other exceed it.
    assert live_and_die(lives, venue, tmp_path / "other", "forgotten") == ["open"] * LIVES
    assert noticed(venue, ALLOWED + LIVES) == ALLOWED + LIVES

"""The command `simulate` as a process: its first line, its end by signal, and one clear line for what is wrong."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.support.builders.venue_thread import RECORDINGS
from tests.support.waiting import wait_until
from trading_platform.commands.simulate import parse_speed
from trading_platform.domain.errors import UsageError

COMMAND = [sys.executable, "-m", "trading_platform", "simulate", "--venue", "binance"]


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Start the command; give the process and its first line. Whatever happens it has ended afterwards."""
    with (folder / "stderr.txt").open("w") as stderr:
        process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_serves_until_it_is_told_to_stop(tmp_path, shared_data, number):
    """The first line tells both addresses, a recording is served and told in the truth, and a signal ends it with 0."""
    truth = tmp_path / "truth.jsonl"
    recordings = [word for name in RECORDINGS for word in ("--recording", str(shared_data(name)))]
    with running(tmp_path, *recordings, "--speed", "max", "--truth", str(truth)) as (process, told):
        assert set(told) == {"ws_url", "rest_url"}
        with connect(told["ws_url"] + "/ws/btcusdt@trade", compression=None) as client:
            first = json.loads(client.recv(timeout=10))
            assert (first["e"], first["t"]) == ("trade", 3735683259)
            for _ in range(19_903):
                client.recv(timeout=10)
        wait_until(lambda: len(truth.read_text().splitlines()) == 19_904)
        url = told["rest_url"] + "/api/v3/historicalTrades?symbol=BTCUSDT&limit=1"
        assert httpx.get(url, trust_env=False).json()[0]["id"] == 3735703162
        wait_until(lambda: "market ended" in (tmp_path / "stderr.txt").read_text(), what="a line on stderr")
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stdout.read() == ""


def test_the_ports_can_be_chosen(tmp_path):
    """REST listens on the port after the stream's; the synthetic market is there without a recording."""
    port = free_ports()
    with running(tmp_path, "--port", str(port)) as (process, told):
        assert told == {"ws_url": f"ws://127.0.0.1:{port}", "rest_url": f"http://127.0.0.1:{port + 1}"}
        listed = httpx.get(told["rest_url"] + "/api/v3/exchangeInfo", trust_env=False).json()["symbols"]
        assert [row["symbol"] for row in listed] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
        process.terminate()
        assert process.wait(10) == 0


def free_ports() -> int:
    """Return a port that is free together with the next."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def refusal(*arguments: str) -> str:
    """Return the one line on stderr of a command that must refuse."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_what_is_wrong_is_one_clear_line(tmp_path, shared_data):
    """A truncated recording, an unknown key, a port in use, a bad speed: one line, exit 2."""
    cut = tmp_path / "cut.gz"
    cut.write_bytes(shared_data(RECORDINGS[0]).read_bytes()[:100_000])
    assert "truncated" in refusal("--recording", str(cut))
    plan = tmp_path / "plan.json"
    plan.write_text('{"dorp": 1}')
    assert "unknown key 'dorp'" in refusal("--faults", str(plan))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "in use" in refusal("--port", str(taken.getsockname()[1]))
    assert "not a speed" in refusal("--speed", "0")
    assert "--loop" in refusal("--loop")
    assert "truth file" in refusal("--truth", str(tmp_path / "no" / "truth.jsonl"))


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fast", ""])
def test_an_impossible_speed_is_refused(text):
    """A speed is a number above zero, or max."""
    with pytest.raises(UsageError, match="not a speed"):
        parse_speed(text)


def test_an_unknown_venue_is_refused():
    """A venue that is not in the table is named together with those that are."""
    done = subprocess.run([*COMMAND[:-1], "nasdaq"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "known: binance" in done.stderr

"""Parent and child talk in lines, and neither ever waits for the other."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from trading_platform.ingest.workers import messages
from trading_platform.processes import worker_process as children

ECHO = """
import sys, threading
from trading_platform.processes.worker_process import obey_parent, parent_teller

tell, end = parent_teller(), threading.Event()
obey_parent(stop=end.set, orphaned=lambda: sys.exit(3), told=lambda line: tell(line[::-1]))
tell(b"ready")
end.wait()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "echo_child.py").write_text(ECHO)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.pathsep.join(p for p in sys.path if p)}")
    return "echo_child"


@pytest.mark.process
def test_messages_go_both_ways_and_a_stop_stops(module: str) -> None:
    """Lines arrive whole and in order; the stop is no message."""
    child = children.start("echo", [module], {})
    got: list[bytes] = []
    wait_until(lambda: got.extend(child.messages()) or got == [b"ready"], what="it runs")
    for number in range(100):
        assert child.tell(b"line %d" % number)
    wait_until(lambda: got.extend(child.messages()) or len(got) == 101, what="all echoes")
    assert got[1:] == [(b"line %d" % number)[::-1] for number in range(100)]
    assert child.stop(10.0) == 0
    assert child.messages() == []
    assert not child.tell(b"too late")


@pytest.mark.process
def test_a_child_that_does_not_listen_costs_its_messages_only(module: str) -> None:
    """A full pipe refuses the next line; nobody waits."""
    child = children.start("deaf", ["trading_platform"], {})
    child.stop(10.0)
    assert not child.tell(b"x" * 4000)


def test_a_full_pipe_drops_the_line() -> None:
    """What does not fit is not sent in part."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    sent = 0
    while children._write_line(write, b"x" * 999):
        sent += 1
    data = os.read(read, 1 << 20)
    assert data.count(b"\n") == sent
    assert len(data) == 1000 * sent
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("symbols", [1, 40, 1024])
def test_any_number_of_symbols_is_said_in_lines_that_fit(symbols: int) -> None:
    """A thousand symbols are several lines, each short enough for one write."""
    names = [f"ASSET{number:05d}-USDT-PERP" for number in range(symbols)]
    lines = list(messages.heads(dict.fromkeys(names, (1 << 63) - 1)))
    assert all(len(line) < 4096 for line in lines)
    told: dict[str, int | None] = {}
    for line in lines:
        message = messages.decode_message(line)
        assert isinstance(message, messages.Heads)
        told |= message.heads
    assert list(told) == names
    asked = [messages.decode_message(line) for line in messages.probe(names)]
    assert sum(len(message.symbols) for message in asked if isinstance(message, messages.ProbeRequest)) == symbols


def test_a_line_of_another_version_is_passed_over() -> None:
    """During an update one side may not know what the other says."""
    assert messages.decode_message(b'{"type":"sing"}') is None
    assert messages.decode_message(b"\xff") is None

"""A signal that comes while a command is still being imported ends it in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trading_platform.cli import COMMANDS
from trading_platform.processes import early_signals

HANGS = """
import sys, threading


class Hanging:
    def find_spec(self, name, path=None, target=None):
        if name in {"trading_platform.settings", "trading_platform.quick_settings"}:
            print("importing", flush=True)
            threading.Event().wait(60)


sys.meta_path.insert(0, Hanging())
"""


def stopped_while_importing(name: str, number: signal.Signals, tmp_path: Path) -> tuple[int, str]:
    """Return the exit code and the stderr of a command that gets a signal within its imports."""
    (tmp_path / "sitecustomize.py").write_text(HANGS)
    arguments = ["--venue", "binance"] if name in {"ingest", "simulate"} else []
    process = subprocess.Popen(
        [sys.executable, "-m", "trading_platform", name, *arguments, "--data-dir", str(tmp_path / "data")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    return process.returncode, err


@pytest.mark.process
@pytest.mark.parametrize("name", sorted(early_signals.UNTIL_STOPPED))
def test_a_command_that_is_being_imported_stops_in_order(name: str, tmp_path: Path) -> None:
    """SIGTERM during imports: exit 0, nothing said, nothing made."""
    assert stopped_while_importing(name, signal.SIGTERM, tmp_path) == (0, "")
    assert not (tmp_path / "data").exists()


@pytest.mark.process
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_command_that_ends_by_itself_did_not_do_its_work(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """A question that is interrupted before it began says nothing either, but does not claim to have answered."""
    assert stopped_while_importing("status", number, tmp_path) == (code, "")


def test_every_command_named_exists() -> None:
    """The set is of commands that there are."""
    assert set(COMMANDS) >= early_signals.UNTIL_STOPPED

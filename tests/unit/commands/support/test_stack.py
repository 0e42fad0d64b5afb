"""What `up` runs: a refusal of ingest ends the start, on a used data directory too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trading_platform.commands.support.stack import Platform, Recorded
from trading_platform.domain.errors import UsageError
from trading_platform.processes import process_tree as processes


class Refusing(Platform):
    """A platform whose ingest refuses to start."""

    words = "binance does not list FOO-USDT"

    def _ingest(self, recorded: Recorded) -> list[str]:
        return ["-c", f"import sys; sys.exit(print({'trading-platform: ' + self.words!r}, file=sys.stderr) or 2)"]


@pytest.fixture(autouse=True)
def _only_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `up` end and adopt nothing here: its process is that of the tests, whose children are not all its own."""
    monkeypatch.setattr(processes, "end_all", lambda timeout_s: None)
    monkeypatch.setattr(processes, "adopt_orphans", lambda: None)


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """Return a data directory in which something was recorded an hour ago."""
    segment = tmp_path / "log" / "live-binance" / "00000000.seg"
    segment.parent.mkdir(parents=True)
    segment.write_bytes(b"")
    os.utime(segment, (1e9, 1e9))
    return tmp_path


@pytest.mark.process
def test_what_ingest_refuses_ends_the_start_of_a_used_directory(used):
    """What lies there from before does not pass for recording: ingest's own words, and no Dagster."""
    platform = Refusing(used, (Recorded("binance", ("FOO-USDT",)),), simulated=False, port=None)
    try:
        assert not platform.writing(platform.recorded)
        with pytest.raises(UsageError, match="binance does not list FOO-USDT"):
            platform.start(lambda seconds: False)
        assert not platform.log_of("dagster").exists()
    finally:
        platform.stop()


@pytest.mark.process
def test_another_ingest_is_no_refusal(used):
    """Where another process records, ours waits for its end."""
    platform = Refusing(used, (Recorded("binance", ("FOO-USDT",)),), simulated=False, port=None)
    platform.words = f"ingest of binance in data is in use by process {os.getpid()}; stop it first"
    platform.supervisor.add(platform._service("ingest-binance", *platform._ingest(platform.recorded[0])))
    try:
        while platform.supervisor.exit_code("ingest-binance") is None:
            pass
        platform._check_refused()
    finally:
        platform.stop()


def test_addresses_are_not_among_the_words_of_a_process(tmp_path):
    """Every user of a machine reads the words; what the settings name may hold credentials."""
    platform = Platform(tmp_path, (Recorded("binance", ("BTC-USDT",)),), simulated=False, port=None)
    words = platform._ingest(platform.recorded[0])
    assert words[-2:] == ["--data-dir", str(tmp_path)]
    assert not [word for word in words if "://" in word or word.endswith("-url")]

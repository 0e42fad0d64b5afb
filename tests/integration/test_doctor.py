"""`doctor` names what is wrong on this machine, and what to do about it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from trading_platform import cli
from trading_platform.commands import doctor


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run it and return the exit code and its findings."""
    code = cli.main(["doctor", "--json", *words])
    return code, {row["check"]: row for row in json.loads(capsys.readouterr().out)}


def test_a_machine_that_is_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything is looked at, nothing is left behind."""
    code, found = told(capsys, "--data-dir", str(tmp_path))
    assert code == 0
    assert {"python", "data directory", "disk", "fdatasync", "open files", "UI port", "database", "venues"} == set(
        found
    )
    assert list(tmp_path.iterdir()) == []


def test_a_venue_that_answers_and_one_that_does_not(
    simulator: Callable[..., Simulator],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first is told with its clock; the second is wrong, exit 1, with what to do."""
    venue = simulator(synthetic(60))
    monkeypatch.setenv("TRADING_PLATFORM_VENUES__BINANCE__SYMBOLS", "BTC-USDT")
    monkeypatch.setenv("TRADING_PLATFORM_VENUES__BINANCE__REST_URL", venue.rest_url)
    code, found = told(capsys, "--data-dir", str(tmp_path))
    assert (code, found["binance"]["state"]) == (0, "ok")
    assert found["binance"]["found"].startswith("answers")
    with socket.create_server(("127.0.0.1", 0)) as free:
        nowhere = free.getsockname()[1]
    monkeypatch.setenv("TRADING_PLATFORM_VENUES__BINANCE__REST_URL", f"http://127.0.0.1:{nowhere}")
    code, found = told(capsys, "--data-dir", str(tmp_path))
    assert (code, found["binance"]["state"]) == (1, "wrong")
    assert "venues.*.rest_url" in found["binance"]["advice"]
    assert "binance" not in told(capsys, "--offline", "--data-dir", str(tmp_path))[1]


def test_a_database_that_is_away_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its address is told without the password."""
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/d")
    code, found = told(capsys, "--data-dir", str(tmp_path))
    assert (code, found["database"]["state"]) == (1, "wrong")
    assert "hunter2" not in json.dumps(found)


@pytest.mark.parametrize(
    ("date", "state"),
    [("Mon, 04 Mar 2024 00:00:00 GMT", "ok"), ("Mon, 04 Mar 2024 00:00:03 GMT", "wrong"), (None, "ok")],
)
def test_a_clock_that_is_off_is_wrong(date: str | None, state: str) -> None:
    """A venue's clock is told in whole seconds: half of one is no news, three are."""
    assert doctor._answered("v", 200, date, 1_709_510_400.2).state == state
    assert doctor._answered("v", 451, date, 0.0).state == "wrong"


def test_a_disk_that_is_nearly_full_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one that cannot be written; a slow one is to be looked at."""
    there: Any = SimpleNamespace(data_dir=tmp_path)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: SimpleNamespace(free=1 << 30))
    monkeypatch.setattr(doctor, "_sync_ms", lambda place: 80.0)
    full, slow = doctor.disk(there)
    assert (full.state, slow.state) == ("wrong", "look")

    def refuse(place: Path) -> float:
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(doctor, "_sync_ms", refuse)
    assert [finding.state for finding in doctor.disk(there)] == ["wrong", "wrong"]

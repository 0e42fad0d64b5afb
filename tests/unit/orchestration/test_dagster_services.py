"""What `up` runs of Dagster, and loading its definitions again when the first day has moved and rests."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from trading_platform.domain.errors import SettingsError
from trading_platform.orchestration.dagster_home import LOCATION, WAREHOUSE, prepare
from trading_platform.orchestration.dagster_services import Reload, code_locations, services
from trading_platform.settings import load


def test_each_code_location_has_a_process_and_a_socket_of_its_own(tmp_path: Path) -> None:
    """Ours are first, one that the settings name twice is served once, and all stand in the workspace."""
    places = code_locations(tmp_path, ["my_desk.definitions", LOCATION, "other"])
    assert [place.module for place in places] == [LOCATION, WAREHOUSE, "my_desk.definitions", "other"]
    codes, others = services(tmp_path, places, 3000, {"A": "b"})
    assert [(code.name, code.environ) for code in codes] == [
        ("dagster code server", {"A": "b"}),
        (f"dagster code server of {WAREHOUSE}", {"A": "b"}),
        ("dagster code server of my_desk.definitions", {"A": "b"}),
        ("dagster code server of other", {"A": "b"}),
    ]
    assert [other.name for other in others] == ["dagster daemon", "dagster webserver"]
    served = [
        {"grpc_server": {"socket": str(place.socket), "location_name": place.module}, "module": place.module}
        for place in places
    ]
    for entry, code in zip(served, codes, strict=True):
        words = dict(zip(code.command, code.command[1:], strict=False))
        assert words["--module-name"] == words["--location-name"] == entry.pop("module")
        assert {"socket": words["--socket"], "location_name": words["--location-name"]} == entry["grpc_server"]
    assert yaml.safe_load((tmp_path / "workspace.yaml").read_text()) == {"load_from": served}


def test_locations_are_modules(tmp_path: Path) -> None:
    """A file, or words for a shell, are refused in one line."""
    name = "TRADING_PLATFORM_DAGSTER__CODE_LOCATIONS"
    assert load({name: "a.b, c"}, tmp_path).dagster.code_locations == ("a.b", "c")
    for wrong in ("desk.py/", "a b", "--help", "a..b"):
        with pytest.raises(SettingsError, match="is not a Python module's name"):
            load({name: wrong}, tmp_path)


def test_the_configuration_follows_the_settings(tmp_path: Path) -> None:
    """SQLite without a database, a place for each venue's recording; a user's own file is left alone."""
    config = prepare(tmp_path) / "dagster.yaml"
    found = yaml.safe_load(config.read_text())
    assert "storage" not in found and found["concurrency"]["runs"]["max_concurrent_runs"] == 11
    prepare(tmp_path, in_database=True, venues=3)
    found = yaml.safe_load(config.read_text())
    assert found["storage"]["custom"]["class"] == "SettingsStorage"
    assert found["concurrency"]["runs"]["max_concurrent_runs"] == 13
    assert found["telemetry"] == found["nux"] == {"enabled": False} and found["run_monitoring"]["enabled"]
    config.write_text("telemetry: {enabled: false}\n")
    prepare(tmp_path, in_database=True)
    assert config.read_text() == "telemetry: {enabled: false}\n"


class Child:
    """A process that ends when it is told to."""

    returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode


class Played:
    """A reload on a clock that is set by hand."""

    def __init__(self, noted: str | None) -> None:
        self.noted, self.now = noted, 100.0
        self.children: list[Child] = []
        self.reload = Reload("2024-08-08", lambda: self.noted, self._start, lambda: self.now)  # type: ignore[arg-type]

    def _start(self) -> Child:
        self.children.append(Child())
        return self.children[-1]

    def after(self, seconds: float) -> int:
        """Look again so much later; return how often it was asked in all."""
        self.now += seconds
        self.reload.look()
        return len(self.children)


def test_a_day_that_rests_is_loaded_once() -> None:
    """Neither at once nor twice; a fetch that moves it again and again is waited for."""
    played = Played("2024-08-08")
    assert played.after(60) == 0
    for day in ("2024-08-07", "2024-08-06", "2024-08-05"):
        played.noted = day
        assert played.after(2) == 0
    assert [played.after(2.9), played.after(0.2), played.after(60)] == [0, 1, 1]
    played.children[0].returncode = 0
    assert played.after(60) == 1


def test_what_moves_meanwhile_is_loaded_after_the_first_has_ended() -> None:
    """Never two at a time."""
    played = Played("2024-08-07")
    played.after(0)
    assert played.after(4) == 1
    played.noted = "2024-08-01"
    played.after(0)
    assert played.after(60) == 1
    played.children[0].returncode = 0
    assert played.after(0) == 2


def test_a_code_server_that_was_not_there_is_asked_again() -> None:
    """After a pause; a file that is away or damaged for a moment asks nothing."""
    played = Played("2024-08-07")
    played.after(0)
    assert played.after(4) == 1
    played.children[0].returncode = 1
    assert [played.after(0), played.after(2.9), played.after(0.2)] == [1, 1, 2]
    played.children[1].returncode = 0
    played.noted = None
    assert played.after(60) == 2

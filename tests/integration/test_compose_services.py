"""Our services of deploy/compose.yaml, started from packages with the file's own words, environment and checks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
import yaml

from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.database import Server, postgres  # noqa: F401  the fixture
from tests.support.waiting import wait_until
from trading_platform.commands.support.stack import free_port

# ruff: noqa: F811  fixtures are handed in under their own names

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


class Host:
    """This machine in the place of Compose: paths, hosts and ports of the file are replaced by what is here."""

    def __init__(self, folder: Path, database: str, venue: Simulator) -> None:
        self._services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._folder, self._venue = folder, venue
        parts = urlsplit(database)
        passwords = folder / "pgpass"
        passwords.write_text(f"*:*:*:{parts.username}:{unquote(parts.password or '')}\n")
        passwords.chmod(0o600)
        self.ui = str(free_port(0))
        self._here = {
            "postgresql://platform@database:5432/platform": f"postgresql://{parts.username}@{parts.hostname}:{parts.port}{parts.path}",
            "/run/secrets/pgpass": str(passwords),
            "/etc/trading-platform/workspace.yaml": str(folder / "workspace.yaml"),
            "${SITE_ADDRESS:-localhost}": "localhost",
            "4000": str(free_port(0)),
            "4001": str(free_port(0)),
            "3000": self.ui,
            "9464": str(free_port(0)),
            "host: code": "host: 127.0.0.1",
            "host: warehouse": "host: 127.0.0.1",
        }
        (folder / "workspace.yaml").write_text(self._local((DEPLOY / "compose" / "workspace.yaml").read_text()))

    def _local(self, text: str) -> str:
        for there, here in self._here.items():
            text = text.replace(there, here)
        return str(self._folder / "data") + text.removeprefix("/data") if text.startswith("/data") else text

    def _environ(self, name: str) -> dict[str, str]:
        named = {key: self._local(value) for key, value in self._services[name]["environment"].items()}
        if name == "ingest":  # the file records the real exchange
            named["TRADING_PLATFORM_VENUES__BINANCE__SYMBOLS"] = "BTC-USDT,ETH-USDT"
            named["TRADING_PLATFORM_VENUES__BINANCE__WS_URL"] = self._venue.ws_url
            named["TRADING_PLATFORM_VENUES__BINANCE__REST_URL"] = self._venue.rest_url
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "PYTEST_RUN_MARK": os.environ["PYTEST_RUN_MARK"], **named}

    def start(self, name: str) -> None:
        """Start a service with its own command."""
        words = [self._local(word) for word in self._services[name]["command"]]
        with (self._folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                words, env=self._environ(name), stdout=log, stderr=log, cwd=self._folder, start_new_session=True
            )

    def finish(self, name: str) -> None:
        """Start a service that ends, and see that it ends well."""
        self.start(name)
        assert self._running.pop(name).wait(100) == 0, self.log(name)

    def healthy(self, name: str) -> None:
        """Ask its health check until it is well."""
        words = [self._local(word) for word in self._services[name]["healthcheck"]["test"][1:]]
        environ = self._environ(name)

        def well() -> bool:
            assert self._running[name].poll() is None, self.log(name)
            return subprocess.run(words, env=environ, capture_output=True, timeout=60, check=False).returncode == 0

        wait_until(well, timeout_s=150, every_s=0.5, what=f"{name} is well")

    def log(self, name: str) -> str:
        """Return the end of what it said."""
        return (self._folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def stop(self, name: str) -> int:
        """Stop a service in order; return its exit code."""
        self._running[name].send_signal(signal.SIGTERM)
        return self._running[name].wait(60)

    def close(self) -> None:
        """Kill what is left."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def host(tmp_path: Path, postgres: Server, simulator: Callable[..., Simulator]) -> Iterator[Host]:
    """Give a machine with an empty data directory, a database and an exchange."""
    found = Host(tmp_path, postgres.database(), simulator(synthetic(3600, symbols=["BTC-USDT", "ETH-USDT"]), speed=1))
    yield found
    found.close()


@pytest.mark.timeout(300)
def test_every_service_of_ours_becomes_well(host: Host) -> None:
    """In the file's order; the UI shows our code locations and changes nothing; recording stops in order."""
    host.start("ingest")
    host.finish("migrate")
    host.finish("prepare")
    for name in ("code", "warehouse"):
        host.start(name)
    for name in ("code", "warehouse"):
        host.healthy(name)
    host.start("daemon")
    host.start("webserver")
    for name in ("webserver", "daemon", "ingest"):
        host.healthy(name)

    def ask(query: str) -> Any:
        return httpx.post(f"http://127.0.0.1:{host.ui}/graphql", json={"query": query}, timeout=30).json()

    shown = ask("{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }")
    well = {"locationOrLoadError": {"__typename": "RepositoryLocation"}}
    assert shown["data"]["workspaceOrError"]["locationEntries"] == [well, well]
    may = ask("{ permissions { permission value } }")["data"]["permissions"]
    assert len(may) > 5 and not any(found["value"] for found in may)
    assert host.stop("ingest") == 0

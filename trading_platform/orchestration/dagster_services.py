"""Supervise Dagster's processes (code server, daemon, webserver). Imports no Dagster; `up` starts this as a child.

    python -m trading_platform.orchestration.dagster_services --home data/dagster --port 3000

`dagster dev` cannot be stopped as a whole: its code server and the runs outlive it. This process starts the three
services, restarts any that dies, and at the end stops the daemon (no new runs), then the runs, then the rest. It stops
on a signal, which it also gets when its parent dies (processes/parent_death.py).
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from trading_platform.domain.days import day_of
from trading_platform.orchestration.dagster_home import LOCATION, WAREHOUSE, batching, prepare
from trading_platform.orchestration.history import compaction
from trading_platform.processes import process_tree as processes
from trading_platform.processes.service_supervisor import Service, ServiceSupervisor
from trading_platform.settings import load
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake.first_day import first_day, noted_first_day

HOST = "127.0.0.1"

_LOCATION = "  - grpc_server: {{socket: {socket}, location_name: {name}}}\n"
_INSTANCE = "trading_platform.orchestration.instance_admin"
_WEBSERVER = "trading_platform.orchestration.webserver"
_CODE = "dagster code server"
_DAEMON = "dagster daemon"
_POLL_S = 0.2
_CODE_S = 30.0
_DAEMON_S = 5.0
_CANCEL_S = 12.0
_REST_S = 4.0
_RESTS_S = 3.0
"""How long the first day must be unchanged before a reload: a fetch of many days moves it many times."""


class CodeLocation(NamedTuple):
    """A module with definitions, served by a process of its own: one that is broken does not stop the others."""

    module: str
    socket: Path

    @property
    def service(self) -> str:
        """The name of its process."""
        return _CODE if self.module == LOCATION else f"{_CODE} of {self.module}"


def code_locations(folder: Path, named: Sequence[str]) -> list[CodeLocation]:
    """Return the platform's own locations first, then those of the settings; `folder` takes their sockets."""
    modules = dict.fromkeys((LOCATION, WAREHOUSE, *named))
    return [CodeLocation(module, folder / f"code-{at}.sock") for at, module in enumerate(modules)]


def services(
    folder: Path, locations: Sequence[CodeLocation], port: int | None, environ: Mapping[str, str]
) -> tuple[list[Service], list[Service]]:
    """Return what serves the code and what asks for it; `folder` takes the workspace file, port None: no webserver."""
    workspace = folder / "workspace.yaml"
    served = (_LOCATION.format(socket=place.socket, name=place.module) for place in locations)
    workspace.write_text("load_from:\n" + "".join(served))
    python, quiet = (sys.executable, "-m"), ("--log-level", "warning")
    # Not `api grpc`, which cannot load its code again: this one runs such a server as a child, and starts a second one
    # beside it when it is asked to; runs of the first end in peace.
    start = (*python, "dagster", "code-server", "start")
    codes = []
    for place in locations:
        code = ("--module-name", place.module, "--socket", str(place.socket), "--location-name", place.module)
        codes.append(Service(place.service, (*start, *code, *quiet), environ))
    daemon = (*python, "dagster._daemon", "run", "--workspace", str(workspace), *quiet)
    others = [Service(_DAEMON, daemon, environ, stop_signal=signal.SIGINT)]
    if port is not None:
        web = (*python, _WEBSERVER, "--workspace", str(workspace), "--port", str(port))
        others.append(Service("dagster webserver", web, environ))
    return codes, others


def create_databases(home: Path, where: str, environ: Mapping[str, str], stopping: threading.Event) -> None:
    """Let one process make Dagster's databases: at the first start, after an update of Dagster, in another place."""
    made, wanted = home / "made-by-dagster", f"{version('dagster')} {where}".strip()
    if made.exists() and made.read_text() == wanted:
        return
    child = processes.start([sys.executable, "-m", _INSTANCE, "create"], env=environ)
    while child.poll() is None and not stopping.wait(_POLL_S):
        continue
    if child.poll() == 0:
        made.write_text(wanted)


def stop(supervisor: ServiceSupervisor, locations: Sequence[CodeLocation], environ: Mapping[str, str]) -> None:
    """Stop the daemon, then the runs, then everything else below this process."""
    supervisor.stop([_DAEMON], _DAEMON_S)
    codes = [pid for place in locations if (pid := supervisor.pid(place.service)) is not None]

    def workers() -> list[int]:
        return [pid for code in codes for pid in run_workers(code)]

    if workers():
        # Dagster itself is asked, so that the runs are recorded as cancelled and not as failed.
        processes.start([sys.executable, "-m", _INSTANCE, "cancel"], env=environ)
        processes.wait_gone(workers, _CANCEL_S)
    processes.end_all(_REST_S)


def _are_served(locations: Sequence[CodeLocation]) -> bool:
    return all(place.socket.exists() for place in locations)


def run_workers(code_server: int) -> list[int]:
    """Return the processes of runs, with what they started."""
    below = [pid for pid in processes.descendants(code_server) if not processes.is_helper(pid)]
    return [pid for pid in below if not {"api", "grpc"} <= set(processes.words(pid))]


class Reload:
    """Reloads the definitions when the lake's first day has moved and is stable again.

    Parameters
    ----------
    loaded : the first day that the definitions begin with.
    noted : tells the first day that the lake notes.
    start : starts the process that asks the code server.
    """

    def __init__(
        self,
        loaded: str,
        noted: Callable[[], str | None],
        start: Callable[[], subprocess.Popen[bytes]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loaded = self._seen = loaded
        self._noted, self._start, self._monotonic = noted, start, monotonic
        self._since = monotonic()
        self._child: subprocess.Popen[bytes] | None = None

    def look(self) -> None:
        """Look at the first day, and ask if it is time."""
        now, day = self._monotonic(), self._noted() or self._seen
        if day != self._seen:
            self._seen, self._since = day, now
        if self._child is not None and self._child.poll() is not None:
            if self._child.returncode != 0:  # the code server was not there: asked again
                self._loaded, self._since = "", now
            self._child = None
        if self._seen != self._loaded and self._child is None and now - self._since >= _RESTS_S:
            self._loaded, self._child = self._seen, self._start()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the services until SIGTERM, SIGINT or SIGHUP."""
    parser = argparse.ArgumentParser(prog="python -m trading_platform.orchestration.dagster_services")
    parser.add_argument("--home", type=Path, required=True, help="Dagster's folder")
    parser.add_argument("--port", type=int, help="port of the UI on the loopback; none: no webserver")
    args = parser.parse_args(arguments)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    processes.adopt_orphans()
    settings = load(overrides={"data_dir": str(args.home.parent)})
    url = settings.database_url.get_secret_value()
    prepare(args.home.parent, in_database=bool(url), venues=max(len(settings.venues), 1))
    environ = {**os.environ, **batching(in_database=bool(url))}
    environ |= {"DAGSTER_HOME": str(args.home), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    # Short, because a socket's path has 107 characters at most, and a data directory's may have more.
    folder = Path(tempfile.mkdtemp(prefix="trading-platform-"))
    supervisor = ServiceSupervisor()
    try:
        create_databases(args.home, "in the database" if url else "", environ, stopping)
        compaction.prepare(args.home)  # now, while nothing has the databases open
        locations = code_locations(folder, settings.dagster.code_locations)
        codes, others = services(folder, locations, args.port, environ)
        ask = [sys.executable, "-m", _INSTANCE, "reload", *(str(place.socket) for place in locations[:2])]
        data = DataDir(args.home.parent)
        loaded = first_day(data) or day_of(time.time_ns())
        reload = Reload(loaded, lambda: noted_first_day(data), lambda: processes.start(ask, env=environ))
        for code in codes:
            supervisor.add(code)
        asked_at = time.monotonic()
        while not stopping.wait(_POLL_S):
            supervisor.keep_up()
            processes.reap()
            # The others look for the code when they start, and only much later again.
            if others and (_are_served(locations) or time.monotonic() - asked_at > _CODE_S):
                supervisor.add(others.pop(0))
            elif not others:
                reload.look()
        stop(supervisor, locations, environ)
    finally:
        processes.end_all(0.0)
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

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

from trading_platform.domain.days import day_of
from trading_platform.orchestration.dagster_home import LOCATION
from trading_platform.orchestration.history import compaction
from trading_platform.processes import process_tree as processes
from trading_platform.processes.service_supervisor import Service, ServiceSupervisor
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake.first_day import first_day, noted_first_day

HOST = "127.0.0.1"

_WORKSPACE = "load_from:\n  - grpc_server: {{socket: {socket}, location_name: {location}}}\n"
_INSTANCE = "trading_platform.orchestration.instance_admin"
_WEBSERVER = "trading_platform.orchestration.webserver"
_SOCKET = "code.sock"
_DAEMON = "dagster daemon"
_POLL_S = 0.2
_CODE_S = 30.0
_DAEMON_S = 5.0
_CANCEL_S = 12.0
_REST_S = 4.0
_RESTS_S = 3.0
"""How long the first day must be unchanged before a reload: a fetch of many days moves it many times."""


def services(folder: Path, port: int | None, environ: Mapping[str, str]) -> list[Service]:
    """Return what to start; `folder` takes the socket and the workspace file, `port` None: no webserver."""
    socket, workspace = folder / _SOCKET, folder / "workspace.yaml"
    workspace.write_text(_WORKSPACE.format(socket=socket, location=LOCATION))
    python, quiet = (sys.executable, "-m"), ("--log-level", "warning")
    # Not `api grpc`, which cannot load its code again: this one runs such a server as a child, and starts a second one
    # beside it when it is asked to; runs of the first end in peace.
    code = (*python, "dagster", "code-server", "start", "--module-name", LOCATION, "--socket", str(socket))
    daemon = (*python, "dagster._daemon", "run", "--workspace", str(workspace), *quiet)
    found = [
        Service("dagster code server", (*code, "--location-name", LOCATION, *quiet), environ),
        Service(_DAEMON, daemon, environ, stop_signal=signal.SIGINT),
    ]
    if port is not None:
        web = (*python, _WEBSERVER, "--workspace", str(workspace), "--port", str(port))
        found.append(Service("dagster webserver", web, environ))
    return found


def create_databases(home: Path, environ: Mapping[str, str], stopping: threading.Event) -> None:
    """Let one process make Dagster's databases, at the first start and after an update of Dagster."""
    made = home / "made-by-dagster"
    if made.exists() and made.read_text() == version("dagster"):
        return
    child = processes.start([sys.executable, "-m", _INSTANCE, "create"], env=environ)
    while child.poll() is None and not stopping.wait(_POLL_S):
        continue
    if child.poll() == 0:
        made.write_text(version("dagster"))


def stop(supervisor: ServiceSupervisor, environ: Mapping[str, str]) -> None:
    """Stop the daemon, then the runs, then everything else below this process."""
    supervisor.stop([_DAEMON], _DAEMON_S)
    code = supervisor.pid("dagster code server")
    if code is not None and run_workers(code):
        # Dagster itself is asked, so that the runs are recorded as cancelled and not as failed.
        processes.start([sys.executable, "-m", _INSTANCE, "cancel"], env=environ)
        processes.wait_gone(lambda: run_workers(code), _CANCEL_S)
    processes.end_all(_REST_S)


def _is_served(folder: Path) -> bool:
    return (folder / _SOCKET).exists()


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
    environ = {**os.environ, "DAGSTER_HOME": str(args.home), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    # Short, because a socket's path has 107 characters at most, and a data directory's may have more.
    folder = Path(tempfile.mkdtemp(prefix="trading-platform-"))
    supervisor = ServiceSupervisor()
    try:
        create_databases(args.home, environ, stopping)
        compaction.prepare(args.home)  # now, while nothing has the databases open
        code, *others = services(folder, args.port, environ)
        ask = [sys.executable, "-m", _INSTANCE, "reload", str(folder / _SOCKET)]
        data = DataDir(args.home.parent)
        loaded = first_day(data) or day_of(time.time_ns())
        reload = Reload(loaded, lambda: noted_first_day(data), lambda: processes.start(ask, env=environ))
        supervisor.add(code)
        asked_at = time.monotonic()
        while not stopping.wait(_POLL_S):
            supervisor.keep_up()
            processes.reap()
            # The others look for the code when they start, and only much later again.
            if others and (_is_served(folder) or time.monotonic() - asked_at > _CODE_S):
                supervisor.add(others.pop(0))
            elif not others:
                reload.look()
        stop(supervisor, environ)
    finally:
        processes.end_all(0.0)
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

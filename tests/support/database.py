"""A real TimescaleDB for tests: one server for the whole run, shared by its workers, a database of its own a test.

Its programs are Debian's packages, unpacked by the run itself where they are missing. Where that is not possible a test
is skipped loudly; with CI=true it fails. A keeper process (`python -m tests.support.database`) owns the server: it ends
it when the run has ended, however that was. A test that kills its server takes one of its own, `running`.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.support.waiting import wait_until
from trading_platform.domain.errors import PlatformError
from trading_platform.processes.process_tree import is_alive
from trading_platform.store.database import migrate, roles
from trading_platform.store.database.local import debian
from trading_platform.store.database.local.cluster import Cluster
from trading_platform.store.database.local.server import USER, free_port

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
FOLDER = "PYTEST_DATABASE_FOLDER"
"""Variable with the folder that the workers of a run share; the run's first process sets it."""

SUPERUSER, PASSWORD = "tester", "not a secret"
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB", "max_connections": "200"}
_SETTINGS |= {"timescaledb.max_background_workers": "0", "autovacuum": "off", "max_wal_size": "256MB"}
_number = itertools.count(1)


class Server:
    """A server that runs, or did.

    Parameters
    ----------
    folder : where its files are.
    port : its port of the loopback.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._cluster = Cluster(folder / "cluster", debian.unpack())
        self._made: list[str] = []

    def url(self, database: str, user: str = SUPERUSER) -> str:
        """Return the address of one of its databases."""
        return f"postgresql://{user}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """Make an empty database and return its address; it is dropped after the test."""
        name = f"book_{os.getpid()}_{next(_number)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as db:
            db.execute(f"CREATE DATABASE {name}")
        self._made.append(name)
        return self.url(name)

    def migrated(self) -> str:
        """Make a database with the platform's schemas, a copy of one that was migrated, and return its address."""
        name, template = f"book_{os.getpid()}_{next(_number)}", f"migrated_{migrate.HEAD}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as db:
            db.execute("SELECT pg_advisory_lock(1)")  # of two workers the first makes it
            if db.execute("SELECT 1 FROM pg_database WHERE datname = %s", [template]).fetchone() is None:
                db.execute(f"CREATE DATABASE {template}_half")
                migrate.upgrade(self.url(f"{template}_half"))
                db.execute(f"ALTER DATABASE {template}_half RENAME TO {template}")
            db.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
            # A copy has its template's tables, not the rights on the template itself.
            db.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
            db.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {', '.join(roles.ROLES)}")
        self._made.append(name)
        return self.url(name)

    def login(self, database: str) -> str:
        """Return the address of a database for a user with the rights that `database up` gives."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as db:
            db.execute("SELECT pg_advisory_lock(2)")
            roles.make_login(db, USER, PASSWORD)
            name = database.rpartition("/")[2]
            db.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(USER)))
        return self.url(name, USER)

    def drop_all(self) -> None:
        """Drop the databases that were made, whoever is still connected."""
        if self._made:
            with psycopg.connect(self.url("postgres"), autocommit=True) as db:
                for name in self._made:
                    db.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            self._made.clear()

    def create(self) -> None:
        """Make its files."""
        self._cluster.create(SUPERUSER, PASSWORD, sync=False)

    def start(self) -> None:
        """Start it and wait until it answers; after a kill it recovers first."""
        log = self.folder / "server.log"
        pid = self._cluster.start(self.port, log, _SETTINGS)

        def answers() -> bool:
            assert is_alive(pid), log.read_text()
            try:
                with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=2) as db:
                    roles.make(db)
            except psycopg.OperationalError:
                return False
            return True

        wait_until(answers, timeout_s=60, every_s=0.05, what="the server answers")

    def kill(self) -> None:
        """Kill it with -9; its children notice and end."""
        pid = self._cluster.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        _reap(pid)

    def stop(self) -> None:
        """Stop it at once."""
        pid = self._cluster.pid()
        if self._cluster.stop(at_once=True) and pid is not None:
            _reap(pid)


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


@contextmanager
def running() -> Iterator[Server]:
    """Give a server of the test's own, to be killed; skip or fail where there can be none."""
    require()
    # Apart from pytest's folder: a killed run leaves it where the next look at the system's folder shows it.
    folder = Path(tempfile.mkdtemp(prefix="tp-database-"))
    server = Server(folder, free_port())
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def postgres() -> Iterator[Server]:
    """Give the run's server; what the test made on it is dropped."""
    require()
    server = shared()
    yield server
    server.drop_all()


@cache
def absence() -> str | None:
    """Return why there is no TimescaleDB on this machine, None if there is."""
    try:
        debian.unpack()
    except (PlatformError, OSError) as error:
        return f"no TimescaleDB: {error}"
    return None


def require() -> None:
    """Skip the test if there can be no server; fail it in CI."""
    reason = absence()
    if reason is not None and IN_CI:
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)


@cache
def shared() -> Server:
    """Return the run's server, started by the first worker that asks."""
    folder = Path(os.environ[FOLDER])
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    ready = folder / "ready.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            _start_keeper(folder, ready)
    return Server(folder, json.loads(ready.read_text())["port"])


def _start_keeper(folder: Path, ready: Path) -> None:
    outside = {name: value for name, value in os.environ.items() if name != "PYTEST_RUN_MARK"}
    with (folder / "keeper.log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.support.database"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=outside,
            cwd=Path(__file__).resolve().parents[2],
            start_new_session=True,
        )
    wait_until(lambda: ready.exists() or keeper.poll() is not None, timeout_s=90, what="the keeper has a server")
    assert ready.exists(), (folder / "keeper.log").read_text()
    keeper.returncode = 0  # the run's first process ends it, not this one


def begin_run() -> None:
    """Name the folder of the run's server, in the run's first process; nothing is started yet."""
    folder = Path(tempfile.gettempdir()) / f"tp-database-{os.getpid()}"
    os.environ[FOLDER] = str(folder)
    os.environ[f"{FOLDER}_OWNER"] = str(os.getpid())


def end_run() -> None:
    """Stop the run's server, if one was started, and remove its files."""
    ready = Path(os.environ[FOLDER]) / "ready.json"
    if not ready.exists():
        shutil.rmtree(ready.parent, ignore_errors=True)
        return
    pid = json.loads(ready.read_text())["keeper"]
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(pid), timeout_s=30, every_s=0.05, what="the database's keeper ends")
    _reap(pid)


def keep() -> None:
    """Run the server until told to stop, or until the run's first process is gone."""
    folder, owner = Path(os.environ[FOLDER]), int(os.environ[f"{FOLDER}_OWNER"])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = Server(folder, free_port())
    try:
        server.create()
        server.start()
        half = folder / "ready.json.tmp"
        half.write_text(json.dumps({"port": server.port, "keeper": os.getpid()}))
        half.rename(folder / "ready.json")
        while not stop.wait(0.5) and is_alive(owner):
            pass
    finally:
        server.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    keep()

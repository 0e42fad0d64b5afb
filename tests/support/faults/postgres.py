"""A real PostgreSQL server for tests: made in a folder of its own, reached over a socket there, killed and started.

Where no server is installed a test is skipped loudly; with CI=true it fails. As root it runs as an ordinary user.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support.waiting import wait_until

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
# The system's own user where the package made one; any that is not root will do.
_USERS = ("postgres", "nobody")
_SETTINGS = {"listen_addresses": "", "fsync": "off", "max_connections": "40", "shared_buffers": "16MB"}


class Server:
    """A cluster and its postmaster."""

    def __init__(self, root: Path, programs: Path) -> None:
        self._root, self._programs = root, programs
        self._user = _unprivileged() if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(root, self._user)
        self._databases = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", self._data, "-U", "tester", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8")

    @property
    def _data(self) -> str:
        return str(self._root / "data")

    def url(self, database: str) -> str:
        """Return the address of one of its databases."""
        return f"postgresql://tester@/{database}?host={self._root}"

    def database(self) -> str:
        """Make an empty database and return its address."""
        self._databases += 1
        name = f"book_{self._databases}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self) -> None:
        """Start the postmaster and wait until it answers; after a kill it recovers first."""
        words = ["postgres", "-D", self._data, "-k", str(self._root)]
        for name, value in _SETTINGS.items():
            words += ["-c", f"{name}={value}"]
        with (self._root / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / words[0]), *words[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._root,
                user=self._user,
            )
        wait_until(self._answers, timeout_s=30, every_s=0.05, what="the server answers")

    def kill(self) -> None:
        """Kill the postmaster with -9; its children notice and end."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Shut down at once."""
        if self._process is not None:
            self._end(signal.SIGQUIT)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(20)
        self._process = None

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, (self._root / "server.log").read_text()
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [str(self._programs / program), *words], cwd=self._root, user=self._user, capture_output=True, check=True
        )


@contextmanager
def running() -> Iterator[Server]:
    """Give a running server; skip or fail where none is installed."""
    programs = _programs()
    if programs is None:
        message = "no PostgreSQL server; as root: apt-get install postgresql"
        if IN_CI:
            pytest.fail(message)
        pytest.skip(message)
    # Not below pytest's folder: a socket's path has 107 bytes, and the server's user must get there.
    root = Path(tempfile.mkdtemp(prefix="tp-postgres-"))
    try:
        server = Server(root, programs)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(root)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """Give a running server."""
    with running() as server:
        yield server


def _programs() -> Path | None:
    """Return where the newest server's programs are."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return None if on_path is None else Path(on_path).resolve().parent


def _unprivileged() -> str:
    for name in _USERS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise LookupError("no user that is not root")

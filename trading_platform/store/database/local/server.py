"""The TimescaleDB that `database up` starts, `down` stops and `status` shows: one per data directory, loopback only.

It outlives the command that started it. Its port and passwords are kept in a file that only its user reads.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import psycopg

from trading_platform.domain.errors import UsageError, WorkError
from trading_platform.processes.process_tree import is_alive
from trading_platform.store.database import roles
from trading_platform.store.database.local import debian, docker
from trading_platform.store.database.local.cluster import Cluster
from trading_platform.store.fs.disk import write_atomically
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import FileLock

SUPERUSER, USER = "postgres", "trading_platform"
_READY_S, _LOCK_S = 120.0, 180.0

Kind = Literal["docker", "system", "debian"]


class Kept(msgspec.Struct, frozen=True):
    """What a local server is, kept from start to start."""

    kind: Kind
    port: int
    superuser_password: str
    password: str

    @property
    def url(self) -> str:
        """The address for the platform's processes."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{USER}"

    @property
    def superuser_url(self) -> str:
        """The address for what only an administrator may."""
        return f"postgresql://{SUPERUSER}:{self.superuser_password}@127.0.0.1:{self.port}/postgres"


class _Engine(Protocol):
    def start(self, port: int) -> None: ...

    def running(self) -> bool: ...

    def stop(self) -> bool: ...


class LocalServer:
    """The local server of a data directory, running or not.

    Parameters
    ----------
    data : the data directory; the server's files lie in ``database/`` below it.
    """

    def __init__(self, data: DataDir) -> None:
        self.folder = data.root / "database"
        self.log = self.folder / "server.log"
        self._file = self.folder / "server.json"
        self._lock = data.run / "database.lock"

    def kept(self) -> Kept | None:
        """Return what the server is, None if there never was one.

        Raises
        ------
        WorkError : if the file that says it is damaged.
        """
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Kept)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise WorkError(f"{self._file} is damaged ({error}); restore it, or move {self.folder} away") from None

    def running(self) -> bool:
        """Tell whether it runs."""
        kept = self.kept()
        return kept is not None and self._engine(kept).running()

    def up(self, tell: Callable[[str], None] = lambda line: None) -> Kept:
        """Start the server unless it runs, wait until it answers, and return its address.

        Parameters
        ----------
        tell : given a line for a person before each step that takes long.

        Raises
        ------
        UsageError : if this machine lacks what it takes, or another program has its port.
        WorkError : if it does not start.
        """
        with FileLock.acquire(self._lock, "the local database", wait_s=_LOCK_S):
            kept = self.kept() or self._first(tell)
            engine = self._engine(kept, tell)
            if not engine.running():
                _check_free(kept.port)
                tell("starting TimescaleDB")
                engine.start(kept.port)
            self._wait_ready(kept, engine)
            return kept

    def down(self) -> bool:
        """Stop the server in order; tell whether it ran."""
        with FileLock.acquire(self._lock, "the local database", wait_s=_LOCK_S):
            kept = self.kept()
            return kept is not None and self._engine(kept).stop()

    def _first(self, tell: Callable[[str], None]) -> Kept:
        kind: Kind = "docker" if docker.answers() else "system" if debian.of_the_system() else "debian"
        if kind == "debian":
            if debian.unpacked() is None:
                tell("unpacking TimescaleDB from Debian's packages, about a minute")
            debian.unpack()
        self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        kept = Kept(kind, free_port(), secrets.token_urlsafe(24), secrets.token_urlsafe(24))
        _write_private(self._file, msgspec.json.encode(kept))
        return kept

    def _engine(self, kept: Kept, tell: Callable[[str], None] = lambda line: None) -> _Engine:
        cluster = self.folder / "cluster"
        if kept.kind == "docker":
            return docker.Container(cluster, self._secret_file(kept))
        programs = debian.of_the_system() if kept.kind == "system" else debian.unpacked()
        if programs is None and kept.kind == "debian":
            tell("unpacking TimescaleDB from Debian's packages, about a minute")
            programs = debian.unpack()
        if programs is None:
            raise UsageError(f"{self.folder} was made by a PostgreSQL with TimescaleDB that is gone: install it again")
        return _OwnProcess(Cluster(cluster, programs), self.log, kept, tell)

    def _secret_file(self, kept: Kept) -> Path:
        path = self.folder / "superuser-password"
        if not path.exists():
            _write_private(path, kept.superuser_password.encode())
        return path

    def _wait_ready(self, kept: Kept, engine: _Engine) -> None:
        deadline = time.monotonic() + _READY_S
        while (trouble := _prepare(kept)) is not None:
            if not engine.running() or time.monotonic() > deadline:
                raise WorkError(f"the local database does not start ({trouble}); see {self.log}")
            time.sleep(0.05)


def _prepare(kept: Kept) -> str | None:
    """Make the roles, the login and the database; return why the server does not answer, None if it did."""
    try:
        with psycopg.connect(kept.superuser_url, autocommit=True, connect_timeout=5) as db:
            roles.make(db)
            roles.make_login(db, USER, kept.password)
            roles.make_database(db, USER, owner=USER)
    except psycopg.OperationalError as error:
        return (str(error).strip().splitlines() or ["no reason given"])[0]
    return None


class _OwnProcess:
    """A server that is a process of this machine."""

    def __init__(self, cluster: Cluster, log: Path, kept: Kept, tell: Callable[[str], None]) -> None:
        self._cluster, self._log, self._kept, self._tell = cluster, log, kept, tell
        self._pid: int | None = None

    def start(self, port: int) -> None:
        if not self._cluster.made:
            self._tell("making the database's files")
            self._cluster.create(SUPERUSER, self._kept.superuser_password)
        self._pid = self._cluster.start(port, self._log)

    def running(self) -> bool:
        return self._cluster.pid() is not None or (self._pid is not None and is_alive(self._pid))

    def stop(self) -> bool:
        return self._cluster.stop()


def free_port() -> int:
    """Return a port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise UsageError(f"port {port} of the local database is in use by another program; stop that one") from None


def _write_private(path: Path, content: bytes) -> None:
    def write(temporary: Path) -> None:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)

    write_atomically(path, write)

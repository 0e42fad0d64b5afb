"""One PostgreSQL cluster: made, started, asked and stopped. It never runs as root.

Its folder may lie where its user cannot go, below /root for example: it is handed over as an open descriptor.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from trading_platform.domain.errors import WorkError
from trading_platform.processes import process_tree
from trading_platform.store.database.local.debian import Programs

STOP_S = 60.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "wal_compression": "on",
    "max_connections": "100",
}


class Cluster:
    """A folder with a PostgreSQL cluster, and its server.

    Parameters
    ----------
    folder : where it is, or is to be.
    programs : PostgreSQL's programs.
    """

    def __init__(self, folder: Path, programs: Programs) -> None:
        self.folder, self._programs = folder, programs

    @property
    def made(self) -> bool:
        """Whether `create` has finished once."""
        return (self.folder / "global/pg_control").exists()

    def create(self, superuser: str, password: str, *, sync: bool = True) -> None:
        """Make the cluster, with a superuser that has a password.

        Raises
        ------
        WorkError : if initdb fails.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            owner = _unprivileged(self.folder.parent)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        secret = os.memfd_create("password", 0)
        try:
            os.write(secret, f"{password}\n".encode())
            os.lseek(secret, 0, os.SEEK_SET)
            words = ["-U", superuser, "-A", "scram-sha-256", f"--pwfile=/proc/self/fd/{secret}"]
            words += ["--no-locale", "-E", "UTF8", *([] if sync else ["--no-sync"])]
            with self._handed([secret]) as given:
                if os.geteuid() == 0:
                    os.fchown(secret, given.popen["user"], given.popen["group"])
                made = subprocess.run(
                    [*self._programs.command("initdb"), "-D", given.path, *words],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    check=False,
                    **given.popen,
                )
        finally:
            os.close(secret)
        if made.returncode:
            last = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise WorkError(f"the database's cluster could not be made in {self.folder}: {last[:200]}")

    def start(self, port: int, log: Path, settings: Mapping[str, str] | None = None) -> int:
        """Start the server, detached from this process, and return its pid; `answers` tells when it is ready."""
        words = ["-c", f"port={port}"]
        for name, value in {**_SETTINGS, **(settings or {})}.items():
            words += ["-c", f"{name}={value}"]
        with self._handed() as given, log.open("ab") as told:
            os.fchmod(told.fileno(), 0o600)
            process = subprocess.Popen(
                [*self._programs.command("postgres"), "-D", given.path, *words],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                start_new_session=True,
                **given.popen,
            )
        process.returncode = 0  # it outlives us: nothing here waits for it
        return process.pid

    def pid(self) -> int | None:
        """Return the pid of the server that runs on this folder, None if none does."""
        try:
            pid = int((self.folder / "postmaster.pid").read_text().split("\n", 1)[0])
            # The server works in its folder: a pid that was used again does not.
            ours = process_tree.is_alive(pid) and Path(f"/proc/{pid}/cwd").samefile(self.folder)
        except (OSError, ValueError):
            return None
        return pid if ours else None

    def stop(self, *, at_once: bool = False) -> bool:
        """Stop the server in order (a checkpoint, up to a minute), or at once; tell whether there was one.

        Raises
        ------
        WorkError : if it does not stop.
        """
        pid = self.pid()
        if pid is None:
            return False
        for number, within_s in ((signal.SIGINT, STOP_S), (signal.SIGQUIT, 10.0)):
            if at_once and number is signal.SIGINT:
                continue
            process_tree.send([pid], number)
            if process_tree.wait_gone(lambda: [pid] if process_tree.is_alive(pid) else [], within_s):
                return True
        raise WorkError(f"the database's server, process {pid}, does not stop")

    def _handed(self, also: Sequence[int] = ()) -> _Handed:
        return _Handed(self.folder, also)


class _Handed:
    """The folder as a program of another user can open it, and how to start that program."""

    def __init__(self, folder: Path, also: Sequence[int]) -> None:
        self._folder, self._also = folder, also

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        self.path = f"/proc/self/fd/{self._descriptor}"
        self.popen: dict[str, Any] = {
            "pass_fds": [self._descriptor, *self._also],
            "cwd": "/",
            "env": {"PATH": "/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C"},
        }
        if os.geteuid() == 0:
            owner = os.fstat(self._descriptor)
            self.popen |= {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _unprivileged(beside: Path) -> pwd.struct_passwd:
    """Return the user of a new cluster: the owner of the data directory, else `postgres`, else `nobody`."""
    owner = beside.stat().st_uid
    if owner != 0:
        return pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise WorkError("PostgreSQL does not run as root, and there is no user postgres: add one")

"""`database up|down|status`: a real TimescaleDB of this machine, reached on the loopback only, never run as root."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.support import database
from trading_platform import cli
from trading_platform.store.database.local import docker, server
from trading_platform.store.fs.layout import DataDir


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataDir]:
    """Give a data directory whose local server is stopped afterwards; an engine of this machine is left alone."""
    database.require()
    monkeypatch.setattr(docker, "answers", lambda: False)
    data = DataDir(tmp_path / "data")
    yield data
    server.LocalServer(data).down()


def ask(data: DataDir, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert cli.main(["database", *words, "--json", "--data-dir", str(data.root)]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_a_local_server_lives_through_commands_and_keeps_what_it_has(
    data: DataDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second `up` is the same server; after `down` it is gone, and `up` brings back its rows at its old address."""
    assert ask(data, capsys, "status") == {"running": False, "kind": None, "port": None}
    url = str(ask(data, capsys, "up")["url"])
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE TABLE kept AS SELECT 7 AS x")
        assert db.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
    first = ask(data, capsys, "status")
    assert first["running"] is True
    pid = int((data.root / "database/cluster/postmaster.pid").read_text().split()[0])
    process = psutil.Process(pid)
    assert {place.laddr.ip for place in process.net_connections() if place.status == "LISTEN"} == {"127.0.0.1"}
    assert os.geteuid() != 0 or process.uids().effective != 0
    password = url.split(":")[2].split("@", maxsplit=1)[0]
    assert not any(password in word for word in process.cmdline())
    assert password not in (data.root / "database/server.log").read_text()
    assert stat.S_IMODE((data.root / "database/server.json").stat().st_mode) == 0o600
    assert ask(data, capsys, "up") == {"url": url}
    assert ask(data, capsys, "down") == {"stopped": True}
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert ask(data, capsys, "down") == {"stopped": False}
    assert ask(data, capsys, "up") == {"url": url}
    with psycopg.connect(url) as db:
        assert db.execute("SELECT x FROM kept").fetchone() == (7,)


def test_a_port_of_another_program_is_named(data: DataDir, capsys: pytest.CaptureFixture[str]) -> None:
    """The address that was printed once is not changed silently: one line says which port to free."""
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        folder = data.create().root / "database"
        folder.mkdir()
        (folder / "server.json").write_text(
            json.dumps({"kind": "debian", "port": port, "superuser_password": "a", "password": "b"})
        )
        assert cli.main(["database", "up", "--data-dir", str(data.root)]) == 2
        assert f"port {port}" in capsys.readouterr().err
    shutil.rmtree(folder)


def test_docker_gets_a_loopback_port_and_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `docker` is given names the port's address and the file with the password, never the password."""
    told = tmp_path / "told"
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\necho "$@" >> {told}\n[ "$1" = version ] && echo 27.0 || true\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    assert docker.answers()
    docker.Container(tmp_path / "cluster", secret).start(5555)
    words = told.read_text().splitlines()[-1]
    assert "--publish=127.0.0.1:5555:5432" in words
    assert f"--volume={secret}:" in words and "hunter2" not in words and words.endswith(docker.IMAGE)


def test_an_engine_that_does_not_answer_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client without an engine behind it exits non-zero."""
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not docker.answers()

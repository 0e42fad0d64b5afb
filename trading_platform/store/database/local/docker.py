"""TimescaleDB in Docker: the official image, one container per data directory, its port on the loopback only."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from trading_platform.domain.errors import WorkError

IMAGE = "timescale/timescaledb:2.19.3-pg17"
_ANSWER_S, _PULL_S, _STOP_S = 10, 900, 60


def answers() -> bool:
    """Tell whether there is an engine that this user may use."""
    if shutil.which("docker") is None:
        return False
    words = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        asked = subprocess.run(words, capture_output=True, check=False, timeout=_ANSWER_S)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0 and bool(asked.stdout.strip())


class Container:
    """The container of one data directory.

    Parameters
    ----------
    folder : where the cluster's files are.
    secret : file with the superuser's password; it is handed over by name, so no argument holds it.
    """

    def __init__(self, folder: Path, secret: Path) -> None:
        self._folder, self._secret = folder.absolute(), secret.absolute()
        self.name = f"trading-platform-{hashlib.sha256(str(self._folder).encode()).hexdigest()[:12]}"

    def start(self, port: int) -> None:
        """Start it; one that was left behind by a crash is replaced, its files stay.

        Raises
        ------
        WorkError : if Docker refuses.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _docker("rm", "--force", self.name, may_fail=True)
        _docker(
            "run",
            "--detach",
            f"--name={self.name}",
            f"--publish=127.0.0.1:{port}:5432",
            f"--volume={self._folder}:/var/lib/postgresql/data",
            f"--volume={self._secret}:/run/secrets/postgres-password:ro",
            "--env=POSTGRES_PASSWORD_FILE=/run/secrets/postgres-password",
            "--env=TIMESCALEDB_TELEMETRY=off",
            "--env=TZ=UTC",
            IMAGE,
        )

    def running(self) -> bool:
        """Tell whether it runs."""
        return _docker("inspect", "--format={{.State.Running}}", self.name, may_fail=True).strip() == "true"

    def stop(self) -> bool:
        """Stop it in order and remove it; tell whether it ran."""
        ran = self.running()
        if ran:
            _docker("stop", f"--time={_STOP_S}", self.name)
        _docker("rm", "--force", self.name, may_fail=True)
        return ran


def _docker(*words: str, may_fail: bool = False) -> str:
    done = _run(["docker", *words])
    if done.returncode and not may_fail:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise WorkError(f"docker {words[0]} failed: {last[:200]}")
    return done.stdout


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=_PULL_S)
    except subprocess.TimeoutExpired:
        raise WorkError(f"docker {words[1]} did not end within {_PULL_S} s") from None

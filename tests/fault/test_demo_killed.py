"""A demonstration that is killed leaves nothing running."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil

from tests.support.builders.ingest_process import COMMAND
from tests.support.waiting import wait_until


def test_killed_it_takes_its_ingest_with_it(tmp_path: Path) -> None:
    """After kill -9 of the command every process below it ends by itself."""
    command = [*COMMAND, "demo", "--seconds", "60", "--data-dir", str(tmp_path / "data")]
    demo = psutil.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def below() -> list[psutil.Process]:
        found = demo.children(recursive=True)
        return found if any(process.cmdline()[-1:] == ["publisher"] for process in found) else []

    workers = wait_until(below, what="ingest and its workers run")
    demo.kill()
    demo.wait(5)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []

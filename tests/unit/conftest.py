"""Unit tests start no process, or say so with the mark `process`: `make quick` leaves those out."""

from __future__ import annotations

import os
import subprocess
from multiprocessing.process import BaseProcess
from typing import NoReturn

import pytest


@pytest.fixture(autouse=True)
def _no_process_unless_marked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that starts a process without the mark."""
    if request.node.get_closest_marker("process") is not None:
        return

    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail("this unit test starts a process: mark it with `process`, or do without")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(BaseProcess, "start", refuse)
    monkeypatch.setattr(os, "fork", refuse)

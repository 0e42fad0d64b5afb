"""Runs that only seem to be under way."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from tests.support.builders.dagster_instance import instance  # noqa: F401  the fixture
from trading_platform.orchestration.runs import end_dead, latest

# ruff: noqa: F811


@dg.job
def work() -> None:
    """Do nothing."""


def started(instance: dg.DagsterInstance, pid: int) -> str:
    """Record a run that says it runs as this process."""
    run = instance.create_run_for_job(work, status=dg.DagsterRunStatus.STARTED)
    instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))
    return run.run_id


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    """Return what became of a run."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.process
def test_a_run_whose_process_is_gone_is_recorded_as_failed(instance: dg.DagsterInstance) -> None:
    """After kill -9 of everything a run would stay started for ever and hold its place in the queue."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead, alive = started(instance, gone.pid), started(instance, os.getpid())
    assert end_dead(instance) == [dead]
    assert status(instance, dead) == dg.DagsterRunStatus.FAILURE
    assert status(instance, alive) == dg.DagsterRunStatus.STARTED


def test_a_run_that_has_not_told_its_process_is_left_alone(instance: dg.DagsterInstance) -> None:
    """It may only just be starting."""
    instance.create_run_for_job(work, status=dg.DagsterRunStatus.STARTING)
    assert end_dead(instance) == []


@pytest.mark.process
def test_another_process_under_the_same_number_is_not_the_run(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers are used again: a process that started after it was spoken of is another one."""
    other = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        run_id = started(instance, other.pid)
        from trading_platform.orchestration import runs

        monkeypatch.setattr(runs, "started_at", lambda _pid: time.time() + 3600)
        assert end_dead(instance) == [run_id]
    finally:
        other.communicate()


def test_the_latest_run_of_a_venue_is_found_by_its_tag(instance: dg.DagsterInstance) -> None:
    """Runs of other venues do not count."""
    instance.create_run_for_job(work, tags={"venue": "a"})
    wanted = instance.create_run_for_job(work, tags={"venue": "b"})
    found = latest(instance, "work", {"venue": "b"})
    assert found is not None and found.run.run_id == wanted.run_id
    assert latest(instance, "work", {"venue": "c"}) is None

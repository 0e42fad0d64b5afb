"""Query Dagster's runs: active ones, the latest of a job, and runs whose process died.

Dagster notices a dead run only while the code server that started it lives (after kill -9 or a power cut the run stays
"started" for ever), so this module checks the process itself. Deleting old runs is history/pruning.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import dagster as dg

from trading_platform.processes.process_tree import is_alive, started_at

RUNNING = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
UNDER_WAY = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, *RUNNING)
_CLOCK_SLACK_S = 2.0


def under_way(instance: dg.DagsterInstance, job_name: str) -> dg.DagsterRun | None:
    """Return a run of the job that waits or runs, None if there is none."""
    found = instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=list(UNDER_WAY)), limit=1)
    return found[0] if found else None


class Latest(NamedTuple):
    """A run and when it last changed (seconds since the epoch)."""

    run: dg.DagsterRun
    changed_at: float


def latest(instance: dg.DagsterInstance, job_name: str, tags: Mapping[str, str]) -> Latest | None:
    """Return the newest run of the job with these tags."""
    records = instance.get_run_records(dg.RunsFilter(job_name=job_name, tags=dict(tags)), limit=1)
    return Latest(records[0].dagster_run, records[0].update_timestamp.timestamp()) if records else None


def failing(instance: dg.DagsterInstance, looked_at: int = 200) -> list[str]:
    """Return the jobs whose latest run that has ended failed, among the newest runs of all."""
    ended = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)
    newest: dict[str, dg.DagsterRun] = {}
    for run in instance.get_runs(dg.RunsFilter(statuses=list(ended)), limit=looked_at):  # newest first
        newest.setdefault(run.job_name, run)
    return sorted(job for job, run in newest.items() if run.status == dg.DagsterRunStatus.FAILURE)


def end_dead(instance: dg.DagsterInstance) -> list[str]:
    """Record as failed every started run whose process is gone; return their ids."""
    ended = []
    for run in instance.get_runs(dg.RunsFilter(statuses=list(RUNNING))):
        process = _process(instance, run.run_id)
        if process is not None and not _lives(*process):
            instance.report_run_failed(run, "The run's process is gone: killed, or the machine went down.")
            ended.append(run.run_id)
    return ended


def _process(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """Return the pid that a run told of itself, and when."""
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT, limit=20).records
    for record in records:
        event = record.event_log_entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event is not None else None
        if isinstance(pid, dg.TextMetadataValue) and pid.value and pid.value.isdigit():
            return int(pid.value), record.timestamp
    return None


def _lives(pid: int, told_at: float) -> bool:
    start = started_at(pid)
    # A process that started after it was spoken of is another one under the same number.
    return is_alive(pid) and start is not None and start <= told_at + _CLOCK_SLACK_S

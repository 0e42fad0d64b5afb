"""Sensor: mark runs whose process died as failed, and delete old runs with all that they left."""

from pathlib import Path

import dagster as dg

from trading_platform.orchestration.history.compaction import shrink
from trading_platform.orchestration.history.pruning import KEPT_DAYS, forget_old, sweep
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import end_dead

SWEEP_EVERY_S = 3600


@dg.sensor(
    name="tidy_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs whose process died as failed and deletes old runs, their rows and their files: "
    + ", ".join(f"{job or 'others'} after {days} days" for job, days in KEPT_DAYS.items())
    + ". The latest materialization and check result of each day stay.",
)
def tidy_runs(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.SensorResult:
    """Mark dead runs as failed, delete old ones, and once an hour what none of them owns. Launches nothing."""
    now_s = pipeline.now_ns() / 1e9
    dead = end_dead(context.instance)
    old = forget_old(context.instance, now_s)
    told, cursor = f"{len(dead)} dead runs marked as failed, {old} old runs deleted", context.cursor
    if now_s >= float(cursor or 0) + SWEEP_EVERY_S:
        swept = sweep(context.instance, now_s)
        shrink(Path(context.instance.root_directory))
        told += f", {swept.rows} rows and {swept.files} files of none"
        cursor = "0" if swept.more else str(now_s)
    return dg.SensorResult(skip_reason=told, cursor=cursor)

"""Sensor: mark runs whose process died as failed, and delete old refresh runs from Dagster's database."""

import dagster as dg

from trading_platform.orchestration import keys
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import end_dead, forget_old

KEPT_DAYS = 3
"""Days that refresh runs are kept: 288 a day. Their rows are in the lake, and `seal_days` reports the day again."""


@dg.sensor(
    name="tidy_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=f"Marks runs whose process died as failed and deletes refresh runs older than {KEPT_DAYS} days.",
)
def tidy_runs(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.SkipReason:
    """Mark dead runs as failed and delete old ones. Launches nothing."""
    dead = end_dead(context.instance)
    old = forget_old(context.instance, keys.REFRESH_TODAY, pipeline.now_ns() / 1e9 - KEPT_DAYS * 86_400)
    return dg.SkipReason(f"{len(dead)} dead runs marked as failed, {old} old runs deleted")

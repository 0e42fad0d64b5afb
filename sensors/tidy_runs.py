"""Keep Dagster's own records true and small: runs whose process is gone, and refreshes nobody will look at again."""

import dagster as dg

from trading_platform.orchestration import keys
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import end_dead, forget_old

KEPT_DAYS = 3
"""Refreshes of the running day: 288 a day. What they stored is in the lake, and `seal_days` reports the day again."""


@dg.sensor(
    name="tidy_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=f"Records runs whose process is gone as failed, and forgets refreshes older than {KEPT_DAYS} days.",
)
def tidy_runs(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.SkipReason:
    """End what is dead and forget what is old; nothing is ever launched from here."""
    dead = end_dead(context.instance)
    old = forget_old(context.instance, keys.REFRESH_TODAY, pipeline.now_ns() / 1e9 - KEPT_DAYS * 86_400)
    return dg.SkipReason(f"{len(dead)} runs had died, {old} old ones forgotten")

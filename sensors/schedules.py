"""Schedule: refresh the current day every five minutes.

Past days are done by the sensor seal_days instead: a machine that sleeps misses its schedules.
"""

import dagster as dg

from trading_platform.domain.days import day_of
from trading_platform.orchestration import keys
from trading_platform.orchestration.jobs import refresh_today
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import under_way


@dg.schedule(
    name="refresh_today",
    job=refresh_today,
    cron_schedule="*/5 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Publishes the current day's trades so far and computes from them.",
)
def every_five_minutes(
    context: dg.ScheduleEvaluationContext, pipeline: PipelineResource
) -> dg.RunRequest | dg.SkipReason:
    """Refresh the current day, unless the last refresh is still running or nothing is recorded."""
    if not pipeline.has_data:
        return dg.SkipReason("nothing is recorded yet")
    if (run := under_way(context.instance, keys.REFRESH_TODAY)) is not None:
        return dg.SkipReason(f"run {run.run_id[:8]} is still running")
    today = day_of(pipeline.now_ns())
    if not pipeline.ledger.holds_day(today):
        return dg.SkipReason(f"no trade of {today} yet")
    return dg.RunRequest(partition_key=today, tags={keys.REASON: "five minutes have passed"})

"""Schedule: judge the statistics of the day that ended last, once its ticks are sealed or it is three hours old."""

import dagster as dg

from quality.expectations.kept import is_judged
from sensors.daily_report import sealed
from trading_platform.domain.days import day_after, day_of, day_start
from trading_platform.orchestration import keys
from trading_platform.orchestration.jobs import daily_checkpoint as job
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import under_way

_PATIENCE_NS = 3 * 3600 * 10**9


@dg.schedule(
    name="daily_checkpoint",
    job=job,
    # Each hour, not once a day: a machine that slept at the one minute would miss the day.
    cron_schedule="40 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Looks each hour whether the statistics of the day that ended last are judged, and has Great "
    "Expectations judge them once the day is sealed, or three hours after its end. One run a day.",
)
def daily_checkpoint(
    context: dg.ScheduleEvaluationContext, pipeline: PipelineResource
) -> dg.RunRequest | dg.SkipReason:
    """Launch one run for yesterday, unless it is judged or nothing was recorded."""
    if not pipeline.has_data:
        return dg.SkipReason("nothing is recorded yet")
    if (run := under_way(context.instance, keys.DAILY_CHECKPOINT)) is not None:
        return dg.SkipReason(f"run {run.run_id[:8]} is judging")
    now_ns = pipeline.now_ns()
    today = day_of(now_ns)
    day = day_after(today, -1)
    if is_judged(pipeline.data, day):
        return dg.SkipReason(f"{day} is judged")
    if not pipeline.ledger.trades_on(day):
        return dg.SkipReason(f"no trade of {day}")
    if now_ns - day_start(today) < _PATIENCE_NS and not sealed(pipeline, day):
        return dg.SkipReason(f"{day} is not sealed yet")
    return dg.RunRequest(partition_key=day, tags={keys.REASON: f"{day} is over"})

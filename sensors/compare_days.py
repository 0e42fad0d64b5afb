"""Sensor: launch a run when the venue's own file of a day is due that ids cannot prove. The run compares the day."""

import dagster as dg

from trading_platform.orchestration import keys
from trading_platform.orchestration.jobs import compare_days as job
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import under_way


@dg.sensor(
    name="compare_days",
    job=job,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks every minute for days that are over, of symbols whose ids prove nothing, and whose daily file "
    "the venue should have published by now. Launches one run that compares them; what is missing is taken in.",
)
def compare_days(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.RunRequest | dg.SkipReason:
    """Launch one run for all days that are due. A day that does not equal its file is due again hours or days later."""
    from trading_platform.ingest.recovery.due_listings import archives_of, due_days

    if not pipeline.has_data:
        return dg.SkipReason("nothing is recorded yet")
    if (run := under_way(context.instance, keys.COMPARE_DAYS)) is not None:
        return dg.SkipReason(f"run {run.run_id[:8]} is comparing")
    due = due_days(pipeline.ledger, archives_of(pipeline.endpoints()), pipeline.now_ns())
    if not due:
        return dg.SkipReason("no day is due that a venue's file could prove")
    named = ", ".join(f"{venue} {symbol} {' '.join(days)}" for (venue, symbol), days in due.items())
    return dg.RunRequest(tags={keys.REASON: f"daily files are due: {named}"[:250]})

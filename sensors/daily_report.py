"""Schedule: write the quality report of the day that ended last, once it is sealed and judged, or three hours old."""

import dagster as dg

from quality.report.verdicts import judged_path
from trading_platform.domain.days import day_after, day_of, day_start
from trading_platform.orchestration import keys
from trading_platform.orchestration.jobs import write_report
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import under_way

_PATIENCE_NS = 3 * 3600 * 10**9
"""After midnight a day is given this long to be repaired and sealed; then it is reported as it is."""


@dg.schedule(
    name="daily_report",
    job=write_report,
    # Each hour, not once a day: a machine that slept at the one minute would miss the day.
    cron_schedule="50 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Looks each hour whether the day that ended last has its quality report, and writes it once the day is "
    "sealed and its statistics are judged, or three hours after its end. One run a day.",
)
def daily_report(context: dg.ScheduleEvaluationContext, pipeline: PipelineResource) -> dg.RunRequest | dg.SkipReason:
    """Launch one run for yesterday, unless it has its report or nothing was recorded."""
    if not pipeline.has_data:
        return dg.SkipReason("nothing is recorded yet")
    if (run := under_way(context.instance, keys.WRITE_REPORT)) is not None:
        return dg.SkipReason(f"run {run.run_id[:8]} is writing")
    now_ns = pipeline.now_ns()
    today = day_of(now_ns)
    day = day_after(today, -1)
    if (pipeline.data.reports / f"{day}.html").exists():
        return dg.SkipReason(f"the report of {day} is there")
    if not pipeline.ledger.trades_on(day):
        return dg.SkipReason(f"no trade of {day}")
    if now_ns - day_start(today) < _PATIENCE_NS and (waits := _waits_for(pipeline, day)):
        return dg.SkipReason(waits)
    return dg.RunRequest(partition_key=day, tags={keys.REASON: f"{day} is over"})


def _waits_for(pipeline: PipelineResource, day: str) -> str:
    if not sealed(pipeline, day):
        return f"{day} is not sealed yet"
    return "" if judged_path(pipeline.data, day).exists() else f"the statistics of {day} are not judged yet"


def sealed(pipeline: PipelineResource, day: str) -> bool:
    """Tell whether all ticks of a day are sealed."""
    leaves = pipeline.ledger.leaves("ticks", day=day)
    return bool(leaves) and all(map(pipeline.ledger.sealed, leaves))

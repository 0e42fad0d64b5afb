"""Schedules: look at the changed files every hour, and at all of them once a day within a budget."""

import dagster as dg

from quality.stored_checks import verify_stored
from quality.verification import changed
from trading_platform.orchestration import keys
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import under_way

verify_job = dg.define_asset_job(
    keys.VERIFY_STORED,
    selection=dg.AssetSelection.checks(verify_stored),
    description="Look at what is stored: files, accounts and sums; make bars again, compute indicators again.",
    tags={keys.WORK: "report"},
)


def _config(*, everything: bool) -> dict[str, object]:
    return {"ops": {verify_stored.node_def.name: {"config": {"everything": everything}}}}


@dg.schedule(
    name="verify_changed",
    job=verify_job,
    cron_schedule="50 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Looks every hour at the files that were published since they were last looked at.",
)
def verify_changed(context: dg.ScheduleEvaluationContext, pipeline: PipelineResource) -> dg.RunRequest | dg.SkipReason:
    """Launch one run, unless nothing changed."""
    if not pipeline.has_data:
        return dg.SkipReason("nothing is recorded yet")
    if (run := under_way(context.instance, keys.VERIFY_STORED)) is not None:
        return dg.SkipReason(f"run {run.run_id[:8]} is looking")
    files = changed(pipeline.data, pipeline.ledger)
    if not files:
        return dg.SkipReason("no file was published since the last look")
    return dg.RunRequest(run_config=_config(everything=False), tags={keys.REASON: f"{len(files)} changed files"})


@dg.schedule(
    name="verify_everything",
    job=verify_job,
    cron_schedule="10 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Looks once a day at all files and accounts, for half an hour at most; what was not looked at for "
    "longest comes first.",
)
def verify_everything(
    context: dg.ScheduleEvaluationContext, pipeline: PipelineResource
) -> dg.RunRequest | dg.SkipReason:
    """Launch one run."""
    if not pipeline.has_data:
        return dg.SkipReason("nothing is recorded yet")
    if (run := under_way(context.instance, keys.VERIFY_STORED)) is not None:
        return dg.SkipReason(f"run {run.run_id[:8]} is looking")
    return dg.RunRequest(run_config=_config(everything=True), tags={keys.REASON: "once a day"})

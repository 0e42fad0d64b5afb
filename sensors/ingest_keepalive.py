"""Sensor: start recording of each venue in the settings that no process records. Idle while `up` runs ingest."""

import dagster as dg

from trading_platform.orchestration import keys
from trading_platform.orchestration.jobs import ingest
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import UNDER_WAY, Latest, latest
from trading_platform.store.fs.locks import held_by

GRACE_S = 60.0
"""A run needs this long to start and take the lock. A failed run is not repeated sooner."""

STOP_FILE = "stop-ingest"


@dg.sensor(
    name="ingest_keepalive",
    job=ingest,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts recording of each venue that no live process records. To stop it, cancel the run or create the "
    "file run/stop-ingest in the data directory.",
)
def ingest_keepalive(
    context: dg.SensorEvaluationContext, pipeline: PipelineResource
) -> dg.SensorResult | dg.SkipReason:
    """Launch the job `ingest` for each venue of the settings that no live process records."""
    from trading_platform.ingest.recovery.open_tails import ingest_lock

    if (pid := held_by(pipeline.data.run / "up.lock")) is not None:
        return dg.SkipReason(f"`up` (process {pid}) runs ingest itself")
    if not pipeline.settings.venues:
        return dg.SkipReason("the settings name no venue to record")
    if (pipeline.data.run / STOP_FILE).exists():
        return dg.SkipReason(f"recording is stopped by the file {pipeline.data.run / STOP_FILE}")
    now_s = pipeline.now_ns() / 1e9
    reasons, requests = [], []
    for venue in pipeline.settings.venues:
        pid = held_by(ingest_lock(pipeline.data, venue))
        before = latest(context.instance, keys.INGEST, {keys.VENUE: venue})
        reason = f"{venue}: recorded by process {pid}" if pid is not None else _why_not(venue, before, now_s)
        reasons += [reason] if reason else []
        requests += [] if reason else [_request(venue)]
    return dg.SensorResult(requests) if requests else dg.SkipReason("; ".join(reasons))


def _why_not(venue: str, before: Latest | None, now_s: float) -> str | None:
    """Return why an unrecorded venue is not started now, None if it is to be started."""
    if before is None:
        return None
    if before.run.status in UNDER_WAY:
        return f"{venue}: run {before.run.run_id[:8]} is starting"
    if before.run.status == dg.DagsterRunStatus.CANCELED and keys.STOPPED not in before.run.tags:
        return f"{venue}: run {before.run.run_id[:8]} was cancelled; launch the job `ingest` to resume"
    if now_s - before.changed_at < GRACE_S:
        return f"{venue}: run {before.run.run_id[:8]} ended a moment ago"
    return None


def _request(venue: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_config=dg.RunConfig(ops={"record_trades": {"config": {"venue": venue}}}),
        tags={keys.VENUE: venue, keys.REASON: f"no process records {venue}"},
    )

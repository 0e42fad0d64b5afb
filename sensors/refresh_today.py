"""Sensor: refresh the running day as soon as there are trades, then every quarter of an hour while trades come.

Past days are done by the sensor seal_days instead.
"""

import json

import dagster as dg

from trading_platform.domain.days import day_of
from trading_platform.orchestration import keys
from trading_platform.orchestration.jobs import refresh_today as job
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import under_way

_MINUTE_NS = 60 * 10**9


@dg.sensor(
    name="refresh_today",
    job=job,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launches a run that publishes the running day's trades so far and computes from them: soon after the "
    "first trade, then every 15 minutes (setting DAGSTER__REFRESH_MINUTES). Without a new trade it launches none.",
)
def refresh_today(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.SensorResult | dg.SkipReason:
    """Refresh the current day, unless the last refresh is recent or still running, or nothing has come since."""
    if not pipeline.has_data:
        return dg.SkipReason("nothing is recorded yet")
    now_ns = pipeline.now_ns()
    today = day_of(now_ns)
    before: dict[str, object] = json.loads(context.cursor or "{}")
    minutes = pipeline.settings.dagster.refresh_minutes
    since_ns = now_ns - int(str(before.get("at_ns", 0)))
    if before.get("day") == today and 0 <= since_ns < minutes * _MINUTE_NS:
        return dg.SkipReason(f"refreshed {since_ns // _MINUTE_NS} minutes ago; due after {minutes}")
    if (run := under_way(context.instance, keys.REFRESH_TODAY)) is not None:
        return dg.SkipReason(f"run {run.run_id[:8]} is still running")
    trades = pipeline.ledger.trades_on(today)
    if not trades:
        return dg.SkipReason(f"no trade of {today} yet")
    if (before.get("day"), before.get("trades")) == (today, trades):
        return dg.SkipReason(f"no new trade of {today} since the last refresh")
    new = trades - int(str(before["trades"])) if before.get("day") == today else trades
    request = dg.RunRequest(partition_key=today, tags={keys.REASON: f"{new:,} new trades"})
    return dg.SensorResult([request], cursor=json.dumps({"day": today, "trades": trades, "at_ns": now_ns}))

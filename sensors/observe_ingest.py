"""Sensor: report to Dagster how many trades were recorded. Ingest does not: an event for each flush is too many."""

import json

import dagster as dg

from trading_platform.orchestration import keys
from trading_platform.orchestration.resources import PipelineResource

EVERY_S = 300


@dg.sensor(
    name="observe_ingest",
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes one observation of `ticks` every five minutes: recorded and missing trades by symbol.",
)
def observe_ingest(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.SensorResult | dg.SkipReason:
    """Report how many trades each symbol gained since the last observation."""
    if not pipeline.has_data:
        return dg.SkipReason("nothing is recorded yet")
    before: dict[str, int] = json.loads(context.cursor or "{}")
    ledger = pipeline.ledger
    now = {f"{venue} {symbol}": stored for (venue, symbol), stored in ledger.stored_by_symbol().items()}
    missing = {f"{venue} {symbol}": count for (venue, symbol), count in ledger.missing_by_symbol().items()}
    gained = {name: stored - before.get(name, 0) for name, stored in now.items()}
    cursor = json.dumps(now)
    if not any(gained.values()):
        return dg.SensorResult(skip_reason="no new trades", cursor=cursor)
    lines = ["| symbol | new trades | stored | missing |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {gained[name]:,} | {now[name]:,} | {missing.get(name, 0):,} |" for name in now]
    observation = dg.AssetObservation(
        keys.TICKS,
        description=f"{sum(gained.values()):,} trades recorded",
        metadata={
            "new_trades": sum(gained.values()),
            "missing_trades": sum(missing.values()),
            "symbols": dg.MetadataValue.md("\n".join(lines)),
        },
    )
    return dg.SensorResult(asset_events=[observation], cursor=cursor)

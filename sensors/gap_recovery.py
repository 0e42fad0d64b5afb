"""Sensor: launch one run for each lease of due gaps. The run fetches the trades: ingest/recovery/recovery.py."""

import uuid

import dagster as dg

from trading_platform.orchestration import keys
from trading_platform.orchestration.jobs import LEASE_TTL_NS, recover_gaps
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import under_way


@dg.sensor(
    name="gap_recovery",
    job=recover_gaps,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks every five seconds for trades that are known to be missing and due, takes a lease on a bounded "
    "batch of them and launches one run that fetches them and recomputes what depends on them.",
)
def gap_recovery(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.RunRequest | dg.SkipReason:
    """Lease the gaps that are due. The run key is the lease's id, so each attempt has a new one."""
    from trading_platform.ingest.recovery.recovery import LEASE_GAPS

    if not pipeline.has_data:
        return dg.SkipReason("nothing is recorded yet")
    if (run := under_way(context.instance, keys.RECOVER_GAPS)) is not None:
        return dg.SkipReason(f"run {run.run_id[:8]} is fetching")
    if not pipeline.endpoints():
        return dg.SkipReason("no venue to ask: the data is simulated and the simulator's address is unknown")
    holder = f"gaps-{uuid.uuid4().hex[:12]}"
    lease = pipeline.ledger.lease(LEASE_GAPS, pipeline.now_ns(), holder, ttl_ns=LEASE_TTL_NS)
    if lease is None:
        return dg.SkipReason("no missing trade is due")
    missing = sum(gap.missing for gap in lease.gaps)
    symbols = ", ".join(sorted({gap.symbol for gap in lease.gaps}))
    return dg.RunRequest(
        run_key=lease.id,
        run_config=dg.RunConfig(ops={"fetch_missing_trades": {"config": {"lease": lease.id}}}),
        tags={
            keys.LEASE: lease.id,
            keys.REASON: f"{missing} missing trades in {len(lease.gaps)} gaps: {symbols}"[:250],
        },
    )

"""Dagster jobs that sensors, schedules and people launch: refresh, seal, recover gaps, record (`ingest`).

The ops only call the engine (ingest/recovery/recovery.py, the command `ingest`) and report the outcome.
"""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import dagster as dg

from trading_platform.domain.errors import UsageError
from trading_platform.orchestration import keys
from trading_platform.orchestration.reporting.report import report_from_op
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.pipeline.results import LeafResult
from trading_platform.processes import process_tree as processes
from trading_platform.store.fs.layout import Leaf

if TYPE_CHECKING:
    from trading_platform.ingest.recovery.fetcher import FetchContext

# No `from __future__ import annotations`: Dagster reads the annotations of operations as objects.

_STOP_INGEST_S = 30.0
LEASE_TTL_NS = 180 * 10**9
"""Length of a lease, longer than a run takes. A run that was killed or never began blocks its gaps for this long."""

_ALL = dg.AssetSelection.assets(*keys.ASSETS.values())

refresh_today = dg.define_asset_job(
    keys.REFRESH_TODAY,
    selection=_ALL,
    description="Refresh the current day: publish the trades recorded so far, then compute from them.",
    tags={keys.WORK: "refresh"},
)

seal_days = dg.define_asset_job(
    keys.SEAL_DAYS,
    selection=_ALL,
    description="Publish, seal and compute days that are over.",
    tags={keys.WORK: "refresh"},
)


write_report = dg.define_asset_job(
    keys.WRITE_REPORT,
    selection=dg.AssetSelection.assets(keys.REPORT),
    description="Write the quality report of a day: one HTML page, kept, and served at /platform/report.",
    tags={keys.WORK: "report"},
)


daily_checkpoint = dg.define_asset_job(
    keys.DAILY_CHECKPOINT,
    selection=dg.AssetSelection.assets(keys.STATISTICS),
    description="Judge a day's statistics by the thirty days before (Great Expectations), and write Data Docs.",
    tags={keys.WORK: "report"},
)


class LeaseConfig(dg.Config):
    """Which lease of gaps a recovery run works on."""

    lease: str = ""
    """Empty: the run takes a lease of its own, as one that a person launches does."""
    patience_s: float = 90.0
    """If a venue does not answer for this long, the gaps are retried when they are next due."""


@dg.op
def fetch_missing_trades(context: dg.OpExecutionContext, config: LeaseConfig, pipeline: PipelineResource) -> None:
    """Fetch a lease of gaps from the exchange, publish the trades, and recompute dependent datasets."""
    from trading_platform.ingest.recovery.recovery import fetch_leased
    from trading_platform.ingest.recovery.rest_client import Stopped

    ledger = pipeline.ledger
    lease = config.lease or _own_lease(context, pipeline)
    gaps = ledger.leased(lease)
    context.log.info(f"lease {lease or 'none'}: {len(gaps)} gaps, {sum(gap.missing for gap in gaps)} trades missing")
    if not gaps:
        return
    fetch_context = _fetch_context(pipeline, config.patience_s)
    try:
        outcome = fetch_leased(pipeline.data, ledger, pipeline.endpoints(), fetch_context, gaps)
    except Stopped:
        context.log.warning(f"no answer within {config.patience_s:.0f} s; the gaps are open and due again later")
        return
    finally:
        ledger.release(lease, pipeline.now_ns())
    for problem in outcome.problems:
        context.log.warning(problem)
    context.log.info(f"{outcome.pages} pages, {len(outcome.touched)} symbol-days touched")
    _refresh_downstream(context, pipeline, outcome.touched)


def _own_lease(context: dg.OpExecutionContext, pipeline: PipelineResource) -> str:
    """Take a lease on what is due, for a run that a person launched; empty if nothing is."""
    from trading_platform.ingest.recovery.recovery import LEASE_GAPS

    holder = f"gaps-{context.run_id[:12]}"
    found = pipeline.ledger.lease(LEASE_GAPS, pipeline.now_ns(), holder, ttl_ns=LEASE_TTL_NS)
    return "" if found is None else found.id


def _fetch_context(pipeline: PipelineResource, patience_s: float) -> "FetchContext":
    from trading_platform.ingest.decoder.bounds import Bounds
    from trading_platform.ingest.recovery.fetcher import FetchContext

    return FetchContext(
        bounds=Bounds.of(pipeline.settings.history_start),
        gate=pipeline.gate("ticks"),
        share=pipeline.settings.rest.share,
        wait=_waiter(patience_s),
        rng=random.Random(),
    )


def _waiter(patience_s: float) -> Callable[[float], bool]:
    """Return a wait function that gives up at the deadline; a cancelled run raises out of it."""
    deadline = time.monotonic() + patience_s

    def wait(seconds: float) -> bool:
        return time.monotonic() + seconds > deadline or threading.Event().wait(seconds)

    return wait


def _refresh_downstream(
    context: dg.OpExecutionContext, pipeline: PipelineResource, touched: frozenset[tuple[str, str, str]]
) -> None:
    """Recompute what depends on the touched symbol-days, then report each changed day with all its symbols.

    Other symbols of such a day are reported as published; whether they are up to date is not checked.
    """
    pipeline.forget_statuses()
    changed = {("ticks", day) for *_, day in touched}
    days: dict[tuple[str, str], set[str]] = {}
    for venue, symbol, day in touched:
        days.setdefault((venue, symbol), set()).add(day)
    followed: dict[tuple[str, str], dict[Leaf, LeafResult]] = {}
    for symbol_key, touched_days in sorted(days.items()):
        for done in pipeline.pipeline.follow(symbol_key, sorted(touched_days)):
            followed.setdefault((done.dataset, done.day), {}).update({result.leaf: result for result in done.results})
            changed |= {(done.dataset, done.day)} if done.counts["computed"] else set()
    for dataset, day in sorted(changed, key=lambda pair: (list(keys.ASSETS).index(pair[0]), pair[1])):
        report = pipeline.pipeline.published(dataset, day, instead=followed.get((dataset, day), {}).values())
        report_from_op(context, pipeline, report)


@dg.job(
    name=keys.RECOVER_GAPS,
    description="Fetch trades that are known to be missing. Launched by the sensor gap_recovery with a lease.",
    tags={keys.WORK: "recovery"},
    executor_def=dg.in_process_executor,
)
def recover_gaps() -> None:
    """Fetch one lease of gaps."""
    fetch_missing_trades()


class CompareConfig(dg.Config):
    """How long a run may take to compare days with the venue's files."""

    patience_s: float = 3600.0


@dg.op
def compare_with_files(context: dg.OpExecutionContext, config: CompareConfig, pipeline: PipelineResource) -> None:
    """Download the daily files that are due, take in what is missing, and recompute dependent datasets."""
    from trading_platform.ingest.recovery.recovery import compare_days as compare
    from trading_platform.ingest.recovery.rest_client import Stopped

    fetch_context = _fetch_context(pipeline, config.patience_s)
    try:
        outcome = compare(pipeline.data, pipeline.ledger, pipeline.endpoints(), fetch_context)
    except Stopped:
        context.log.warning(f"not done within {config.patience_s:.0f} s; the next run goes on")
        return
    for line in (*outcome.notes, *outcome.problems):
        context.log.warning(line)
    context.log.info(f"{len(outcome.files)} daily files, {len(outcome.touched)} symbol-days touched")
    _refresh_downstream(context, pipeline, outcome.touched)


@dg.job(
    name=keys.COMPARE_DAYS,
    description="Compare days with the venue's daily files, where ids prove nothing. Launched by compare_days.",
    tags={keys.WORK: "comparison"},
    executor_def=dg.in_process_executor,
)
def compare_days() -> None:
    """Compare what is due."""
    compare_with_files()


class IngestConfig(dg.Config):
    """Which venue to record."""

    venue: str


@dg.op
def record_trades(context: dg.OpExecutionContext, config: IngestConfig, pipeline: PipelineResource) -> None:
    """Run `trading-platform ingest` as a child until this run is stopped, or the child ends."""
    child = processes.start(ingest_command(pipeline, config.venue), env=_child_environ())
    context.log.info(f"ingest of {config.venue} runs as process {child.pid}")
    try:
        code = child.wait()
    except BaseException:
        # A cancelled run arrives here as an exception; recording must end in order before the run does.
        child.send_signal(signal.SIGTERM)
        processes.wait_or_kill(child, _STOP_INGEST_S)
        raise
    if code != 0:
        raise dg.Failure(f"ingest of {config.venue} ended with exit code {code}", metadata={"exit_code": code})


def ingest_command(pipeline: PipelineResource, venue: str) -> list[str]:
    """Return the words that record a venue as the settings name it."""
    named = pipeline.settings.venues.get(venue)
    if named is None:
        raise UsageError(f"the settings name no venue {venue}")
    command = [sys.executable, "-m", "trading_platform", "ingest", "--venue", venue]
    # Addresses may contain credentials: the child reads them from the settings.
    command += ["--symbols", ",".join(named.symbols), "--data-dir", str(pipeline.data.root)]
    return command + (["--simulated"] if pipeline.has_data and pipeline.ledger.kind() == "simulated" else [])


def _child_environ() -> Mapping[str, str]:
    # Dagster's own variables would make the child's libraries think they run inside Dagster.
    return {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER_")}


@dg.job(
    name=keys.INGEST,
    description="Record a venue's trades. Launched by the sensor ingest_keepalive when no process records it.",
    tags={keys.WORK: "ingest"},
    executor_def=dg.in_process_executor,
)
def ingest() -> None:
    """Record until stopped."""
    record_trades()


JOBS = (refresh_today, seal_days, recover_gaps, compare_days, write_report, daily_checkpoint, ingest)

"""The asset `report`: the quality report of each day, which people read. What it tells is quality/report."""

import warnings

import dagster as dg

from trading_platform.orchestration import keys
from trading_platform.orchestration.asset_factory import Reported
from trading_platform.orchestration.partitions import DAILY
from trading_platform.orchestration.reporting.quality_report import metadata
from trading_platform.orchestration.resources import PipelineResource

_SPEC = dg.AssetSpec(
    keys.REPORT,
    deps=[keys.TICKS, keys.ASSETS["bars"]],
    description="What a person should know about the quality of a day, as one HTML page: scores, completeness, gaps, "
    "latency, quarantine, outliers, drift, revisions. Served at /platform/report, kept for each day.",
    group_name=keys.QUALITY,
    partitions_def=DAILY,
    kinds={"html"},
    owners=keys.OWNERS,
    skippable=True,  # of a day on which nothing was recorded nothing is written
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)

    @dg.multi_asset(name="report", specs=[_SPEC], backfill_policy=dg.BackfillPolicy.single_run())
    def report(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Reported:
        """Write the report of each day of the run, the earliest first: each tells what changed since the one before."""
        from quality.report.history import write

        if not pipeline.has_data:
            raise dg.Failure(f"nothing was ever recorded in {pipeline.data.root}")
        held = {row.day for row in pipeline.ledger.day_report(pipeline.now_ns())}
        written = 0
        for day in context.partition_keys:
            if day not in held:
                context.log.warning(f"{day}: nothing was recorded on this day, so there is nothing to report")
                continue
            done = write(pipeline.data, pipeline.ledger, pipeline.now_ns(), day)
            told = metadata(day, done.path, {s.name: s.score.value for s in done.facts.symbols}, done.texts)
            context.add_asset_metadata(told, asset_key=keys.REPORT, partition_key=day)
            written += 1
        if written:
            yield dg.MaterializeResult(asset_key=keys.REPORT)

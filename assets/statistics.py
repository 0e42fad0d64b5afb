"""The asset `statistics`: numbers of each day, judged by the days before. What they are is quality/expectations."""

import warnings

import dagster as dg

from quality.expectations.families import DESCRIPTIONS, FAMILIES, TIERS
from quality.outages import SHIPPED, load_outages
from trading_platform.domain.days import day_of
from trading_platform.orchestration import keys
from trading_platform.orchestration.asset_factory import Reported
from trading_platform.orchestration.partitions import DAILY
from trading_platform.orchestration.reporting.statistics_report import evaluation, metadata
from trading_platform.orchestration.resources import PipelineResource

_SPEC = dg.AssetSpec(
    keys.STATISTICS,
    deps=[keys.TICKS, keys.ASSETS["bars"]],
    description="Numbers that tell what a day was like, by symbol: counts, returns, waits, takers, sizes. Great "
    "Expectations judges them by the thirty days before; its pages are served at /platform/data-docs/.",
    group_name=keys.QUALITY,
    partitions_def=DAILY,
    kinds={"json", "greatexpectations"},
    owners=keys.OWNERS,
    skippable=True,  # of a day on which nothing was recorded there are none
)


def _check(family: str) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            family,
            asset=keys.STATISTICS,
            description=f"Like the days before: {DESCRIPTIONS[family]}. Skipped, with no result, where there is too "
            "little to compare with.",
            partitions_def=DAILY,
            metadata={keys.TIER: TIERS[family]},
        )


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)

    @dg.multi_asset(
        name="statistics",
        specs=[_SPEC],
        check_specs=[_check(family) for family in FAMILIES],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def statistics(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Reported:
        """Judge each day of the run; Data Docs are those of the last."""
        from quality.expectations.checkpoint import checkpoint, told

        if not pipeline.has_data:
            raise dg.Failure(f"nothing was ever recorded in {pipeline.data.root}")
        held = {row.day for row in pipeline.ledger.day_report(pipeline.now_ns())}
        days = [day for day in context.partition_keys if day in held and pipeline.is_over(day)]
        for day in context.partition_keys:
            if day not in days:
                context.log.warning(f"{day}: nothing was recorded, or the day is not over: it is not judged")
        outages = load_outages(pipeline.settings.known_outages or SHIPPED, day_of(pipeline.now_ns()))
        for day in days:
            docs = day == days[-1]
            found = checkpoint(pipeline.data, pipeline.ledger, day, pipeline.now_ns(), docs=docs, outages=outages)
            reasons = {family: found.reasons(family) for family in FAMILIES}
            values = {s.name: {a.judged.statistic: a.judged.value for a in s.answers} for s in found.subjects}
            failed = {f: [(s.name, told(a)) for s, a in found.failures(f)] for f in FAMILIES}
            shown = metadata(values, reasons, sum(map(len, failed.values())))
            context.add_asset_metadata(shown, asset_key=keys.STATISTICS, partition_key=day)
            for family in FAMILIES:
                if judged := found.judged(family):  # what was not judged is no pass: it has no result
                    pipeline.check_results.add(
                        context, evaluation(day, family, TIERS[family], judged, failed[family], reasons[family])
                    )
        pipeline.check_results.flush()
        if days:
            yield dg.MaterializeResult(asset_key=keys.STATISTICS)
            for name in context.assets_def.check_specs_by_output_name:
                yield dg.Output(None, output_name=name)

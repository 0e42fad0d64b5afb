"""The asset `bars`."""

import dagster as dg

from quality import checks
from trading_platform.orchestration.asset_factory import Reported, daily_asset, materialized
from trading_platform.orchestration.reporting.report import report
from trading_platform.orchestration.resources import PipelineResource


@daily_asset("bars", checks=checks.of("bars"))
def bars(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Reported:
    """Open, high, low, close and volumes of each interval from 1s to 1d, exact, with the proof that none is missing."""
    for day in context.partition_keys:
        report(context, day, pipeline.refresh("bars", day))
    yield from materialized(context)

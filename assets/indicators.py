"""The asset `indicators`."""

import dagster as dg

from quality import checks
from trading_platform.orchestration.asset_factory import Reported, daily_asset, materialized
from trading_platform.orchestration.reporting.report import report
from trading_platform.orchestration.resources import PipelineResource


@daily_asset("indicators", checks=checks.of("indicators"))
def indicators(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Reported:
    """Moving averages, RSI, MACD, bands, ATR and VWAP of every bar; their state runs on from the day before."""
    for day in context.partition_keys:
        report(context, day, pipeline.refresh("indicators", day))
    yield from materialized(context)

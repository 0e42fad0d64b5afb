"""The asset `indicators`."""

import dagster as dg

from quality import checks
from trading_platform.orchestration import keys
from trading_platform.orchestration.asset_factory import Reported, daily_asset, materialized
from trading_platform.orchestration.reporting.report import report
from trading_platform.orchestration.resources import PipelineResource


@daily_asset("indicators", deps=[keys.BARS], checks=[checks.schema("indicators")], carries_state=True)
def indicators(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Reported:
    """Moving averages, RSI, MACD, bands, ATR and VWAP of every bar; their state runs on from the day before."""
    for day in context.partition_keys:
        report(context, day, pipeline.refresh("indicators", day))
    yield from materialized(context)

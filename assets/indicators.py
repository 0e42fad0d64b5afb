"""The asset `indicators`."""

import dagster as dg

from quality import checks
from trading_platform.orchestration.asset_factory import Reported, daily_asset, refreshed
from trading_platform.orchestration.resources import PipelineResource


@daily_asset("indicators", checks=checks.of("indicators"))
def indicators(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Reported:
    """Moving averages, RSI, MACD, bands, ATR and VWAP of every bar; their state runs on from the day before."""
    yield from refreshed(context, pipeline, "indicators")
